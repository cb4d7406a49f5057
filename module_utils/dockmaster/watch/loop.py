"""The loop: what the Docker hosts say, as changes of HAProxy's servers, one after another."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ..catalog import ContainerKey, Placed, View
from ..config.settings import Service, Settings
from ..errors import Busy, RuntimeApiError, RuntimeApiSilent, SettingsError
from ..haproxy.commands import Change
from ..haproxy.runtime import Runtime
from ..haproxy.servers import Key, key_of, servers_of
from ..lock import folder_locked
from ..model.endpoint import Endpoint
from ..model.event import GONE
from ..report.logfmt import logline
from ..report.metrics import WatchMetrics
from ..sources.docker.discovery import endpoints_of
from ..sources.docker.follower import SETTLES, Follower, Heard, Message, Told, Unreachable
from ..state import changed_servers as touched
from ..state import drains as drained
from ..state import history as remembered
from ..state import stopping as draining
from ..state.last_known import LastKnown
from ..state.sync_request import request
from .servers import Balancer
from .systemd import Notifier
from .timers import Timers

IDLE = 1.0
"""Seconds after which the loop goes round even if nothing happens."""
POSTPONED = 0.1
"""Seconds between two looks whether a server in doubt is still the last usable one, and whether one that nobody wants
any more still serves for those in its place."""
ALONE = 1.0
"""Seconds between two looks whether a service has to do with servers in doubt."""
FOLLOW = 0.5
"""Seconds from a change to the file that follows it: several changes go into one write."""
AGAIN = 1.0
"""Seconds after which what HAProxy refused, or could not be asked, is tried again."""
LONGEST_AGAIN = 10.0
"""Seconds that this grows to while nothing changes."""
SWEEP = 0.5
"""Seconds between two looks whether drained servers have finished."""
LOOK = 5.0
"""Seconds between two looks whether another worker of HAProxy runs, and whether new servers stay down."""
SAVE = 15.0
"""Seconds after which what only ages is written."""
LOCK_TIMEOUT = 60.0
REASONS = 5
"""Reasons that are said why a Docker host does not answer: it may be another one than at first."""
STUCK = 20
"""New servers that stay down, from which on one reload costs less than checking them so often."""
RENEW = 600.0
"""Seconds between two such reloads."""


class Watcher:
    """Follows every Docker host of the configuration.

    Args:
        settings: the configuration.
        changed: gives the configuration anew where its file has changed, else None; raises SettingsError.
        say: prints a line of the log.
        notifier: the service manager.
    """

    def __init__(
        self,
        settings: Settings,
        changed: Callable[[], Settings | None],
        say: Callable[[str], None],
        notifier: Notifier,
    ) -> None:
        self._changed = changed
        self._say = say
        self._notifier = notifier
        self._metrics = WatchMetrics(settings.watch.metrics_directory)
        # When a host that is silent now last answered, an earlier watcher may know.
        self._remembered = remembered.load(settings.haproxy.run_directory, ("watch",))
        for host in settings.docker_hosts.keys() & self._remembered.answers.keys():
            self._metrics.last_answer.labels(host).set(self._remembered.answers[host])
        self._followers: dict[str, Follower] = {}
        self._held: Message | None = None
        self._agenda: Timers
        self._ended = threading.Event()
        self._begin(settings)

    def end(self) -> None:
        """Have ``run`` return, soon."""
        self._ended.set()

    def run(self) -> None:
        """Watch until ``end`` is called. What goes wrong is said and tried again; nothing of it ends the loop."""
        while not self._ended.is_set():
            # Before anything that may take long.
            self._live()
            message = self._held
            if message is None:
                with suppress(queue.Empty):
                    message = self._messages.get(timeout=self._agenda.wait(IDLE))
            self._held = message
            try:
                with folder_locked(self._settings.haproxy.run_directory, LOCK_TIMEOUT):
                    # First of all: nothing gets traffic by what was so before.
                    if self._drained.changed():
                        self._reconcile("operator")
                    self._held = None
                    if message is not None:
                        self._take(message)
                    self._see_to_what_is_due()
            except RuntimeApiError as error:
                self._failed(error)
            except (Busy, OSError) as error:
                self._failed(error)
                # Nothing was seen to: without a pause this would go round at full speed.
                self._ended.wait(AGAIN)
        self._stop_following()

    def _begin(self, settings: Settings) -> None:
        """Begin with a configuration; what was known with another is asked anew."""
        settings.haproxy.run_directory.mkdir(parents=True, exist_ok=True)
        self._stop_following()
        for gone in self._followers.keys() - settings.docker_hosts.keys():
            with suppress(KeyError):
                self._metrics.last_answer.remove(gone)
        self._settings = settings
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._held = None
        self._agenda = Timers()
        self._view = View()
        self._postponed: set[Key] = set()
        self._resting: set[Key] = set()
        self._replaced: frozenset[Key] = frozenset()
        self._touched: dict[ContainerKey, float] = {}
        self._lost: dict[str, set[str]] = {}
        self._unclear: dict[str, frozenset[str]] = {}
        self._error = ""
        self._failures = 0
        self._again = AGAIN
        self._cause: tuple[str, float | None] = ("start", None)
        self._defaults: set[Key] = set()
        self._began = False
        self._balancer = Balancer(
            Runtime(settings.haproxy.socket_file_path or ""),
            settings.watch.first_check_interval,
            settings.haproxy.drain_timeout,
            self._done,
        )
        self._services = {service.name: service for service in settings.services}
        self._sections = {service.proxy.backend_name: service for service in settings.services}
        self._known = LastKnown(settings.haproxy.state_file)
        self._drained = drained.DrainedFile(drained.file_of(settings.haproxy))
        self._servers = settings.docker_hosts
        self._of_host: dict[str, list[Service]] = {}
        for service in settings.services:
            for server in service.discovery.servers:
                self._of_host.setdefault(server.name, []).append(service)
        self._silent = set(self._servers)
        # Who was told to stop before this configuration, or this watcher, is stopping still.
        self._told = draining.load(settings.haproxy.run_directory, settings.watch.stop_grace)
        self._see_to_the_end_of_stop_grace()
        self._followers = {
            name: Follower(server, self._messages, settings.watch.resync_interval)
            for name, server in self._servers.items()
        }
        self._agenda.soon("reconcile")

    def _stop_following(self) -> None:
        for follower in self._followers.values():
            follower.end()

    # What is due

    def _live(self) -> None:
        interval = self._notifier.interval
        if interval is not None and self._agenda.due("alive", interval):
            self._notifier.alive()

    def _see_to_what_is_due(self) -> None:
        self._live()
        resync = self._settings.watch.resync_interval
        if self._agenda.due("reconcile") or (self._began and self._agenda.due("resync", resync)):
            self._reconcile()
        if self._agenda.due("stop_grace"):
            self._end_told()
        if self._agenda.due("postponed"):
            self._settle_postponed()
        if self._agenda.due("replaced"):
            self._see_to_the_replaced()
        if self._agenda.due("alone"):
            self._bring_back({section for section, _ in self._resting})
        if self._agenda.due("sweep"):
            self._because("its requests are over")
            if self._balancer.sweep(self._unwanted):
                self._agenda.soon("sweep", SWEEP)
        if self._began and self._agenda.due("look", LOOK):
            self._look()
        if self._agenda.due("follow"):
            request(self._settings.haproxy.run_directory)
        if self._agenda.due("save"):
            remembered.save(self._settings.haproxy.run_directory, "watch", self._remembered)
            self._metrics.save()
        if self._agenda.due("configuration", IDLE):
            self._take_configuration()

    def _take_configuration(self) -> None:
        try:
            settings = self._changed()
        except SettingsError as error:
            self._say(logline(error=error, configuration="as before"))
            return
        if settings and settings.haproxy.socket_file_path is None:
            self._say(logline(error="haproxy.socket_file_path is missing", configuration="as before"))
        elif settings and not settings.docker_hosts and self._servers:
            # Playbooks ask from now on, and are about to end this: until then nobody's containers are gone.
            self._say(logline(error="no Docker host to follow", configuration="as before"))
        elif settings:
            self._say(logline(configuration="changed", services=len(settings.services)))
            try:
                self._take_what_waits()
            finally:
                self._begin(settings)
            # Root's pass makes the structure so.
            self._agenda.soon("follow")

    def _take_what_waits(self) -> None:
        """Nobody says again who was told to stop."""
        with suppress(queue.Empty):
            while True:
                self._take(self._messages.get_nowait())

    def _failed(self, error: Exception) -> None:
        """Everything is looked at again, and root's pass is asked for what cannot be done at run time."""
        if str(error) != self._error:
            self._error = str(error)
            self._say(logline(error=error))
        self._agenda.soon("follow", FOLLOW)
        self._agenda.soon("reconcile", self._again)
        self._failures += 1
        if not self._silent:
            # It watches, though HAProxy does not let it do all yet: nobody need wait for more.
            self._notifier.ready()

    def _end_told(self) -> None:
        """Containers that still run long after they were told to stop get traffic again."""
        now = time.monotonic()
        over = [container for container, stopping in self._told.items() if stopping.until <= now]
        self._because("it still runs after stop_grace")
        for container in over:
            del self._told[container]
        self._say_who_was_told()
        for container in over:
            self._settle(self._view.keys(container))

    def _say_who_was_told(self) -> None:
        self._see_to_the_end_of_stop_grace()
        draining.save(self._settings.haproxy.run_directory, self._told)

    def _see_to_the_end_of_stop_grace(self) -> None:
        if self._told:
            self._agenda.soon("stop_grace", min(one.until for one in self._told.values()) - time.monotonic())

    def _look(self) -> None:
        if self._balancer.restarted():
            self._say(logline(haproxy="another worker runs"))
            self._reconcile()
        self._because("it stays down")
        if self._balancer.slow_down() > STUCK and self._agenda.due("renew", RENEW):
            request(self._settings.haproxy.run_directory, renew=True)

    # What the Docker hosts say

    def _take(self, message: Message) -> None:
        if isinstance(message, Heard):
            self._take_event(message)
        elif isinstance(message, Told):
            self._take_answer(message)
        else:
            self._take_silence(message)

    def _take_event(self, heard: Heard) -> None:
        event = heard.event
        container = (heard.host, event.container)
        keys = self._view.keys(container)
        if not keys:
            return
        self._because(event.action, heard.at)
        if event.action in GONE:
            self._touched[container] = heard.at
            if container in self._told:
                self._stops_no_more(container)
            self._follow(self._view.gone(container))
        elif event.action == "pause":
            self._touched[container] = heard.at
            self._follow(self._view.unfit(container))
        elif self._tells_to_stop(heard):
            try:
                self._follow(keys)
            finally:
                # Also where HAProxy does not answer: it is drained later then.
                self._say_who_was_told()

    def _tells_to_stop(self, heard: Heard) -> bool:
        """Whether a container is about to stop from now on."""
        container = (heard.host, heard.event.container)
        placed = self._placed(container)
        until = heard.at + self._settings.watch.stop_grace
        signals = (one.service.discovery.stop_signals for one in placed)
        if not any(map(heard.event.stops, signals)) or until <= time.monotonic():
            return False
        self._told[container] = draining.Stopping(until, frozenset(one.backend.port for one in placed))
        return True

    def _placed(self, container: ContainerKey) -> list[Placed]:
        return [self._view.placed[key] for key in self._view.keys(container)]

    def _take_answer(self, told: Told) -> None:
        host = told.host
        self._remembered.answered(host)
        self._metrics.last_answer.labels(host).set_to_current_time()
        self._agenda.soon("save", SAVE)
        if self._lost.pop(host, None):
            self._say(logline(docker_host=host, state="answers"))
        self._heard_from(host)
        if told.listed is not None:
            self._take_list(told, told.listed)

    def _take_list(self, told: Told, entries: Sequence[object]) -> None:
        host = told.host
        attributed = self._view.attributed(host, told.ids)
        if told.ids is None:
            for name, backends in self._known.of_host(host).items():
                attributed.setdefault(name, set()).update(one.container_id for one in backends)
        listed = endpoints_of(self._of_host[host], host, self._servers[host].host, entries, known=attributed)
        events = {heard.event.container: heard for heard in told.events}
        self._touched = {of: at for of, at in self._touched.items() if of[0] != host or at + SETTLES > told.asked}
        over = {container for of, container in self._touched if of == host}
        begun = {container for container, heard in events.items() if heard.event.action == "start"}
        changed = self._view.told(host, listed, self._services, told.ids, over - begun)
        self._unclear[host] = (
            listed.unclear if told.ids is None else self._unclear.get(host, frozenset()) | listed.unclear
        )
        if self._unclear[host]:
            # The same list will say more when a pass has asked for their images.
            self._followers[host].read_anew()
        for container in begun:
            # Its end may not have been heard of; what it was told before that is over.
            stopping = self._told.get((host, container))
            if stopping and stopping.until - self._settings.watch.stop_grace < events[container].at:
                self._stops_no_more((host, container))
                changed.setdefault(container, set()).update(self._view.keys((host, container)))
        for container in changed:
            # Nor its beginning.
            stopping = self._told.get((host, container))
            if stopping and stopping.ports.isdisjoint(one.backend.port for one in self._placed((host, container))):
                self._stops_no_more((host, container))
        for container, heard in events.items():
            # One that was told to stop before anything was known of it.
            if (host, container) not in self._told and self._tells_to_stop(heard):
                changed.setdefault(container, set()).update(self._view.keys((host, container)))
                self._say_who_was_told()
        for container, keys in changed.items():
            led = events.get(container)
            self._because(led.event.action if led else "resync", led.at if led else None)
            self._follow(keys)

    def _stops_no_more(self, container: ContainerKey) -> None:
        del self._told[container]
        self._say_who_was_told()

    def _take_silence(self, lost: Unreachable) -> None:
        """Losing sight of a Docker host is not the same as its containers being gone."""
        reasons = self._lost.setdefault(lost.host, set())
        if lost.why not in reasons and len(reasons) < REASONS:
            reasons.add(lost.why)
            self._say(logline(docker_host=lost.host, state="unknown", error=lost.reason))
        if lost.host in self._silent:
            self._view.last_known(lost.host, self._of_host[lost.host], self._known.of_host(lost.host))
            self._heard_from(lost.host)

    def _heard_from(self, host: str) -> None:
        """Once each host has answered or failed to, what runs and nobody wants is known for sure."""
        if host in self._silent:
            self._silent.discard(host)
            if not self._silent:
                self._agenda.soon("reconcile")

    # What that means for HAProxy

    def _because(self, cause: str, heard: float | None = None) -> None:
        """Say why the next changes are made, and when that was heard."""
        self._cause = (cause, heard)

    def _follow(self, keys: Collection[Key]) -> None:
        """Settle servers whose containers came or went."""
        self._settle(keys)
        services = [self._sections[section] for section, _ in keys]
        if any(service.default_servers or service.use_previous_backends for service in services):
            # Whether others serve in their place depends on all of them.
            self._agenda.soon("reconcile")

    def _settle(self, keys: Iterable[Key]) -> None:
        """Make servers as what is known of their containers says."""
        if not self._balancer.worker:
            return
        for key in sorted(keys):
            with self._one_at_a_time():
                self._settle_one(key)

    def _settle_postponed(self) -> None:
        """Servers in doubt that were the last usable ones: they need not stay once there are others."""
        self._because("another server is usable")
        sections = {section for section, _ in self._postponed}
        spare = {section for section in sections if self._balancer.can_spare_one(section)}
        self._settle([key for key in self._postponed if key[0] in spare])
        if self._postponed:
            self._agenda.soon("postponed", POSTPONED)

    def _bring_back(self, sections: Collection[str]) -> None:
        """One that is in doubt, where a section has no usable server: a 503 for certain is worse."""
        usable = self._balancer.usable()
        for section in sections:
            resting = {key for key in self._resting if key[0] == section and not self._is_drained(key)}
            if resting and not usable.get(section) and (key := self._balancer.drained_that_passes(section, resting)):
                # Whatever led here has more changes to make.
                cause = self._cause
                self._because("no other server is usable")
                with self._one_at_a_time():
                    placed = self._view.placed[key]
                    self._serve(key, placed.service, placed.backend)
                    self._resting.discard(key)
                    self._postponed.add(key)
                    self._agenda.soon("postponed", POSTPONED)
                self._cause = cause
        if self._resting:
            self._agenda.soon("alone", ALONE)

    def _see_to_the_replaced(self) -> None:
        """Servers that nobody wants any more, and that serve until one of those in their place does."""
        usable = self._balancer.usable()
        if any(usable.get(section, 0) > old for section, old in Counter(one for one, _ in self._replaced).items()):
            self._reconcile("another server is usable")
        elif self._replaced:
            self._agenda.soon("replaced", POSTPONED)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """A server that HAProxy refuses holds up none of the others."""
        try:
            yield
        except RuntimeApiSilent:
            raise
        except RuntimeApiError as error:
            self._failed(error)

    def _settle_one(self, key: Key) -> None:
        self._postponed.discard(key)
        self._resting.discard(key)
        placed = self._view.placed.get(key)
        if placed is None:
            if not self._sections[key[0]].use_previous_backends:
                self._balancer.out(key)
                if self._resting:
                    self._bring_back({key[0]})
        elif self._serves(placed):
            self._serve(key, placed.service, placed.backend)
        elif self._balancer.rest(key):
            self._resting.add(key)
            self._agenda.soon("alone", ALONE)
        else:
            self._postponed.add(key)
            self._agenda.soon("postponed", POSTPONED)

    def _serve(self, key: Key, service: Service, backend: Endpoint) -> None:
        if not self._balancer.serves(key, backend.host, backend.port):
            for server in servers_of(self._settings, service, [backend]):
                self._balancer.serve(server)

    def _serves(self, placed: Placed) -> bool:
        """Whether a container is to get traffic: it is fit, was not told to stop, and is not drained."""
        stopping = self._told.get(placed.container)
        if not placed.fit or (stopping and placed.backend.port in stopping.ports):
            return False
        return drained.covering(self._drained.marks, placed.backend) is None

    def _is_drained(self, key: Key) -> bool:
        """Whether the operator wants no new requests for a server."""
        placed = self._view.placed.get(key)
        return placed is None or drained.covering(self._drained.marks, placed.backend) is not None

    def _reconcile(self, cause: str = "resync") -> None:
        """Hold everything that runs against everything that is known."""
        self._because(cause if self._began else "start")
        before = self._failures
        running = self._balancer.learn()
        self._settle(list(self._view.placed))
        if self._silent:
            return
        fit = self._view.fit(self._serves)
        found = {name: service.completed(fit.get(name, ()), ()) for name, service in self._services.items()}
        wanted = {key_of(self._services[name], one): (name, one) for name, some in found.items() for one in some}
        self._defaults = wanted.keys() - self._view.placed.keys()
        for key in self._defaults:
            with self._one_at_a_time():
                name, backend = wanted[key]
                self._serve(key, self._services[name], backend)
        served = {section for section, _ in wanted}
        passes = self._known_to_passes_alone()
        unwanted = [
            key
            for key in running.servers
            if self._unwanted(key)
            and key not in passes
            and not (self._sections[key[0]].use_previous_backends and key[0] not in served)
        ]
        # What takes its place is not checked yet: until then it serves.
        waits = served - {key[0] for key in wanted if key in running.servers and running.servers[key].usable}
        self._replaced = frozenset(key for key in unwanted if key[0] in waits and running.servers[key].usable)
        self._balancer.let_go(key for key in unwanted if key not in self._replaced)
        if self._replaced:
            self._agenda.soon("replaced", POSTPONED)
        self._agenda.soon("sweep", SWEEP)
        if self._failures == before:
            self._error, self._again = "", AGAIN
        else:
            self._again = min(2 * self._again, LONGEST_AGAIN)
        if not self._began:
            self._began = True
            self._say(logline(state="ready", docker_hosts=len(self._servers), servers=len(wanted)))
            self._notifier.ready()

    def _known_to_passes_alone(self) -> set[Key]:
        """Servers of containers that Docker shows by their image's id: a pass may ask which that is."""
        known = self._known.backends() if any(self._unclear.values()) else {}
        return {
            key_of(service, one)
            for name, service in self._services.items()
            for one in known.get(name, ())
            if one.container_id in self._unclear.get(one.docker_host, ())
        }

    def _unwanted(self, key: Key) -> bool:
        """Whether a server of ours stands for nothing any more."""
        return key[0] in self._sections and key not in self._view.placed and key not in self._defaults

    def _done(self, change: Change) -> None:
        """A change was made: it is said, counted and remembered, and the file follows."""
        touched.add(self._settings.haproxy.run_directory, change.server)
        cause, heard = self._cause
        cause = change.reason or cause
        seconds = None if heard is None else time.monotonic() - heard
        placed = self._view.placed.get(change.server)
        backend = placed.backend if placed else None
        self._say(
            logline(
                change=change.kind,
                service=self._sections[change.server[0]].name,
                server=change.server[1],
                address=backend and backend.address,
                docker_host=backend and backend.docker_host,
                container=backend and backend.container_name,
                cause=cause,
                after_ms=None if seconds is None else 1000 * seconds,
            )
        )
        self._metrics.changes.labels(change.kind).inc()
        if seconds is not None:
            self._metrics.applied.observe(seconds)
        self._remembered.changed("/".join(change.server), change.kind, cause)
        self._agenda.soon("follow", FOLLOW)
        self._agenda.soon("save", AGAIN)
        self._agenda.soon("sweep", SWEEP)
