"""One configuration under the watcher: what is heard goes into the catalog, and what changes is reconciled."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..catalog import Catalog
from ..config.settings import Settings
from ..haproxy.commands import Change
from ..haproxy.runtime import Runtime
from ..haproxy.servers import Key
from ..model.event import GONE
from ..report.logfmt import logline
from ..sources.docker.follower import SETTLES
from ..sources.protocol import Answer, Follower, Heard, Listing, Message, Messages, Source, Unreachable
from ..sources.table import sources
from ..state import changed_servers
from ..state.drains import DrainsFile, file_of
from ..state.last_known import LastKnownFile
from ..state.stopping import ContainerKey, StoppingContainers
from ..state.sync_request import request
from .reconcile import Reconciler
from .servers import Cause, HAProxyServers
from .timers import Timers

WAITING = 0.1
"""Seconds between two looks whether a better server is usable than one that serves only until then."""
URGENT = 0.02
"""Seconds from the end of a service's last usable server to a look at what could serve: many may end at once."""
ALONE = 1.0
"""Seconds between two looks whether a service is without a usable server, and has one that could serve."""
FOLLOW = 0.5
"""Seconds from a change to the sync that writes it into the file: several changes go into one."""
AGAIN = 1.0
"""Seconds after which what HAProxy refused, or could not be asked, is tried again."""
LONGEST_AGAIN = 10.0
"""Seconds that this grows to while nothing changes."""
SWEEP = 0.5
"""Seconds between two looks whether drained servers have finished."""
LOOK = 5.0
"""Seconds between two looks whether another worker of HAProxy runs, and whether new servers stay down."""
REASONS = 5
"""Reasons that are logged why a source does not answer: it may be another one than at first."""
STUCK = 20
"""New servers that stay down, from which on one reload costs less than checking them so often."""
RENEW = 600.0
"""Seconds between two such reloads."""


class Journal:
    """Where a session says what it does; ``Watcher`` writes log, figures and history from it."""

    def say(self, line: str) -> None:
        """A line of the log."""

    def changed(self, change: Change, cause: str, seconds: float | None) -> None:
        """A change of a server: why, and how long after its event."""

    def answered(self, source: str) -> None:
        """A source has answered."""

    def ready(self) -> None:
        """Everything was looked at once."""


