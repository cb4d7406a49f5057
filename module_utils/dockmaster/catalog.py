"""The catalog: the last thing that each source said, as servers of services. The only state that events write to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from .config.settings import Service, Settings
from .haproxy.servers import Key, key_of
from .model.endpoint import SHORT_ID, Endpoint
from .sources.protocol import Answer
from .sources.static import NAME as STATIC_SOURCE
from .state.last_known import LastKnown
from .state.stopping import ContainerKey

_NAMED_AFTER = re.compile(r"([0-9a-f]{12})_[0-9]{1,5}\Z")


class Condition(StrEnum):
    """What a source last said of an endpoint."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    PAUSED = "paused"
    LEFT = "left"
    """It runs, and is not of the service any more."""
    STATIC = "static"
    """A default server."""
    PREVIOUS = "previous"
    """It is gone, and the service keeps the last ones (use_previous_backends)."""


@dataclass(frozen=True)
class Entry:
    """An endpoint as a server of a service.

    Attributes:
        service: the service.
        endpoint: the endpoint.
        condition: what its source last said.
        since: since when it is not of the service any more, by the monotonic clock.
        remembered: whether only the file of what was last known says so: its source has not been heard yet.
        left_over: whether only HAProxy knows it: it is not in the file, and is no endpoint to go back to.
    """

    service: Service
    endpoint: Endpoint
    condition: Condition
    since: float = 0.0
    remembered: bool = False
    left_over: bool = False

    @property
    def container(self) -> ContainerKey:
        """Docker host and id of its container."""
        return self.endpoint.docker_host, self.endpoint.container_id


