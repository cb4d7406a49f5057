"""HAProxy's keywords that are gone, in today's words."""

from __future__ import annotations

# Removed in HAProxy 2.1, deprecated since 1.3.14: its manual, "timeout connect" and what follows there.
_TODAY = {
    "contimeout": "timeout connect",
    "clitimeout": "timeout client",
    "srvtimeout": "timeout server",
}


def modern(line: str) -> str:
    """The line as HAProxy takes it today; a line without a dropped keyword comes back as it is."""
    keyword, blank, rest = line.partition(" ")
    return f"{_TODAY[keyword]}{blank}{rest}" if keyword in _TODAY else line
