"""What has to hold at every moment of a simulated history, and once things have calmed down."""

from __future__ import annotations

from dockmaster.haproxy.servers import Key
from dockmaster.snapshot import Snapshot
from dockmaster.traffic import Verdict, Wanted

from tests.simulation import truth
from tests.simulation.simulated_docker import Container
from tests.simulation.world import DRAIN_TIMEOUT, RESYNC, STOP_GRACE, World

NOTICED = 7.0
"""Seconds within which the watcher has noticed that HAProxy is another one, or answers again, and has acted."""
TOLD = 3.0
"""Seconds within which somebody may hear that a container has ended, though it was started again since."""
CALM = 2 * RESYNC + STOP_GRACE + DRAIN_TIMEOUT + 15.0
"""Seconds after which everything that has a time-out is over."""
AFTERWARDS = RESYNC + 12.0
"""Seconds for which nothing is changed any more then."""


class Broken(AssertionError):
    """A promise is broken."""


class Promises:
    """Watches over a world.

    Args:
        world: which.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._usable: set[Key] = set()
        self._half_added: set[str] = set()
        self._disturbed_at = world.clock()
        self._at_cut: dict[str, dict[str, Container]] = {}
        self._structure = ""
        self._meant: dict[Key, float] = {}
        world.before_command = self._before_command
        world.after_command = self._after_command
        world.after_sync = self._after_sync

    def disturbed(self) -> None:
        """Something happens to HAProxy itself: who acts needs a moment to find out."""
        self._disturbed_at = self._world.clock()

    def cut_off(self, host: str) -> None:
        """A Docker host cannot be reached from now on."""
        self._at_cut[host] = dict(self._world.machines.hosts[host].containers)

    def configured(self) -> None:
        """The operator has changed what is of which service: what served before a host was cut off may have left."""
        self._at_cut = {host: {} for host in self._at_cut}
        self.disturbed()

    def back(self, host: str) -> None:
        """It can again."""
        self._at_cut.pop(host, None)

    # At every moment

    def hold(self) -> None:
        """Raise Broken if a promise does not hold now."""
        for one in truth.running(self._world):
            self._meant[one.key] = self._world.clock()
        if self._world.session is None or not self._acts:
            return
        self._nothing_goes_to_what_is_gone()
        self._nothing_drained_is_ready()

    @property
    def _acts(self) -> bool:
        """Whether whoever acts has had time to, and HAProxy lets him."""
        haproxy = self._world.haproxy
        if haproxy.refusals or haproxy.silent or haproxy.cut is not None or not haproxy.worker:
            self.disturbed()
        return self._world.clock() > self._disturbed_at + NOTICED

    def _nothing_goes_to_what_is_gone(self) -> None:
        assert self._world.session
        for key in truth.usable(self._world):
            if not truth.is_a_container(key) or truth.container_of(self._world, key):
                continue
            if key not in self._world.session._catalog.entries:
                raise Broken(f"{key} gets new requests, and its container is known to be gone")

    def _nothing_drained_is_ready(self) -> None:
        for one in truth.running(self._world):
            server = self._world.haproxy.server(*one.key)
            if server and server.told == "ready" and truth.is_drained(self._world, one):
                raise Broken(f"{one.key} is drained by the operator, and ready")

    # At every command

    def _before_command(self, _line: str) -> None:
        self._usable = truth.usable(self._world)

    def _after_command(self, line: str, answer: str) -> None:
        if line.startswith("add server ") and answer.strip() not in ("", "New server registered."):
            # Refused in part: it may seem usable, and is not meant to be yet.
            self._half_added.add(line.split()[2])
        lost = self._usable - truth.usable(self._world)
        for key in sorted(lost):
            if not any(f"{'/'.join(key)} state {told}" in line for told in ("drain", "maint")):
                continue
            self._is_not_of_an_unreachable_host(key, line)
            if not truth.usable(self._world, key[0]):
                self._may_be_the_last(key, line)

    def _may_be_the_last(self, key: Key, line: str) -> None:
        """The last usable server may only be taken out if it is gone, moved, drained by the operator or long left."""
        found = truth.container_of(self._world, key)
        if (found is None and truth.is_a_container(key)) or "/".join(key) in self._half_added:
            return
        if " addr " in line or (found and found[0].ended.get(found[1].id, 0.0) > self._world.clock() - TOLD):
            return
        if found and found[1].id in found[0].uncertain:
            # An event of it was lost, and nobody has listed it since.
            return
        meant = {one.key: one for one in truth.running(self._world)}.get(key)
        if meant is not None and truth.is_drained(self._world, meant):
            return
        if meant is None and truth.is_a_container(key):
            since = self._world.clock() - self._meant.get(key, 0.0)
            if since < DRAIN_TIMEOUT - 1.0:
                raise Broken(f"{key} was the last usable server; it left {since:.1f} s ago, and is out by {line!r}")
            return
        raise Broken(f"{key} was the last usable server of {key[0]}, and is out by {line!r}")

    def _is_not_of_an_unreachable_host(self, key: Key, line: str) -> None:
        found = truth.container_of(self._world, key)
        if found is None or found[0].name not in self._at_cut or " addr " in line:
            return
        host, container = found
        before = self._at_cut[host.name].get(container.id)
        meant = {one.key: one for one in truth.running(self._world)}.get(key)
        if before != container or meant is None or not meant.is_well or truth.is_drained(self._world, meant):
            return
        if container.id in host.uncertain:
            return
        raise Broken(f"{key} is healthy, its host cannot be reached, and it is out by {line!r}")

    # At every sync

    def _after_sync(self) -> None:
        world = self._world
        before, self._structure = self._structure, world.haproxy.description
        report = world.report
        if report is None or report.applied.action != "reload":
            return
        self.disturbed()
        if world.expects_reload or before != world.haproxy.description:
            return
        raise Broken(f"a sync has reloaded HAProxy, and the structure is the same: {report.applied.reason}")

    def described(self) -> None:
        """HAProxy has read its file by itself."""
        self._structure = self._world.haproxy.description

    # Once things have calmed down

    def hold_at_calm(self) -> None:
        """Let everything come to rest, and judge where it has come to."""
        world = self._world
        world.advance(CALM)
        self._a_sync_has_nothing_to_do()
        self._sync_and_watcher_agree()
        self._those_that_are_well_serve()
        commands = len(world.haproxy.commands)
        world.advance(AFTERWARDS)
        more = [one for one in world.haproxy.commands[commands:] if not one.startswith(("show ", "help"))]
        if more:
            raise Broken(f"nothing happens any more, and HAProxy is told {more[:6]}")

    def _a_sync_has_nothing_to_do(self) -> None:
        report = self._world.sync(check_mode=True)
        if report is None:
            raise Broken(f"a sync fails: {self._world.error}")
        if report.applied.action != "none":
            changes = [(change.kind, change.server) for change in report.applied.changes]
            text = _difference(report.applied.before or "", report.applied.after)
            raise Broken(f"a sync has something to do: {report.applied.action} {changes} {text}")

    def _sync_and_watcher_agree(self) -> None:
        world = self._world
        assert world.session
        reconciler = world.session._reconciler
        theirs = Snapshot.taken(world.settings).decided
        ours = {key: reconciler._decide(key, {}) for key in world.session._catalog.entries}
        for key in sorted({*ours, *theirs}):
            mine = _shown(ours.get(key))
            other = _shown(theirs[key].verdict if key in theirs else None)
            if mine != other:
                raise Broken(f"{key}: the watcher says {mine}, and a sync {other}")

    def _those_that_are_well_serve(self) -> None:
        world = self._world
        for service in world.settings.services:
            section = service.proxy.backend_name
            of_service = [one for one in truth.running(world) if one.service is service]
            listening = [one for one in of_service if one.host.listens(one.container.port)]
            free = [one for one in listening if not truth.is_drained(world, one)]
            well = {one.key for one in free if one.is_well}
            serve = {key for key in truth.usable(world, section) if truth.is_a_container(key)}
            if well and serve != well:
                raise Broken(f"{sorted(well)} are well, and {sorted(serve)} serve")
            if not well and service.default_servers and not truth.usable(world, section):
                raise Broken(f"{section}: nobody serves, and there are default servers")


def _shown(verdict: Verdict | None) -> tuple[str, str] | None:
    """What is wanted and why; what is out and gone is of no interest."""
    if verdict is None or verdict.wanted is Wanted.LEAVE:
        return None
    return verdict.wanted.value, verdict.reason


def _difference(before: str, after: str) -> list[str]:
    old, new = before.splitlines(), after.splitlines()
    return [f"-{line.strip()}" for line in old if line not in new] + [
        f"+{line.strip()}" for line in new if line not in old
    ]
