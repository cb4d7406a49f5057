"""One line of the log for each change: words with values, for people and for programs."""

from __future__ import annotations

import json
import re

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@\[\]+-]+\Z")


def logline(**values: object) -> str:
    """``key=value`` for each; a value that is not one plain word goes into quotes, as in JSON."""
    return " ".join(f"{key}={_shown(value)}" for key, value in values.items() if value is not None)


def _shown(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if _PLAIN.match(text) else json.dumps(text)
