"""What is so, taken in one place: what the sources say, what HAProxy reports, what the operator wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from .catalog import Catalog, Condition, Entry
from .config.settings import Service, Settings
from .errors import SourceError
from .haproxy.apply import running
from .haproxy.runtime import MAINT, Running, ServerState
from .haproxy.servers import Key, is_checked, is_named_by_us, servers_of_the_operator
from .model.endpoint import SHORT_ID, Endpoint, Rejection
from .sources.protocol import Answer
from .sources.static import NAME as STATIC
from .sources.table import sources
from .state import drains as drains_file
from .state import last_known, stopping
from .state.drains import Drain, Drains
from .state.last_known import LastKnown
from .state.stopping import Stopping, Stops, stopping_of
from .traffic import Facts, ServiceFacts, Standing, Verdict, Wanted, best_of, decide, is_plain, standing_of

MAX_PARALLEL = 32
"""Sources that are asked at one time: one that hangs holds up none of the others."""


@dataclass(frozen=True)
class Found:
    """What the sources said.

    Attributes:
        answers: of each source that answered, by its name.
        unreachable: the reason of each source that did not.
        at: when they were asked, in seconds since 1970.
    """

    answers: Mapping[str, Answer]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0

    @property
    def rejected(self) -> list[Rejection]:
        """Containers that cannot serve, with the reason."""
        return [one for answer in self.answers.values() for one in answer.rejected]

    def names_of(self, host: str) -> frozenset[str] | None:
        """Names and ids of all containers of a Docker host; None if it did not answer."""
        answer = self.answers.get(host)
        return None if answer is None else frozenset(answer.names) | frozenset(answer.names.values())


Find = Callable[[LastKnown], Found]
"""Gives what the sources say, told what was last known."""


def ask(
    settings: Settings,
    known: LastKnown,
    timeout: int = 5,
    unreachable: Mapping[str, str] | None = None,
    *,
    lenient: bool = False,
) -> Found:
    """Ask every source of the configuration, all at one time.

    Args:
        settings: the configuration.
        known: what was last known: it says which service a container is of where Docker shows its image by id.
        timeout: seconds for the answer of one source.
        unreachable: sources that did not answer a moment ago, with the reason: they are not asked again.
        lenient: whether it is a finding like another that no Docker host answers.

    Raises:
        SourceError: no Docker host answered.
    """
    asked = sources(settings)
    failed = dict(unreachable or {})
    answers: dict[str, Answer] = {}
    at = time.time()
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        pending = {
            name: pool.submit(source.ask, known.attributed(name, settings.services), timeout)
            for name, source in asked.items()
            if name not in failed
        }
    for name, answer in pending.items():
        try:
            answers[name] = answer.result()
        except SourceError as error:
            failed[name] = str(error)
        except Exception as error:  # noqa: BLE001 (whatever a source does makes that source unreachable, and no other)
            failed[name] = f"{name} gave no usable answer: {error!r}"
    if settings.docker_hosts and not lenient and not answers.keys() & settings.docker_hosts.keys():
        raise SourceError(f"{'; '.join(failed.values())}. Nothing was changed")
    if not settings.docker_hosts:
        failed |= _asked_by_playbooks(settings, known)
    return Found(answers, failed, at)


def _asked_by_playbooks(settings: Settings, known: LastKnown) -> dict[str, str]:
    """Docker hosts that only playbooks ask: what they said last counts, as of hosts that are unreachable."""
    hosts = {
        one.docker_host
        for service in settings.services
        for one in known.endpoints.get(service.name, ())
        if one.docker_host and not service.default_servers
    }
    return {host: f"{host} is not asked from here" for host in sorted(hosts)}


def given(
    settings: Settings,
    known: LastKnown,
    endpoints: Mapping[str, Sequence[Endpoint]],
    unhealthy: Mapping[str, Sequence[Endpoint]] | None = None,
    unreachable: Mapping[str, str] | None = None,
    running: Mapping[str, Iterable[str]] | None = None,
) -> Found:
    """What a playbook has found: everything on the Docker hosts that are not unreachable.

    Args:
        settings: the configuration.
        known: what was last known; its hosts that are named nowhere have nothing.
        endpoints: the healthy ones by service.
        unhealthy: the others that run, by service.
        unreachable: Docker hosts that did not answer, with the reason.
        running: ids of all containers that run, by Docker host.
    """
    unhealthy, unreachable, running = unhealthy or {}, unreachable or {}, running or {}
    hosts = {one.docker_host for some in (*endpoints.values(), *unhealthy.values()) for one in some}
    hosts |= {one.docker_host for some in known.endpoints.values() for one in some if one.docker_host} | running.keys()
    answers = {STATIC: sources(settings)[STATIC].ask({}, 0)}
    for host in hosts - unreachable.keys():
        well, ill = (
            {name: [one for one in found if one.docker_host == host] for name, found in some.items()}
            for some in (endpoints, unhealthy)
        )
        there = [one for some in (*well.values(), *ill.values()) for one in some]
        names = {one.container_id: one.container_name for one in there}
        # Where the configuration has Docker hosts, their own answers say better which containers there are.
        names = {} if settings.docker_hosts else {**dict.fromkeys(running.get(host, ()), ""), **names}
        answers[host] = Answer(well, ill, running=frozenset(running.get(host, ())) | names.keys(), names=names)
    return Found(answers, unreachable, time.time())


@dataclass(frozen=True)
class Decided:
    """A server, everything that is known of it, and what is wanted of it.

    Attributes:
        key: section and name.
        service: its service.
        facts: what was decided by.
        verdict: the decision.
    """

    key: Key
    service: Service
    facts: Facts
    verdict: Verdict

    @property
    def entry(self) -> Entry | None:
        """What its source last said."""
        return self.facts.entry

    @property
    def address(self) -> str:
        """What HAProxy dials: as its source says it, or else as HAProxy does; empty if neither knows it."""
        known = self.entry.endpoint if self.entry else self.facts.state
        return known.address if known else ""

    @property
    def docker_host(self) -> str:
        """Where its container runs; empty if no source says so."""
        return self.entry.endpoint.docker_host if self.entry else ""

    @property
    def container(self) -> str:
        """The container's name; empty if no source says it."""
        return self.entry.endpoint.container_name if self.entry else ""


