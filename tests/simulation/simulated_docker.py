"""Docker hosts in this process: what runs on them, what they list and what they tell, by a simulated clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.clock import Clock

TERM, HUP = 15, 1


@dataclass(frozen=True)
class Container:
    """A container that runs.

    Attributes:
        id: its id.
        name: its name.
        image: what it was made from.
        port: where its host publishes its port; 0 if it does not.
        health: ``healthy``, ``unhealthy``, ``starting``, or empty without a HEALTHCHECK.
        paused: whether it is.
        listens_from: when the process inside takes connections.
    """

    id: str
    name: str
    image: str
    port: int
    health: str = ""
    paused: bool = False
    listens_from: float = 0.0

    def entry(self) -> dict[str, Any]:
        """As ``GET /containers/json`` shows it."""
        health = {"": "", "starting": " (health: starting)"}.get(self.health, f" ({self.health})")
        ports = [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": self.port, "Type": "tcp"}] if self.port else []
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.image,
            "Labels": {},
            "State": "paused" if self.paused else "running",
            "Status": f"Up 5 seconds{' (Paused)' if self.paused else health}",
            "Ports": ports,
            "NetworkSettings": {"Networks": {}},
            "HostConfig": {"NetworkMode": "bridge"},
        }


@dataclass(frozen=True)
class Happening:
    """An event, as whoever follows is told it.

    Attributes:
        container: the id.
        action: what happened.
        signal: of a kill.
    """

    container: str
    action: str
    signal: int | None = None


Hear = Callable[[Happening], None]


@dataclass
class Fault:
    """What goes wrong with the next event.

    Attributes:
        lost: whether it never comes.
        twice: whether it comes a second time, later.
        late: seconds after which it comes; what happens meanwhile overtakes it.
    """

    lost: bool = False
    twice: bool = False
    late: float = 0.0


class SimulatedHost:
    """A Docker host.

    Attributes:
        name: its name.
        address: of its published ports.
        containers: what runs, by id.
        reachable: whether it answers; its containers serve on if it does not.
        lag: seconds that its list lags behind its events.
        faults: of the next events, in order.
        listeners: who follows its events now.
        ended: when containers last ended, by id.
        uncertain: ids of containers of which nobody may have heard the latest.
    """

    def __init__(self, name: str, address: str, clock: Clock) -> None:
        self.name = name
        self.address = address
        self.containers: dict[str, Container] = {}
        self.reachable = True
        self.lag = 0.0
        self.faults: list[Fault] = []
        self.listeners: list[Hear] = []
        self.ended: dict[str, float] = {}
        self.uncertain: set[str] = set()
        self._touched: dict[str, float] = {}
        self._clock = clock
        self._history: list[tuple[float, list[dict[str, Any]]]] = [(0.0, [])]
        self._late: list[tuple[float, Happening]] = []
        self._made = 0

    # What happens

    def start(self, image: str, port: int, *, health: str = "", listens_after: float = 0.0) -> Container:
        """A new container."""
        self._made += 1
        number = hashlib.sha256(f"{self.name} {self._made}".encode()).hexdigest()
        container = Container(number, f"c{self._made}", image, port, health, listens_from=self._clock() + listens_after)
        self._put(container, Happening(number, "start"))
        return container

    def change(self, container: Container, action: str, **changes: Any) -> None:
        """Something happens to a container, and is told."""
        self._put(replace(container, **changes), Happening(container.id, action))

    def signal(self, container: Container, number: int) -> None:
        """A container is sent a signal."""
        self._tell(Happening(container.id, "kill", number))

    def die(self, container: Container) -> None:
        """A container ends."""
        del self.containers[container.id]
        self.ended[container.id] = self._clock()
        self._remember()
        self._tell(Happening(container.id, "die"))

    def restart(self, container: Container, port: int, listens_after: float = 0.0) -> None:
        """A container ends, and is started again, where it may be reached at another port."""
        self.die(container)
        health = "starting" if container.health else ""
        again = replace(container, port=port, health=health, paused=False, listens_from=self._clock() + listens_after)
        self._put(again, Happening(container.id, "start"))

    def cut_off(self) -> None:
        """It cannot be reached from now on; what happened just before may be known to nobody."""
        self.reachable = False
        self.uncertain |= {one for one, at in self._touched.items() if at > self._clock() - 1.0}

    def replace(self) -> None:
        """Another machine has its name from now on: nothing runs there yet."""
        self.containers.clear()
        self._remember()

    def listens(self, port: int) -> bool:
        """Whether somebody takes connections at a published port; a paused process does not."""
        now = self._clock()
        return any(one.port == port and not one.paused and one.listens_from <= now for one in self.containers.values())

    # What is told of it

    def listed(self, ids: Collection[str] | None = None) -> list[dict[str, Any]]:
        """The list as it is given now: as things were a moment ago."""
        at = self._clock() - self.lag
        entries = next(entries for since, entries in reversed(self._history) if since <= at)
        return [one for one in entries if ids is None or one["Id"] in ids]

    @property
    def next(self) -> float | None:
        """When the next event that is late comes."""
        return min((at for at, _ in self._late), default=None)

    def tick(self) -> None:
        """Tell what is late and due."""
        now = self._clock()
        due = sorted((one for one in self._late if one[0] <= now), key=lambda one: one[0])
        self._late = [one for one in self._late if one[0] > now]
        for _, happening in due:
            self._deliver(happening)

    def _put(self, container: Container, happening: Happening) -> None:
        self.containers[container.id] = container
        self._remember()
        self._tell(happening)

    def _remember(self) -> None:
        self._history = self._history[-20:]
        self._history.append((self._clock(), [one.entry() for one in self.containers.values()]))

    def _tell(self, happening: Happening) -> None:
        fault = self.faults.pop(0) if self.faults else Fault()
        self._touched[happening.container] = self._clock()
        if fault.lost or fault.late or not self.reachable:
            self.uncertain.add(happening.container)
        if fault.lost:
            return
        if fault.twice:
            self._late.append((self._clock() + 0.5, happening))
        if fault.late:
            self._late.append((self._clock() + fault.late, happening))
        else:
            self._deliver(happening)

    def _deliver(self, happening: Happening) -> None:
        if self.reachable:
            for hear in list(self.listeners):
                hear(happening)


@dataclass
class Machines:
    """All Docker hosts, as HAProxy's checks see them.

    Attributes:
        hosts: by name.
        others: addresses of machines without Docker where somebody always takes connections.
    """

    hosts: dict[str, SimulatedHost] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    def listens(self, address: str, port: int) -> bool:
        """Whether somebody takes connections there."""
        return address in self.others or any(
            host.address == address and host.listens(port) for host in self.hosts.values()
        )
