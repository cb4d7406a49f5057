"""What HAProxy reports about its servers, without values that change all the time."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable

Values = dict[str, str]

_IDS = {"be_id", "srv_id", "iid", "sid", "pid", "bk_f_forced_id", "srv_f_forced_id"}
_TIMES = {
    "srv_time_since_last_change",
    "lastchg",
    "downtime",
    "check_duration",
    "agent_duration",
    "lastsess",
    "srv_icur",
    "addr_changes",
}
_COUNTERS = {"chkfail", "chkdown", "hanafail", "srv_check_health", "check_health"}
"""Results of the last checks: a server added at run time starts lower than one of the file."""

OF_THE_MOMENT = _IDS | _TIMES | _COUNTERS

_SECONDS = 10.0
"""At most this long, ``server_values`` waits for the end of a check."""


def server_values(command: Callable[[str], str]) -> dict[tuple[str, str], Values]:
    """Return the values of each server by section and name.

    They come from ``show servers state``, ``show stat`` and ``show servers conn``.

    Args:
        command: sends a command to the runtime socket, and returns the answer.

    Raises:
        AssertionError: a check was running every time.
    """
    values = _read(command)
    deadline = time.monotonic() + _SECONDS
    while unclear := {key for key, row in values.items() if _is_being_checked(row)}:
        assert time.monotonic() < deadline, f"a check is always running: {sorted(unclear)}"
        again = _read(command)
        values.update((key, again[key]) for key in unclear)
    return {
        key: {name: value for name, value in row.items() if name not in OF_THE_MOMENT} for key, row in values.items()
    }


def _is_being_checked(row: Values) -> bool:
    """Whether a check is running and has no result yet: HAProxy shows a star, or sets the lowest bit of a state."""
    stars = (row["check_status"], row["agent_status"])
    states = (row["srv_check_state"], row["srv_agent_state"])
    return any(status.startswith("*") for status in stars) or any(int(state) & 1 for state in states)


def _read(command: Callable[[str], str]) -> dict[tuple[str, str], Values]:
    values: dict[tuple[str, str], Values] = {}
    _, head, *lines = command("show servers state").splitlines()
    names = head.removeprefix("# ").split()
    for line in lines:
        if line.strip():
            row = dict(zip(names, line.split(), strict=True))
            values[row["be_name"], row["srv_name"]] = row
    for row in csv.DictReader(command("show stat -1 4 -1").strip().removeprefix("# ").splitlines()):
        values[row["pxname"], row["svname"]].update(row)
    head, *lines = command("show servers conn").splitlines()
    names = head.removeprefix("# ").split()
    for words in filter(None, map(str.split, lines)):
        section, server = words[0].split("/")
        # The last column stands for one column per thread.
        row = dict(zip(names, words, strict=False))
        values[section, server].update(purge_delay=row["purge_delay"], idle_lim=row["idle_lim"])
    return values
