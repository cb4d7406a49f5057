"""A world in this process: Docker hosts, HAProxy, the files, the watcher and syncs, all by one simulated clock.

The engine in it is the real one: its decisions, catalog, plans, watcher and syncs. Simulated are only the time, Docker
hosts, HAProxy and its process.
"""

from __future__ import annotations

import queue
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from unittest.mock import patch

import jinja2
from dockmaster import drain, snapshot, sync
from dockmaster.config.parse import parse
from dockmaster.config.settings import DockerHost, Settings
from dockmaster.errors import (
    ConfigRefused,
    DockmasterError,
    ReloadFailed,
    RuntimeApiError,
    RuntimeApiSilent,
    SourceError,
)
from dockmaster.haproxy import process
from dockmaster.haproxy.runtime import Runtime
from dockmaster.lock import folder_locked
from dockmaster.sources.docker import source as docker_source
from dockmaster.sources.protocol import Messages
from dockmaster.state import drains, sync_request
from dockmaster.state.drains import Drain, Drains
from dockmaster.watch.session import Journal, Session

from tests.simulation import haproxy_file
from tests.simulation.clock import Clock
from tests.simulation.haproxy_file import Rejected
from tests.simulation.simulated_docker import Machines, SimulatedHost
from tests.simulation.simulated_follower import SimulatedFollower
from tests.simulation.simulated_haproxy import NoAnswer, SimulatedHAProxy

TEMPLATE = Path(__file__).parents[2] / "roles" / "haproxy" / "templates" / "haproxy.cfg.j2"
IDLE = 1.0
"""Seconds after which the watcher goes round even if nothing happens."""
PERIOD = 60.0
"""Seconds from one of cron's syncs to the next, whoever lives."""
REQUESTED = 0.05
"""Seconds from the watcher's request for a sync to the sync."""
STOP_GRACE = 20
RESYNC = 30
DRAIN_TIMEOUT = 15
OTHERS = ("127.0.1.1", "127.0.1.2")
"""Addresses of machines without Docker: the default servers', and the operator's own."""
_EPOCH = 1_800_000_000.0
_MEMORY = Path("/dev/shm")


class Killed(BaseException):
    """The watcher is killed in the middle of what it does."""


class SimulatedTime(ModuleType):
    """Stands in the place of ``time`` in the engine's modules."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("time")
        self._clock = clock
        self.localtime, self.gmtime, self.strftime = time.localtime, time.gmtime, time.strftime

    def monotonic(self) -> float:
        """Simulated."""
        return self._clock()

    def time(self) -> float:
        """Simulated."""
        return _EPOCH + self._clock()

    def sleep(self, seconds: float) -> None:
        """Nobody else does anything meanwhile."""
        self._clock.advance(seconds)


_from_string = jinja2.Environment.from_string


_templates: dict[str, jinja2.Template] = {}


def _compiled(environment: jinja2.Environment, text: str) -> jinja2.Template:
    """The one template is compiled once, and not by every sync: that would take most of the time."""
    if text not in _templates:
        _templates[text] = _from_string(environment, text)
    return _templates[text]


class _AtOnce:
    """Stands in the place of a pool of threads: one after another, so that a history goes the same way every time."""

    def __init__(self, max_workers: int = 1) -> None:
        """How many there may be does not matter."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, what: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Done before it returns."""
        future: Future[Any] = Future()
        try:
            future.set_result(what(*arguments))
        except DockmasterError as error:
            future.set_exception(error)
        return future


