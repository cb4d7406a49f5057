"""The configuration file, YAML or JSON."""

from __future__ import annotations

from pathlib import Path

import yaml

from .errors import SettingsError
from .settings import Settings, parse


def load(path: Path) -> Settings:
    """Read a configuration file, YAML or JSON; raises SettingsError."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise SettingsError(f"{path}: {place}neither YAML nor JSON: {getattr(error, 'problem', error)}") from None
    return parse(data, str(path))
