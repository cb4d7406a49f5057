"""Throughput: Dockmaster's configuration and one written by hand, with the same servers."""

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
PORT, RETRYING_PORT = BALANCER_PORT + 1, BALANCER_PORT + 2
RETRIES = """
    option idle-close-on-response
    retry-on conn-failure empty-response response-timeout
    http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE TRACE }
    unique-id-format %[uuid()]
    unique-id-header X-Request-ID
"""
"""Adds retries, reloads that cut no connection, and request ids to the configuration by hand."""


def measure(plan: Plan) -> list[Figure]:
    """Measure the configurations in alternating rounds."""
    rendered: list[Round] = []
    by_hand: list[Round] = []
    retrying: list[Round] = []
    with engine() as client, folder("rendered") as ours, folder("by-hand") as theirs, folder("retrying") as more:
        origins = [run(client, publish=None, command=ORIGIN) for _ in range(2)]
        config = configuration(ours, discovery={"container_network": "bridge"})
        with (
            balancer(config),
            _hand_tuned(theirs, PORT, origins, ""),
            _hand_tuned(more, RETRYING_PORT, origins, RETRIES),
        ):
            for port in (BALANCER_PORT, PORT, RETRYING_PORT):
                first_answer((LOOPBACK, port))
                wrk(port, 1)
            for number in range(plan.rounds):
                all_of_them = [(by_hand, PORT), (rendered, BALANCER_PORT), (retrying, RETRYING_PORT)]
                for rounds, port in all_of_them if number % 2 else reversed(all_of_them):
                    rounds.append(wrk(port, plan.round_seconds))
    figures = [
        Figure(
            f"rendered : {of}",
            "requests",
            "",
            [a.rate / b.rate for a, b in zip(rendered, rounds, strict=True)],
            at_least=0.98,
        )
        for of, rounds in (("by hand", by_hand), ("by hand, with retries and ids", retrying))
    ]
    for of, rounds in (("rendered", rendered), ("by hand", by_hand), ("by hand, with retries and ids", retrying)):
        figures += of_rounds(of, rounds)
    return figures


def of_rounds(of: str, rounds: Sequence[Round]) -> list[Figure]:
    """Return the figures of some rounds."""
    return [
        Figure("requests", of, "/s", [one.rate for one in rounds]),
        Figure("latency, median", of, "ms", [one.median for one in rounds]),
        Figure("latency, 99 %", of, "ms", [one.high for one in rounds]),
        Figure("failed", of, "", [sum(one.failed for one in rounds)]),
    ]


@contextmanager
def _hand_tuned(where: Path, port: int, origins: Sequence[Running], retries: str) -> Iterator[None]:
    servers = "\n".join(f"    server {one.name} {one.address[0]}:{one.address[1]}" for one in origins)
    text = HAND_TUNED.read_text()
    for word, value in (
        ("SOCKET", str(where / "admin.sock")),
        ("PORT", str(port)),
        ("SERVERS", servers),
        ("RETRIES", retries.strip("\n")),
    ):
        text = text.replace(word, value)
    config = where / "haproxy.cfg"
    config.write_text(text)
    with haproxy(config, where / "haproxy.pid", where / "admin.sock"):
        yield