class _Client:
    """What a sync asks instead of a Docker API."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._host = world, world.machines.hosts[name]

    def containers(self, ids: Sequence[str] = ()) -> list[Any]:
        """The list."""
        if not self._host.reachable:
            raise SourceError(f"Docker host {self._host.name} does not answer", "cut")
        listed = self._host.listed(ids or None)
        self._world.asked()
        return listed

    def image_of(self, _container_id: str) -> str | None:
        """Nobody says."""
        return None

    def close(self) -> None:
        """Nothing is open."""


class _Log(Journal):
    """What the watcher says, with the time.

    Args:
        clock: the simulated one.
    """

    def __init__(self, clock: Clock) -> None:
        self.lines: list[str] = []
        self._clock = clock

    def say(self, line: str) -> None:
        """A line."""
        self.lines.append(f"{self._clock():.2f} {line}")


class World:
    """Everything that there is.

    Args:
        version: of HAProxy.
        configuration: gives plain data; the files are added.

    Attributes:
        clock: the time.
        machines: the Docker hosts.
        haproxy: HAProxy.
        settings: the configuration that the files have now.
        session: the watcher; None while it does not run.
        report: of the last sync.
        errors: what the last sync failed by, or None.
        prompt: whether a sync that is asked for comes at once.
    """

    def __init__(self, version: str, configuration: Mapping[str, Any], hosts: Mapping[str, str]) -> None:
        self._stack = ExitStack()
        folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dm", dir=_MEMORY if _MEMORY.is_dir() else None)
        )
        self.folder = Path(folder)
        (self.folder / "run").mkdir()
        (self.folder / "state").mkdir()
        self.clock = Clock()
        found = {name: SimulatedHost(name, address, self.clock) for name, address in hosts.items()}
        self.machines = Machines(found, frozenset(OTHERS))
        self.haproxy = SimulatedHAProxy(version, self.clock, self.machines.listens, self.folder / "haproxy.cfg")
        self.settings = self._parsed(configuration)
        self.session: Session | None = None
        self.report: sync.Report | None = None
        self.error: DockmasterError | None = None
        self._journal = _Log(self.clock)
        self.prompt = True
        self.latency = 0.0
        self.refuses_reloads = False
        self.expects_reload = False
        self.before_command: Callable[[str], None] = lambda _line: None
        self.after_command: Callable[[str, str], None] = lambda _line, _answer: None
        self.after_sync: Callable[[], None] = lambda: None
        self.kill_after: int | None = None
        self.while_asked: Callable[[], None] | None = None
        self._followers: list[SimulatedFollower] = []
        self._messages: Messages = queue.SimpleQueue()
        self._round_at = 0.0
        self._watching = False
        self._sync_at: float | None = None
        self._cron_at = self.clock() + PERIOD
        self._template = TEMPLATE.read_text()
        self._patched()

    def end(self) -> None:
        """Leave nothing behind."""
        self._stack.close()

    def _parsed(self, configuration: Mapping[str, Any]) -> Settings:
        haproxy = {
            "config_file_path": str(self.folder / "haproxy.cfg"),
            "pid_file": str(self.folder / "haproxy.pid"),
            "socket_file_path": str(self.folder / "haproxy.sock"),
            "state_file": str(self.folder / "state" / "last_known.json"),
            "run_directory": str(self.folder / "run"),
            "bind_address": "127.0.0.1",
            "server_options": "check inter 2s fastinter 500ms downinter 1s fall 2 rise 1",
            "drain_timeout": DRAIN_TIMEOUT,
            "timeouts": {"connect": "1s", "client": "5s", "server": "5s"},
            **configuration.get("haproxy", {}),
        }
        watch = {"stop_grace": STOP_GRACE, "resync_interval": RESYNC}
        return parse({**configuration, "haproxy": haproxy, "watch": watch}, "simulation")

    def _patched(self) -> None:
        simulated = SimulatedTime(self.clock)
        for name, module in list(sys.modules.items()):
            if name.startswith("dockmaster") and getattr(module, "time", None) is time:
                self._stack.enter_context(patch.object(module, "time", simulated))
        put = [
            (Runtime, "command", lambda _, line: self._command(line)),
            (process, "running", lambda _: self.haproxy.worker != 0),
            (process, "installed", lambda: "haproxy"),
            (process, "check", lambda _, candidate: self._check(candidate)),
            (process, "reload", lambda _: self._reload()),
            (docker_source, "DockerClient", lambda name, *_, **__: _Client(self, name)),
            (docker_source, "DockerFollower", self._follower),
            (snapshot, "ThreadPoolExecutor", _AtOnce),
            (jinja2.Environment, "from_string", _compiled),
        ]
        for where, what, instead in put:
            self._stack.enter_context(patch.object(where, what, instead))

    # HAProxy

    def _command(self, line: str) -> str:
        if self.kill_after is not None and self._watching:
            self.kill_after -= 1
            if self.kill_after < 0:
                self.kill_after = None
                raise Killed
        self.before_command(line)
        try:
            answer = self.haproxy.command(line)
        except NoAnswer:
            raise RuntimeApiSilent(f"no answer to {line!r}") from None
        self.after_command(line, answer)
        if not answer.endswith("\n"):
            raise RuntimeApiSilent(f"the answer to {line!r} was cut off")
        return answer

    def _check(self, candidate: Path) -> None:
        try:
            haproxy_file.read(candidate.read_text())
        except Rejected as error:
            raise ConfigRefused(f"HAProxy refuses the new configuration: {error}", str(error)) from None

    def _reload(self) -> None:
        if self.refuses_reloads or not self.haproxy.reload():
            raise ReloadFailed("no new worker answers")

    # The watcher

    def _follower(self, host: DockerHost, messages: Messages, resync_interval: float) -> SimulatedFollower:
        follower = SimulatedFollower(
            self.machines.hosts[host.name], messages, resync_interval, self.clock, self.latency
        )
        self._followers.append(follower)
        return follower

    def start_watcher(self) -> None:
        """A watcher begins by what the files say."""
        self._messages = queue.SimpleQueue()
        self._followers = []
        self.session = Session(self.settings, self._journal, self._messages, clock=self.clock)
        self._round_at = self.clock()

    def kill_watcher(self) -> None:
        """It is gone, without a word."""
        if self.session:
            self.session.end()
        self.session, self._followers = None, []

    @property
    def log(self) -> list[str]:
        """What the watcher said."""
        return self._journal.lines

    def _round(self) -> None:
        """One round of the watcher's loop, as ``Watcher.run`` has it."""
        session = self.session
        if session is None:
            return
        message = None
        with suppress(queue.Empty):
            message = self._messages.get_nowait()
        self._watching = True
        try:
            with folder_locked(self.settings.haproxy.run_directory, 1.0):
                session.step(message)
        except RuntimeApiError as error:
            session.haproxy_answers = False
            session.failed(error)
        except Killed:
            self.kill_watcher()
        finally:
            self._watching = False
        self._round_at = self.clock() + session.timers.wait(IDLE)

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """The operator writes another configuration; the watcher takes it as ``Watcher`` does."""
        self.settings = self._parsed(configuration)
        if self.session is None:
            return
        self.session.end()
        with suppress(queue.Empty, RuntimeApiError):
            while True:
                self.session.take(self._messages.get_nowait())
        self.start_watcher()
        self.session.timers.soon("follow")

    # Syncs

    def sync(self, find: snapshot.Find | None = None, **options: Any) -> sync.Report | None:
        """A sync; returns what it did, or None if it failed."""
        self.error = None
        haproxy = self.haproxy
        disturbed = haproxy.refusals or haproxy.silent or haproxy.cut is not None or haproxy.seconds
        self.expects_reload = bool(disturbed or self.refuses_reloads or options.get("renew"))
        try:
            self.report = sync.run(self.settings, self._template, find, **options)
        except DockmasterError as error:
            self.error, self.report = error, None
        if not options.get("check_mode"):
            self.after_sync()
        return self.report

    def asked(self) -> None:
        """A sync has just been answered by a Docker host: whatever happens now is newer."""
        if self.while_asked:
            happens, self.while_asked = self.while_asked, None
            happens()

    def drain(self, host: str, container: str = "") -> None:
        """The operator drains something; what would leave a service without a usable server is not drained."""
        self._change_drains(drain.drain, host, container)

    def make_ready(self, one: Drain) -> None:
        """The operator makes something ready."""
        self._change_drains(drain.ready, one.docker_host, one.container)

    def _change_drains(self, change: Callable[..., object], host: str, container: str) -> None:
        with suppress(DockmasterError):
            change(self.settings, self._template, drain.Target(host, container))

    @property
    def drains(self) -> Drains:
        """What is drained."""
        return drains.load(drains.file_of(self.settings.haproxy))

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass, and everybody do what falls due."""
        until = self.clock() + seconds
        self._work()
        while (at := self._next()) <= until:
            self.clock.now = max(at, self.clock.now)
            self._work()
        self.clock.now = max(until, self.clock.now)
        self._work()

    def work_as_watcher(self) -> None:
        """The watcher hears of what has just happened, and acts, while a sync is under way."""
        prompt, self.prompt = self.prompt, False
        cron, self._cron_at = self._cron_at, float("inf")
        self._work()
        self.prompt, self._cron_at = prompt, cron

    def work(self) -> None:
        """Everybody does what falls due now."""
        self._work()

    def _next(self) -> float:
        times = [host.next for host in self.machines.hosts.values()]
        times += [follower.next for follower in self._followers]
        times += [self._sync_at, self._cron_at]
        if self.session:
            times.append(self._round_at)
        return min((at for at in times if at is not None), default=float("inf"))

    def _work(self) -> None:
        for _ in range(1000):
            self.haproxy.tick()
            for host in self.machines.hosts.values():
                host.tick()
            for follower in self._followers:
                follower.tick()
            if self.session and (not self._messages.empty() or self._round_at <= self.clock()):
                self._round()
                continue
            if self._sync_if_asked():
                continue
            if self._next() > self.clock():
                return
        raise AssertionError(f"the loop does not come to rest at {self.clock():.3f}: {self.log[-10:]}")

    def _sync_if_asked(self) -> bool:
        if self._cron_at <= self.clock():
            self._cron_at = self.clock() + PERIOD
            self.sync()
            return True
        if not self.prompt:
            self._sync_at = None
            return False
        if self._sync_at is None and (self.settings.haproxy.run_directory / sync_request.FILE).exists():
            self._sync_at = self.clock() + REQUESTED
        if self._sync_at is None or self._sync_at > self.clock():
            return False
        self._sync_at = None
        self.sync(renew=sync_request.take(self.settings.haproxy.run_directory))
        return True


@contextmanager
def a_world(version: str, configuration: Mapping[str, Any], hosts: Mapping[str, str]) -> Iterator[World]:
    """A world for as long as the block lasts."""
    world = World(version, configuration, hosts)
    try:
        yield world
    finally:
        world.end()
