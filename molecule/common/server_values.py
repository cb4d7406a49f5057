"""What HAProxy says of its servers, without what differs from one moment to the next."""

from __future__ import annotations

import csv
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

_UNDER_WAY = {"srv_check_result"}
"""Unknown while a check is under way."""

OF_THE_MOMENT = _UNDER_WAY | _IDS | _TIMES | _COUNTERS


def server_values(command: Callable[[str], str]) -> dict[tuple[str, str], Values]:
    """Each server's values by section and name, from ``show servers state``, ``show stat`` and ``show servers conn``.

    Args:
        command: sends one command to the runtime socket and returns the answer.
    """
    values: dict[tuple[str, str], Values] = {}
    _, head, *lines = command("show servers state").splitlines()
    names = head.removeprefix("# ").split()
    for line in lines:
        if line.strip():
            row = dict(zip(names, line.split(), strict=True))
            for name in ("srv_check_state", "srv_agent_state"):
                # The lowest bit says that a check is under way.
                row[name] = str(int(row[name]) & ~1)
            values[row["be_name"], row["srv_name"]] = row
    for row in csv.DictReader(command("show stat -1 4 -1").strip().removeprefix("# ").splitlines()):
        # A star says that a check is under way.
        row["check_status"] = row["check_status"].removeprefix("* ")
        row["agent_status"] = row["agent_status"].removeprefix("* ")
        values[row["pxname"], row["svname"]].update(row)
    head, *lines = command("show servers conn").splitlines()
    names = head.removeprefix("# ").split()
    for words in filter(None, map(str.split, lines)):
        section, server = words[0].split("/")
        # The last column is one of each thread.
        row = dict(zip(names, words, strict=False))
        values[section, server].update(purge_delay=row["purge_delay"], idle_lim=row["idle_lim"])
    return {
        key: {name: value for name, value in row.items() if name not in OF_THE_MOMENT} for key, row in values.items()
    }