@dataclass(frozen=True)
class Snapshot:
    """What is so at one moment.

    Attributes:
        settings: the configuration.
        known: what was last known.
        found: what the sources said.
        catalog: both together.
        stops: containers that are about to stop.
        drains: what the operator has drained.
        running: what HAProxy reports; None if it cannot be asked.
        now: the monotonic clock.
    """

    settings: Settings
    known: LastKnown
    found: Found
    catalog: Catalog
    stops: Stops
    drains: Drains
    running: Running | None
    now: float

    @classmethod
    def taken(
        cls,
        settings: Settings,
        find: Find | None = None,
        *,
        drains: Drains | None = None,
        unreachable: Mapping[str, str] | None = None,
        lenient: bool = False,
    ) -> Snapshot:
        """Ask the sources and HAProxy, and read what the processes leave each other.

        Args:
            settings: the configuration.
            find: gives what the sources say; without it they are asked.
            drains: what is drained, if the file does not say so yet.
            unreachable: sources that did not answer a moment ago, with the reason.
            lenient: whether it is a finding like another that no Docker host answers.

        Raises:
            SourceError: nobody answered.
        """
        haproxy = settings.haproxy
        known = last_known.load(haproxy.state_file)
        ask_them = find or partial(ask, settings, unreachable=unreachable, lenient=lenient)
        found = ask_them(known)
        now = time.monotonic()
        catalog = Catalog(settings, known, now, found.unreachable.keys() | found.answers.keys())
        for source in found.unreachable:
            catalog.heard(source)
        for source, answer in found.answers.items():
            catalog.listed(source, answer, now)
        return cls(
            settings,
            known,
            found,
            catalog,
            stopping.load(haproxy.run_directory, settings.watch.stop_grace, now),
            drains_file.load(drains_file.file_of(haproxy)) if drains is None else drains,
            running(haproxy),
            now,
        )

    def with_running(self, now: Running | None) -> Snapshot:
        """The same with what HAProxy reports now."""
        return replace(self, running=now)

    def with_drains(self, drains: Drains) -> Snapshot:
        """The same with something else drained."""
        return replace(self, drains=drains)

    @cached_property
    def decided(self) -> dict[Key, Decided]:
        """Every server of ours, with what is wanted of it, section by section."""
        return {one.key: one for section in self.catalog.sections for one in self._of_section(section)}

    def of_service(self, service: Service) -> list[Decided]:
        """The servers of a service."""
        return [one for one in self.decided.values() if one.key[0] == service.proxy.backend_name]

    def usable(self, service: Service) -> int:
        """How many servers of a service HAProxy finds usable, the operator's own included."""
        return sum(state.usable for state in self._states.get(service.proxy.backend_name, {}).values())

    def operators_usable(self, service: Service) -> bool:
        """Whether a server that the operator writes into the section himself is usable."""
        theirs = servers_of_the_operator(service)
        states = self._states.get(service.proxy.backend_name, {})
        return any(state.usable for key, state in states.items() if key[1] in theirs)

    def _of_section(self, section: str) -> Iterator[Decided]:
        service = self.catalog.sections[section]
        theirs = servers_of_the_operator(service)
        states = {key: one for key, one in self._states.get(section, {}).items() if key[1] not in theirs}
        entries = {key: self.catalog.entries[key] for key in self.catalog.of_section(section)}
        gone = []
        for key in states.keys() - entries.keys():
            if not (is_named_by_us(key[1]) or key in self._before):
                continue
            if states[key].admin != MAINT and may_be_known(service, key[1], self.found.unreachable, self._unclear):
                continue
            since = min(self.known.left.get(service.name, {}).get(key[1], self.now), self.now)
            runs = states[key].admin != MAINT and self.catalog.runs(key[1])
            if runs and (entry := left_over(service, states[key], since)):
                entries[key] = entry
            else:
                gone.append(key)
        about = {key: self._about(entry) for key, entry in entries.items()}
        healthy = sum(is_plain(entries[key], *what) for key, what in about.items())
        standings = {key: standing_of(entry, *about[key], healthy) for key, entry in entries.items()}
        facts = ServiceFacts(healthy, self._best(section, standings, theirs))
        for key in sorted((*entries, *gone)):
            entry, state = entries.get(key), states.get(key)
            stops, drain = about.get(key, (None, None))
            served = key in self._before if self.running is None else state is not None
            one = Facts(entry, stops, drain, state, served, self.settings.haproxy.drain_timeout, self.now, facts)
            yield Decided(key, service, one, decide(one))

    def _about(self, entry: Entry) -> tuple[Stopping | None, Drain | None]:
        return stopping_of(self.stops, entry.endpoint, self.now), self.drains.covering(entry.endpoint)

    def _best(self, section: str, standings: Mapping[Key, Standing], theirs: frozenset[str]) -> Standing | None:
        if self.running is None:
            # HAProxy cannot be asked, so what is healthy counts as usable.
            return Standing.HEALTHY if Standing.HEALTHY in standings.values() else None
        if Standing.HEALTHY in standings.values() and not is_checked(self.settings, self.catalog.sections[section]):
            # They are usable as soon as they are there.
            return Standing.HEALTHY
        states = self._states.get(section, {})
        own = ((Standing.HEALTHY, states[key]) for key in states if key[1] in theirs)
        return best_of([*((standing, states.get(key)) for key, standing in standings.items()), *own])

    @cached_property
    def _states(self) -> dict[str, dict[Key, ServerState]]:
        states: dict[str, dict[Key, ServerState]] = {}
        for key, state in (self.running.servers if self.running else {}).items():
            states.setdefault(key[0], {})[key] = state
        return states

    @cached_property
    def _unclear(self) -> frozenset[str]:
        return frozenset(one for answer in self.found.answers.values() for one in answer.unclear)

    @cached_property
    def _before(self) -> frozenset[Key]:
        """Servers that were known before."""
        return frozenset(
            (service.proxy.backend_name, one.server_name(with_host=service.named_with_host))
            for service in self.settings.services
            for one in self.known.endpoints.get(service.name, ())
        )

    @property
    def serving(self) -> dict[str, list[Endpoint]]:
        """The endpoints that are to get traffic, by service."""
        found: dict[str, list[Endpoint]] = {service.name: [] for service in self.settings.services}
        for one in self.decided.values():
            if one.verdict.wanted is Wanted.SERVE and one.entry and not one.entry.left_over:
                found[one.service.name].append(one.entry.endpoint)
        return found

    @property
    def last_usable(self) -> list[Decided]:
        """Servers that go on serving only because no better one is usable."""
        may_end = (Standing.UNHEALTHY, Standing.STOPPING)
        return [one for one in self.decided.values() if one.verdict.waits and one.verdict.standing in may_end]

    def to_remember(self, answered: Mapping[str, float]) -> LastKnown:
        """What is known from now on.

        Args:
            answered: when sources that are unreachable had last answered.
        """
        endpoints: dict[str, list[Endpoint]] = {service.name: [] for service in self.settings.services}
        left: dict[str, dict[str, float]] = {}
        for one in self.decided.values():
            entry, state = one.entry, one.facts.state
            if entry is None or one.verdict.standing is Standing.GONE:
                continue
            serves = one.verdict.wanted is Wanted.SERVE
            if entry.condition is Condition.LEFT:
                if not serves and (state is None or state.admin == MAINT):
                    continue
                left.setdefault(one.service.name, {})[one.key[1]] = entry.since
                if entry.left_over:
                    continue
            elif not serves and not (one.facts.served or one.key in self._before):
                # It has never served, so it is no endpoint that one would go back to.
                continue
            endpoints[one.service.name].append(entry.endpoint)
        selections = {service.name: last_known.selection(service) for service in self.settings.services}
        return LastKnown(endpoints, left, selections, answered)


def may_be_known(service: Service, name: str, unreachable: Collection[str], unclear: Collection[str]) -> bool:
    """Whether a source that cannot tell now may know a server that no other source does: it is then left alone.

    Args:
        service: the server's service.
        name: the server's name.
        unreachable: sources that do not answer.
        unclear: ids of containers whose image would have to be asked for.
    """
    if any(f"{one[:SHORT_ID]}_" in name for one in unclear):
        return True
    if service.named_with_host:
        return any(name.startswith(f"{host}_") for host in unreachable)
    return any(host.name in unreachable for host in service.discovery.servers)


def left_over(service: Service, state: ServerState, since: float) -> Entry | None:
    """A server that HAProxy has, and that no source knows, as an endpoint that has left its service."""
    try:
        endpoint = Endpoint("", "", state.host, state.port, given_name=state.name)
        return Entry(service, endpoint, Condition.LEFT, since, left_over=True)
    except ValueError:
        return None
