"""Throughput: the rendered configuration beside one that was written by hand, with the same servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .containers import BALANCER_PORT, LOOPBACK, ORIGIN, Running, run
from .engine import engine
from .figures import Figure
from .haproxy import haproxy
from .plan import Plan
from .probe import first_answer
from .systems import balancer, configuration, folder
from .wrk import Round, wrk

HAND_TUNED = Path(__file__).with_name("hand_tuned.cfg")
PORT = BALANCER_PORT + 1


def measure(plan: Plan) -> list[Figure]:
    """Rounds that alternate."""
    rendered: list[Round] = []
    by_hand: list[Round] = []
    with engine() as client, folder("rendered") as ours, folder("by-hand") as theirs:
        origins = [run(client, publish=None, command=ORIGIN) for _ in range(2)]
        config = configuration(ours, discovery={"container_network": "bridge"})
        with balancer(config), _hand_tuned(theirs, origins):
            for port in (BALANCER_PORT, PORT):
                first_answer((LOOPBACK, port))
                wrk(port, 1)
            for number in range(plan.rounds):
                both = [(rendered, BALANCER_PORT), (by_hand, PORT)]
                for rounds, port in both if number % 2 else reversed(both):
                    rounds.append(wrk(port, plan.round_seconds))
    ratios = [one.rate / other.rate for one, other in zip(rendered, by_hand, strict=True)]
    figures = [Figure("rendered : by hand", "requests", "", ratios, at_least=0.98)]
    for of, rounds in (("rendered", rendered), ("by hand", by_hand)):
        figures += of_rounds(of, rounds)
    return figures


def of_rounds(of: str, rounds: Sequence[Round]) -> list[Figure]:
    """The figures of some rounds."""
    return [
        Figure("requests", of, "/s", [one.rate for one in rounds]),
        Figure("latency, median", of, "ms", [one.median for one in rounds]),
        Figure("latency, 99 %", of, "ms", [one.high for one in rounds]),
        Figure("failed", of, "", [sum(one.failed for one in rounds)]),
    ]


@contextmanager
def _hand_tuned(where: Path, origins: Sequence[Running]) -> Iterator[None]:
    servers = "\n".join(f"    server {one.name} {one.address[0]}:{one.address[1]}" for one in origins)
    text = HAND_TUNED.read_text()
    for word, value in (("SOCKET", str(where / "admin.sock")), ("PORT", str(PORT)), ("SERVERS", servers)):
        text = text.replace(word, value)
    config = where / "haproxy.cfg"
    config.write_text(text)
    with haproxy(config, where / "haproxy.pid", where / "admin.sock"):
        yield
