"""What HAProxy says of its servers, without what differs from one moment to the next."""

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
"""How healthy the last checks found it: a new server has to rise once, one of the file may lose a few first."""

OF_THE_MOMENT = _IDS | _TIMES | _COUNTERS

_SECONDS = 10.0
"""For how long at the most it is looked until a check is over."""


def server_values(command: Callable[[str], str]) -> dict[tuple[str, str], Values]:
    """Each server's values by section and name, from ``show servers state``, ``show stat`` and ``show servers conn``.

    Args:
        command: sends one command to the runtime socket and returns the answer.

    Raises:
        AssertionError: a check was under way whenever one looked.
    """
    values = _looked_at(command)
    deadline = time.monotonic() + _SECONDS
    while unclear := {key for key, row in values.items() if _under_way(row)}:
        assert time.monotonic() < deadline, f"a check is always under way: {sorted(unclear)}"
        again = _looked_at(command)
        values.update((key, again[key]) for key in unclear)
    return {
        key: {name: value for name, value in row.items() if name not in OF_THE_MOMENT} for key, row in values.items()
    }


def _under_way(row: Values) -> bool:
    """Whether a check is: it has no result then. HAProxy says so by a star, or by the lowest bit of a state."""
    stars = (row["check_status"], row["agent_status"])
    states = (row["srv_check_state"], row["srv_agent_state"])
    return any(status.startswith("*") for status in stars) or any(int(state) & 1 for state in states)


def _looked_at(command: Callable[[str], str]) -> dict[tuple[str, str], Values]:
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
        # The last column is one of each thread.
        row = dict(zip(names, words, strict=False))
        values[section, server].update(purge_delay=row["purge_delay"], idle_lim=row["idle_lim"])
    return values