class Catalog:
    """Every endpoint that is known. A change costs as much as it is large, however many others there are.

    Args:
        settings: the configuration.
        known: what was last known.
        now: the monotonic clock.
        more: sources that playbooks have asked, and the configuration does not name.
    """

    def __init__(self, settings: Settings, known: LastKnown, now: float, more: Collection[str] = ()) -> None:
        self.sections = {service.proxy.backend_name: service for service in settings.services}
        self.entries: dict[Key, Entry] = {}
        self._keys: dict[ContainerKey, set[Key]] = {}
        self._containers: dict[str, set[str]] = {}
        self._listed: dict[str, set[str]] = {}
        self._of_section: dict[str, set[Key]] = {section: set() for section in self.sections}
        self._hosts = frozenset(settings.docker_hosts)
        self._more = frozenset(more)
        self._services = {service.name: service for service in settings.services}
        self._of_source: dict[str, list[Service]] = {STATIC_SOURCE: list(settings.services)}
        for service in settings.services:
            for host in service.discovery.servers:
                self._of_source.setdefault(host.name, []).append(service)
        for service in settings.services:
            self._remember(service, known, now)

    def _remember(self, service: Service, known: LastKnown, now: float) -> None:
        hosts = self._more.union(host.name for host in service.discovery.servers)
        left = known.left.get(service.name, {})
        for endpoint in known.endpoints.get(service.name, ()):
            key = key_of(service, endpoint)
            since = min(left.get(key[1], now), now)
            if endpoint.given_name:
                # Default servers are listed anew; what was one before has left.
                entry = Entry(service, endpoint, Condition.LEFT, since)
            elif key[1] in left or (self._hosts and endpoint.docker_host not in hosts):
                entry = Entry(service, endpoint, Condition.LEFT, since)
                # Nobody asks its Docker host any more: it is taken to run on.
                self._listed.setdefault(endpoint.docker_host, set()).add(endpoint.container_id[:SHORT_ID])
            elif not self._hosts and service.default_servers:
                # Nobody is asked for it any more.
                continue
            else:
                condition = Condition.UNHEALTHY if endpoint.unhealthy else Condition.HEALTHY
                condition = Condition.PAUSED if endpoint.paused else condition
                entry = Entry(service, endpoint, condition, remembered=True)
            self._add(key, entry)

    # What is known

    def keys(self, container: ContainerKey) -> frozenset[Key]:
        """The servers that a container is."""
        return frozenset(self._keys.get(container, ()))

    def of_section(self, section: str) -> Collection[Key]:
        """The servers of a section."""
        return self._of_section.get(section, ())

    def of_source(self, source: str) -> Iterator[Key]:
        """The servers that a source knows."""
        for container in self._containers.get(source, ()):
            yield from self._keys.get((source, container), ())

    def attributed(self, source: str, ids: Collection[str] | None) -> dict[str, set[str]]:
        """Ids of a source's containers by service: of these, or of all if None is given."""
        found: dict[str, set[str]] = {}
        for container in self._containers.get(source, ()) if ids is None else ids:
            for key in self._keys.get((source, container), ()):
                entry = self.entries[key]
                if entry.condition is not Condition.LEFT and not entry.remembered:
                    found.setdefault(entry.service.name, set()).add(container)
        return found

    def runs(self, name: str) -> bool:
        """Whether a source lists the container that a server is named after, whatever it serves."""
        found = _NAMED_AFTER.search(name)
        return found is not None and any(found[1] in listed for listed in self._listed.values())

    # What sources say

    def listed(
        self, source: str, answer: Answer, now: float, ids: Collection[str] | None = None, newer: Collection[str] = ()
    ) -> dict[str, set[Key]]:
        """Take over what a source lists.

        Args:
            source: its name.
            answer: what it said.
            now: the monotonic clock.
            ids: the containers that it was asked about; None for all.
            newer: containers of which something newer is known.

        Returns:
            The servers that have changed, by container.
        """
        listed = {one[:SHORT_ID] for one in answer.names}
        if ids is None:
            self._listed[source] = listed
        else:
            self._listed.setdefault(source, set()).difference_update(one[:SHORT_ID] for one in ids)
            self._listed[source] |= listed
        found = self._found(source, answer)
        scope = set(ids) if ids is not None else {*self._containers.get(source, ()), *found}
        changed: dict[str, set[Key]] = {}
        # Those that are gone come first: another may have taken the place of one.
        for container in sorted(scope.difference(newer), key=found.__contains__):
            for key in found.get(container, ()):
                there = self.entries.get(key)
                other = there is not None and self._of(key, there) != (source, container)
                if there and other and (there.left_over or there.remembered or there.condition is Condition.LEFT):
                    # This source knows it: its Docker host has another name by now, say.
                    self.forget(key)
            after = self._after(source, container, found.get(container, {}), answer, now)
            before = {key: self.entries[key] for key in self.keys((source, container))}
            keys = {key for key in before | after if before.get(key) != after.get(key)}
            if keys:
                changed[container] = keys
                self._put((source, container), after)
        return changed

    def _found(self, source: str, answer: Answer) -> dict[str, dict[Key, Entry]]:
        found: dict[str, dict[Key, Entry]] = {}
        for some, well in ((answer.endpoints, True), (answer.unhealthy, False)):
            for service in self._of_source.get(source, self._services.values()):
                for endpoint in some.get(service.name, ()):
                    if source == STATIC_SOURCE:
                        condition = Condition.STATIC
                    elif well:
                        condition = Condition.HEALTHY
                    else:
                        condition = Condition.PAUSED if endpoint.paused else Condition.UNHEALTHY
                    entry = Entry(service, endpoint, condition)
                    # Default servers have no id: each is one of its own.
                    of = endpoint.container_id or f"{service.name}/{endpoint.given_name}"
                    found.setdefault(of, {})[key_of(service, endpoint)] = entry
        return found

    def _after(
        self, source: str, container: str, found: Mapping[Key, Entry], answer: Answer, now: float
    ) -> dict[Key, Entry]:
        """What a container is after an answer: also what it was, if it runs on."""
        after = {key: entry for key, entry in found.items() if self._free(key, (source, container))}
        for key in self.keys((source, container)):
            entry = self.entries[key]
            if key in after:
                continue
            if container in answer.unclear:
                # Only the memory of an earlier answer says what it is.
                after[key] = replace(entry, remembered=False)
            elif (container in answer.running or entry.endpoint.given_name) and not any(
                one.service is entry.service for one in after.values()
            ):
                # A default server that the configuration does not have any more may have requests under way.
                left = entry.condition is Condition.LEFT
                after[key] = entry if left else replace(entry, condition=Condition.LEFT, since=now, remembered=False)
            elif entry.service.use_previous_backends and entry.condition is not Condition.LEFT:
                after[key] = replace(entry, condition=Condition.PREVIOUS, remembered=False)
        return after

    def heard(self, source: str) -> list[Key]:
        """A source does not answer, and was never heard: from now on what was last known of it counts."""
        keys = [key for key in self.of_source(source) if self.entries[key].remembered]
        for key in keys:
            self.entries[key] = replace(self.entries[key], remembered=False)
        return keys

    def gone(self, container: ContainerKey) -> frozenset[Key]:
        """A container runs no more; returns the servers that it was."""
        self._listed.get(container[0], set()).discard(container[1][:SHORT_ID])
        keys = self.keys(container)
        stay = {
            key: replace(self.entries[key], condition=Condition.PREVIOUS)
            for key in keys
            if self.entries[key].service.use_previous_backends and self.entries[key].condition is not Condition.LEFT
        }
        self._put(container, stay)
        return keys

    def paused(self, container: ContainerKey) -> frozenset[Key]:
        """A container is paused; returns the servers that it is."""
        keys = self.keys(container)
        for key in keys:
            if self.entries[key].condition is not Condition.LEFT:
                self.entries[key] = replace(self.entries[key], condition=Condition.PAUSED)
        return keys

    def add_left_over(self, key: Key, entry: Entry) -> None:
        """HAProxy has a server of ours that no source knows."""
        self._add(key, entry)

    def forget(self, key: Key) -> None:
        """A server is out, and its endpoint does not come back."""
        entry = self.entries.get(key)
        if entry:
            container = self._of(key, entry)
            self._put(container, {other: self.entries[other] for other in self.keys(container) if other != key})

    @staticmethod
    def _of(key: Key, entry: Entry) -> ContainerKey:
        if entry.endpoint.given_name:
            return STATIC_SOURCE, f"{entry.service.name}/{key[1]}"
        return entry.container

    def _free(self, key: Key, container: ContainerKey) -> bool:
        """Whether no other container is this server: only a host that lies shows two of one short id."""
        entry = self.entries.get(key)
        return entry is None or self._of(key, entry) == container

    def _add(self, key: Key, entry: Entry) -> None:
        container = self._of(key, entry)
        self._put(container, {**{other: self.entries[other] for other in self.keys(container)}, key: entry})

    def _put(self, container: ContainerKey, entries: Mapping[Key, Entry]) -> None:
        for key in self._keys.pop(container, ()):
            del self.entries[key]
            self._of_section[key[0]].discard(key)
        ids = self._containers.setdefault(container[0], set())
        ids.discard(container[1])
        if entries:
            ids.add(container[1])
            self._keys[container] = set(entries)
            self.entries.update(entries)
            for key in entries:
                self._of_section[key[0]].add(key)
