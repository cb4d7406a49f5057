"""Cause a fault while the steady client runs: what it costs, and how long the cluster takes to follow."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ask import within
from cluster import BALANCERS, CLIENT, DOCKER_HOSTS, KEPT, NAME, PORT, address, host

RESULTS = KEPT / "faults"
_PROGRAM = Path(__file__).parent / "steady.py"
_FOLDER = "/run/steady"
_UNIT = "steady"


@dataclass(frozen=True)
class Allowed:
    """What a fault may cost, and why.

    Attributes:
        requests: how many requests of any method may be lost.
        posts: how many POSTs may be lost besides those.
        why: the reason; empty if nothing may be lost.
    """

    requests: int = 0
    posts: int = 0
    why: str = ""


NOTHING = Allowed()


@dataclass
class Mark:
    """An entry of the timeline.

    Attributes:
        at: when, in seconds since 1970.
        kind: ``injected``, ``followed`` (the cluster reacted as it should) or ``undone``.
        what: what happened.
        after: for ``followed``, seconds since the last injection or undoing; otherwise None.
    """

    at: float
    kind: str
    what: str
    after: float | None = None


@dataclass
class Fault:
    """One fault.

    Attributes:
        name: what breaks.
        allowed: what it may cost.
        marks: the timeline, in order.
        seen: the lines of the client.
    """

    name: str
    allowed: Allowed
    marks: list[Mark] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)

    def inject(self, what: str) -> None:
        """Mark that something breaks now."""
        self.marks.append(Mark(time.time(), "injected", what))

    def undo(self, what: str) -> None:
        """Mark that it is repaired now."""
        self.marks.append(Mark(time.time(), "undone", what))

    def await_(self, what: str, seconds: float, condition: Callable[[], bool]) -> None:
        """Wait until the cluster has followed, at most this many seconds, and mark how long it took."""
        within(seconds, condition)
        since = next(mark.at for mark in reversed(self.marks) if mark.kind != "followed")
        now = time.time()
        self.marks.append(Mark(now, "followed", what, round(now - since, 2)))

    def served_by(self, docker_host: str, seconds: float = 1.0) -> int:
        """Return how many requests a Docker host has answered in the last seconds that the client has counted."""
        lines = [line for line in _lines() if "served" in line and "t" in line]
        recent = [line for line in lines if line["t"] >= lines[-1]["t"] - seconds]
        return sum(of_host(line)[docker_host] for line in recent)

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return int(self.seen[-1]["asked"])

    @property
    def lost(self) -> list[dict[str, Any]]:
        """The requests that were lost."""
        return [line for line in self.seen if line.get("outcome") == "lost"]

    @property
    def moved(self) -> int:
        """How many requests the other balancer served because the first one accepted no connection."""
        return int(self.seen[-1].get("moved", 0))

    def judge(self) -> None:
        """Check that no more requests were lost than allowed, and that the client counted all of them."""
        end = self.seen[-1]
        assert end["open"] == 0, end
        assert end["asked"] == sum(end.get(outcome, 0) for outcome in ("served", "moved", "lost")), end
        posts = [line for line in self.lost if line["method"] == "POST"]
        others = len(self.lost) - len(posts)
        beyond = max(0, len(posts) - self.allowed.posts)
        assert others + beyond <= self.allowed.requests, (
            f"{len(self.lost)} of {end['asked']} requests lost, {len(posts)} of them POSTs: {self.lost[:20]}; "
            f"allowed: {self.allowed}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**asdict(self), "asked": self.asked, "lost": len(self.lost), "moved": self.moved}


@contextmanager
def fault(name: str, allowed: Allowed = NOTHING, serving: Sequence[str] = DOCKER_HOSTS) -> Iterator[Fault]:
    """Run the steady client against both balancers during the block, then judge and keep what it saw.

    Args:
        name: what breaks.
        allowed: what it may cost.
        serving: the Docker hosts that serve before the fault.
    """
    one = Fault(name, allowed)
    _begin()
    try:
        within(20, lambda: _steady(one, serving))
        yield one
        # The timeline also shows the second after the end.
        last = time.time()
        within(20, lambda: _counted_since(last) >= 1.0)
    finally:
        _end()
        one.seen = _lines()
        _keep(one)
    one.judge()


def of_host(line: dict[str, Any]) -> Counter[str]:
    """Return how many requests each Docker host served in an interval."""
    counted: Counter[str] = Counter()
    for served in line["served"].values():
        for server, count in served.items():
            counted[server.split("_")[0]] += count
    return counted


def short(name: str) -> str:
    """Return the name of a host without its prefix."""
    return name.removeprefix(NAME)


def _begin() -> None:
    client = host(CLIENT)
    client.check_output("rm -rf %s && mkdir %s", _FOLDER, _FOLDER)
    client.check_output("printf %%s %s > %s/steady.py", _PROGRAM.read_text(), _FOLDER)
    urls = " ".join(f"http://{address(balancer)}:{PORT}/" for balancer in BALANCERS)
    client.check_output(f"systemd-run --quiet --collect --unit {_UNIT} python3 {_FOLDER}/steady.py {_FOLDER} {urls}")


def _steady(one: Fault, serving: Sequence[str]) -> bool:
    """Whether every Docker host has served within the last second, and no request was lost."""
    lines = _lines()
    assert not any(line.get("outcome") == "lost" for line in lines), f"lost before the fault {one.name}: {lines}"
    return len(lines) >= 4 and all(one.served_by(docker_host) for docker_host in serving)


def _counted_since(at: float) -> float:
    return sum((line["seconds"] for line in _lines() if line.get("t", 0.0) >= at and "seconds" in line), 0.0)


def _end() -> None:
    client = host(CLIENT)
    client.check_output("touch %s/end", _FOLDER)
    within(40, lambda: any("end" in line for line in _lines()))


def _lines() -> list[dict[str, Any]]:
    text = host(CLIENT).run("cat %s/seen.jsonl", _FOLDER).stdout
    # The last line may be incomplete.
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _keep(one: Fault) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    number = len(list(RESULTS.glob("*.json"))) + 1
    (RESULTS / f"{number:02}.json").write_text(json.dumps(one.as_dict()))