class Session:
    """Follows the sources of one configuration, and changes HAProxy's servers.

    Args:
        settings: the configuration.
        journal: is told what happens.
        messages: where the sources' messages come in; the caller takes them out and gives them to ``step``.
        runtime: HAProxy's runtime socket; without it, that of the configuration.
        clock: the monotonic clock.
        followed: the sources; without it, those of the configuration.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        messages: Messages,
        *,
        runtime: Runtime | None = None,
        clock: Callable[[], float] = time.monotonic,
        followed: dict[str, Source] | None = None,
    ) -> None:
        self.settings = settings
        self._journal = journal
        self._clock = clock
        self._folder = settings.haproxy.run_directory
        self._folder.mkdir(parents=True, exist_ok=True)
        now = clock()
        self.timers = Timers(clock)
        self._known = LastKnownFile(settings.haproxy.state_file)
        self._stopping = StoppingContainers(self._folder, settings.watch.stop_grace, now)
        self._drains = DrainsFile(file_of(settings.haproxy))
        self._servers = HAProxyServers(
            runtime or Runtime(settings.haproxy.socket_file_path or ""),
            settings.watch.first_check_interval,
            settings.haproxy.drain_timeout,
            self._done,
            clock,
        )
        self._reconciler = Reconciler(
            settings,
            Catalog(settings, self._known.read(), now),
            self._servers,
            self._stopping,
            self._drains,
            self.failed,
            clock,
        )
        self._catalog = self._reconciler.catalog
        self._newer: dict[ContainerKey, float] = {}
        self._unreachable: dict[str, set[str]] = {}
        self._error = ""
        self._failures = 0
        self._again = AGAIN
        self.began = False
        self.haproxy_answers = False
        self._sources = sources(settings) if followed is None else followed
        self._followers: dict[str, Follower] = {
            name: source.follow(messages, settings.watch.resync_interval) for name, source in self._sources.items()
        }
        self.timers.soon("everything")

    def end(self) -> None:
        """Stop following."""
        for follower in self._followers.values():
            follower.end()

    def step(self, message: Message | None) -> None:
        """Take one message, and do what is due; the caller holds the lock of the servers.

        Raises:
            RuntimeApiError: HAProxy does not answer.
        """
        if self._drains.changed():
            # First of all: nothing gets traffic by what was so before.
            self._everything(Cause("operator"))
        if message is not None:
            self.take(message)
        self._do_what_is_due()
        self._plan_ahead()

    def failed(self, error: Exception) -> None:
        """Everything is looked at again, and root's sync is asked for what cannot be done at run time."""
        if str(error) != self._error:
            self._error = str(error)
            self._journal.say(logline(error=error))
        self.timers.soon("follow", FOLLOW)
        self.timers.soon("everything", self._again)
        self._failures += 1
        if not self._reconciler.unheard:
            # It watches, though HAProxy does not let it do all yet: nobody need wait for more.
            self._journal.ready()

    # What is due

    def _do_what_is_due(self) -> None:
        resync = self.settings.watch.resync_interval
        if self.timers.due("everything") or (self.began and self.timers.due("resync", resync)):
            self._everything(Cause("resync" if self.began else "start"))
        if self.timers.due("decide"):
            self._decide_anew()
        if self.timers.due("waiting"):
            for section in self._reconciler.sections_that_may_change():
                self._reconciler.look_again(section, Cause("another server is usable"))
        if self.timers.due("urgent"):
            urgent, self._reconciler.urgent = self._reconciler.urgent, set()
            for section in urgent:
                self._reconciler.look_again(section, Cause("no other server is usable"))
        if self.timers.due("alone"):
            for section in self._reconciler.sections_without_usable():
                self._reconciler.look_again(section, Cause("no other server is usable"))
        if self.timers.due("sweep"):
            if self._servers.sweep(self._reconciler.leaves, Cause("its requests are over")):
                self.timers.soon("sweep", SWEEP)
            self._reconciler.forget_those_out()
        if self.began and self.timers.due("look", LOOK):
            self._look()
        if self.timers.due("follow"):
            request(self._folder)

    def _plan_ahead(self) -> None:
        if self._reconciler.urgent:
            self.timers.soon("urgent", URGENT)
        if self._reconciler.waiting:
            self.timers.soon("waiting", WAITING)
        if self._reconciler.could_serve:
            self.timers.soon("alone", ALONE)
        times = [at for at in (self._reconciler.next, self._stopping.next) if at is not None]
        if times:
            self.timers.soon("decide", min(times) - self._clock())

    def _everything(self, cause: Cause) -> None:
        before = self._failures
        self._reconciler.everything(cause)
        self.haproxy_answers = True
        self.timers.soon("sweep", SWEEP)
        if self._failures == before:
            self._error, self._again = "", AGAIN
        else:
            self._again = min(2 * self._again, LONGEST_AGAIN)
        if not self.began and not self._reconciler.unheard:
            self.began = True
            servers = self._reconciler.wanted_count()
            hosts = len(self.settings.docker_hosts)
            self._journal.say(logline(state="ready", docker_hosts=hosts, servers=servers))
            self._journal.ready()

    def _decide_anew(self) -> None:
        """Time has passed: containers that still run long after their signal get traffic again, for one."""
        now = self._clock()
        over = self._stopping.over(now)
        if over:
            self._stopping.save()
        for container in over:
            self._reconciler.changed(self._catalog.keys(container), Cause("it still runs after stop_grace"))
        if due := self._reconciler.due(now):
            self._reconciler.changed(due, Cause("nothing takes its place"))

    def _look(self) -> None:
        self.haproxy_answers = False
        if self._servers.restarted():
            self._journal.say(logline(haproxy="another worker runs"))
            self._everything(Cause("resync"))
        self.haproxy_answers = True
        if self._servers.slow_down(Cause("it stays down")) > STUCK and self.timers.due("renew", RENEW):
            request(self._folder, renew=True)

    # What the sources say

    def take(self, message: Message) -> None:
        """Take one message into the catalog, and reconcile what it changes."""
        if isinstance(message, Heard):
            self._take_event(message)
        elif isinstance(message, Listing):
            self._take_listing(message)
        else:
            self._take_silence(message)

    def _take_event(self, heard: Heard) -> None:
        container = (heard.source, heard.event.container)
        keys = self._catalog.keys(container)
        cause = Cause(heard.event.action, heard.at)
        if not keys:
            return
        if heard.event.action in GONE:
            self._newer[container] = heard.at
            if self._stopping.end(container):
                self._stopping.save()
            self._reconciler.changed(self._catalog.gone(container), cause)
        elif heard.event.action == "pause":
            self._newer[container] = heard.at
            self._reconciler.changed(self._catalog.paused(container), cause)
        elif self._begins_to_stop(heard):
            try:
                self._reconciler.changed(keys, cause)
            finally:
                # Even if HAProxy does not answer: it is drained later then.
                self._stopping.save()

    def _begins_to_stop(self, heard: Heard) -> bool:
        """Whether a container is about to stop from now on."""
        container = (heard.source, heard.event.container)
        entries = [self._catalog.entries[key] for key in self._catalog.keys(container)]
        if not any(heard.event.stops(entry.service.discovery.stop_signals) for entry in entries):
            return False
        if heard.at + self._stopping.grace <= self._clock():
            return False
        self._stopping.begin(container, heard.at, (entry.endpoint.port for entry in entries))
        return True

    def _take_listing(self, listing: Listing) -> None:
        source = listing.source
        if source not in self._sources:
            return
        if source in self.settings.docker_hosts:
            self._journal.answered(source)
        self._reconciler.unreachable.discard(source)
        if self._unreachable.pop(source, None):
            self._journal.say(logline(source=source, state="answers"))
        first = source in self._reconciler.unheard
        self._heard_from(source)
        if listing.entries is not None:
            try:
                answer = self._sources[source].read(listing.entries, self._attributed(listing))
            except Exception as error:  # noqa: BLE001 (whatever a source says makes that source unreachable, and no other)
                self._take_silence(Unreachable(source, f"{source} gave no usable answer: {error!r}", repr(error)))
            else:
                self._take_entries(listing, answer)
        elif first:
            self._reconciler.changed(self._catalog.heard(source), Cause("resync"))

    def _attributed(self, listing: Listing) -> dict[str, set[str]]:
        """What is known of a source's containers: by this session, and by what syncs have found out."""
        attributed = self._catalog.attributed(listing.source, listing.ids)
        services = self.settings.services
        for name, ids in self._known.read().attributed(listing.source, services).items():
            attributed.setdefault(name, set()).update(ids)
        return attributed

    def _take_entries(self, listing: Listing, answer: Answer) -> None:
        source, now = listing.source, self._clock()
        events = {heard.event.container: heard for heard in listing.events}
        self._newer = {of: at for of, at in self._newer.items() if of[0] != source or at + SETTLES > listing.asked}
        newer = {container for of, container in self._newer if of == source}
        begun = {container for container, heard in events.items() if heard.event.action == "start"}
        changed = self._catalog.listed(source, answer, now, listing.ids, newer - begun)
        before = self._reconciler.unclear.get(source, frozenset()) if listing.ids is not None else frozenset()
        self._reconciler.unclear[source] = answer.unclear | before
        if answer.unclear:
            # The same list will say more when a sync has asked for their images.
            self._followers[source].read_anew()
        ended = self._those_started_again(source, begun, changed, events)
        for container, heard in events.items():
            # One that was sent its signal before anything was known of it.
            if (source, container) not in self._stopping.stops and self._begins_to_stop(heard):
                changed.setdefault(container, set()).update(self._catalog.keys((source, container)))
                ended = True
        if ended:
            self._stopping.save()
        self._reconciler.classify(key for keys in changed.values() for key in keys)
        for container, keys in changed.items():
            led = events.get(container)
            cause = Cause(led.event.action, led.at) if led else Cause("resync")
            self._reconciler.changed(keys, cause)

    def _those_started_again(
        self, source: str, begun: set[str], changed: dict[str, set[Key]], events: dict[str, Heard]
    ) -> bool:
        """Containers whose end, or whose beginning, was not heard are not about to stop any more."""
        ended = False
        for container in begun | changed.keys():
            of = (source, container)
            stopping = self._stopping.stops.get(of)
            if stopping is None:
                continue
            ports = {self._catalog.entries[key].endpoint.port for key in self._catalog.keys(of)}
            after = container in begun and stopping.until - self._stopping.grace < events[container].at
            if after or stopping.ports.isdisjoint(ports):
                ended = self._stopping.end(of)
                changed.setdefault(container, set()).update(self._catalog.keys(of))
        return ended

    def _take_silence(self, message: Unreachable) -> None:
        """Losing sight of a source is not the same as its containers being gone."""
        source = message.source
        self._reconciler.unreachable.add(source)
        reasons = self._unreachable.setdefault(source, set())
        if message.why not in reasons and len(reasons) < REASONS:
            reasons.add(message.why)
            self._journal.say(logline(source=source, state="unreachable", error=message.reason))
        if source in self._reconciler.unheard:
            keys = self._catalog.heard(source)
            self._heard_from(source)
            self._reconciler.changed(keys, Cause("unreachable"))

    def _heard_from(self, source: str) -> None:
        """Once each source has answered or failed to, what runs and nobody wants is known for sure."""
        if source in self._reconciler.unheard:
            self._reconciler.unheard.discard(source)
            if not self._reconciler.unheard:
                self.timers.soon("everything")

    # What was done

    def _done(self, change: Change, cause: Cause) -> None:
        """A change was made: it is logged, counted and remembered, and the file follows."""
        changed_servers.add(self._folder, change.server)
        seconds = None if cause.heard is None else self._clock() - cause.heard
        entry = self._catalog.entries.get(change.server)
        endpoint = entry.endpoint if entry else None
        why = change.reason or cause.what
        self._journal.say(
            logline(
                change=change.kind,
                service=self._catalog.sections[change.server[0]].name,
                server=change.server[1],
                address=endpoint and endpoint.address,
                docker_host=endpoint and endpoint.docker_host,
                container=endpoint and endpoint.container_name,
                cause=why,
                after_ms=None if seconds is None else 1000 * seconds,
            )
        )
        self._journal.changed(change, why, seconds)
        self.timers.soon("follow", FOLLOW)
        self.timers.soon("sweep", SWEEP)
