"""Histories of a simulated world: what may happen in it, in any order, and what has to hold whatever happens."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.simulation.promises import Promises
from tests.simulation.simulated_docker import HUP, TERM, Container, Fault, SimulatedHost
from tests.simulation.simulated_haproxy import Refusal
from tests.simulation.world import OTHERS, World

HOSTS = {"one": "127.0.0.1", "two": "127.0.0.2"}
IMAGES = ("local/web", "local/api", "local/other")
MOST = 4
"""Containers of a host at one time."""
COMMANDS = ("add server", "set server", "del server", "enable health")
counted: Counter[str] = Counter()
"""Histories and steps that were gone through."""

pick = st.integers(0, 7)
host = st.sampled_from(sorted(HOSTS))
seconds = st.sampled_from([0.02, 0.15, 0.4, 1.0, 3.0, 8.0, 25.0, 70.0])


def configuration(
    web: str = "local/web", hosts: tuple[str, ...] = ("one", "two"), line: str = "", api: str = "plain"
) -> dict[str, Any]:
    """A configuration as the operator may write it.

    Args:
        web: the image of the service web.
        hosts: its Docker hosts.
        line: one more line of its section.
        api: what is special about the other service: ``plain``, ``default``, ``beside`` or ``previous``.
    """
    servers = [{"name": name, "host": HOSTS[name]} for name in hosts]
    special: dict[str, Any] = {"use_previous_backends": True} if api == "previous" else {}
    if api in ("default", "beside"):
        special = {"default_servers": [{"name": "spare", "host": OTHERS[0], "port": 9}]}
        special["keep_default_servers"] = api == "beside"
    listen = ["mode http", "option httpchk GET /", *([line] if line else [])]
    return {
        "services": {
            "web": {
                "discovery": {"image_name": web, "container_port": 8000, "servers": servers},
                "haproxy": {"port": 8080, "listen": listen},
            },
            "api": {
                "discovery": {
                    "image_name": "local/api",
                    "container_port": 8000,
                    "servers": [{"name": "one", "host": HOSTS["one"]}],
                },
                "haproxy": {"port": 8081, "listen": ["mode http"]},
                **special,
            },
        }
    }


class Histories(RuleBasedStateMachine):
    """Anything may happen. The watcher and syncs keep their promises."""

    def __init__(self) -> None:
        super().__init__()
        counted["histories"] += 1

    @initialize(
        version=st.sampled_from(["2.6", "3.0"]),
        api=st.sampled_from(["plain", "default", "beside", "previous"]),
        latency=st.sampled_from([0.0, 0.02]),
    )
    def begin(self, version: str, api: str, latency: float) -> None:
        """Everything runs: two containers of the one service, one of the other."""
        self.api = api
        self.world = World(version, configuration(api=api), HOSTS)
        self.world.latency = latency
        self.promises = Promises(self.world)
        self.ports = iter(range(4001, 9999))
        self.machine("one").start("local/web", self.port())
        self.machine("two").start("local/web", self.port())
        self.machine("one").start("local/api", self.port())
        self.world.sync()
        self.world.haproxy.start()
        self.promises.described()
        self.world.start_watcher()
        self.world.advance(12.0)

    def machine(self, name: str) -> SimulatedHost:
        """A Docker host."""
        return self.world.machines.hosts[name]

    def port(self) -> int:
        """One that nobody has had."""
        return next(self.ports)

    def container(self, name: str, number: int) -> Container | None:
        """One of a host's containers."""
        there = list(self.machine(name).containers.values())
        return there[number % len(there)] if there else None

    # Containers

    @rule(
        name=host,
        image=st.sampled_from(IMAGES),
        health=st.sampled_from(["", "starting"]),
        after=st.sampled_from([0.0, 0.5, 15.0]),
    )
    def a_container_starts(self, name: str, image: str, health: str, after: float) -> None:
        """It listens at once, or later."""
        if len(self.machine(name).containers) < MOST:
            self.machine(name).start(image, self.port(), health=health, listens_after=after)

    @rule(name=host, number=pick, health=st.sampled_from(["healthy", "unhealthy"]))
    def its_health_changes(self, name: str, number: int, health: str) -> None:
        """As its HEALTHCHECK says."""
        if container := self.container(name, number):
            self.machine(name).change(container, f"health_status: {health}", health=health)

    @rule(name=host, number=pick)
    def it_is_paused_or_goes_on(self, name: str, number: int) -> None:
        """Whichever it was not."""
        if container := self.container(name, number):
            action = "unpause" if container.paused else "pause"
            self.machine(name).change(container, action, paused=not container.paused)

    @rule(name=host, number=pick, signal=st.sampled_from([TERM, TERM, HUP]))
    def it_is_sent_a_signal(self, name: str, number: int, signal: int) -> None:
        """It may ignore it."""
        if container := self.container(name, number):
            self.machine(name).signal(container, signal)

    @rule(name=host, number=pick)
    def it_dies(self, name: str, number: int) -> None:
        """Told to or not."""
        if container := self.container(name, number):
            self.machine(name).die(container)

    @rule(name=host, number=pick, elsewhere=st.booleans(), after=st.sampled_from([0.0, 2.0]))
    def it_restarts(self, name: str, number: int, elsewhere: bool, after: float) -> None:
        """At the same port, or at another."""
        if container := self.container(name, number):
            self.machine(name).restart(container, self.port() if elsewhere else container.port, after)

    @rule(name=host, number=pick)
    def it_loses_its_network_or_gets_one(self, name: str, number: int) -> None:
        """Without one its port is not published."""
        if container := self.container(name, number):
            action, port = ("disconnect", 0) if container.port else ("connect", self.port())
            self.machine(name).change(container, action, port=port)

    # Docker hosts

    @rule(name=host, fault=st.sampled_from(["lost", "twice", "late"]), late=st.sampled_from([0.05, 0.35, 2.0]))
    def an_event_goes_astray(self, name: str, fault: str, late: float) -> None:
        """The next one."""
        late = late if fault == "late" else 0.0
        self.machine(name).faults.append(Fault(lost=fault == "lost", twice=fault == "twice", late=late))

    @rule(name=host, lag=st.sampled_from([0.0, 0.05, 0.1]))
    def its_list_lags_behind(self, name: str, lag: float) -> None:
        """By so many seconds."""
        self.machine(name).lag = lag

    @rule(name=host)
    def it_is_cut_off(self, name: str) -> None:
        """Its containers serve on."""
        if self.machine(name).reachable:
            self.machine(name).cut_off()
            self.promises.cut_off(name)

    @rule(name=host, replaced=st.booleans())
    def it_is_back(self, name: str, replaced: bool) -> None:
        """As it was, or another machine in its place."""
        if not self.machine(name).reachable:
            if replaced:
                self.machine(name).replace()
            self.machine(name).reachable = True
            self.promises.back(name)

    # HAProxy

    @rule(crash=st.booleans())
    def haproxy_is_reloaded_or_restarted(self, crash: bool) -> None:
        """By somebody else, with the file that is there."""
        if crash:
            self.world.haproxy.crash()
            self.world.work()
        self.world.haproxy.start()
        self.promises.described()
        self.promises.disturbed()

    @rule(how=st.sampled_from(["silent", "cut", "slow"]), for_seconds=seconds)
    def haproxy_does_not_answer_well(self, how: str, for_seconds: float) -> None:
        """For a while."""
        haproxy = self.world.haproxy
        haproxy.silent, haproxy.cut, haproxy.seconds = how == "silent", 7 if how == "cut" else None, 0.0
        if how == "slow":
            haproxy.seconds = 0.2
        self.promises.disturbed()
        self.world.advance(for_seconds)
        haproxy.silent, haproxy.cut, haproxy.seconds = False, None, 0.0
        self.promises.disturbed()

    @rule(begin=st.sampled_from(COMMANDS), times=st.sampled_from([1, 3]))
    def haproxy_will_refuse_a_command(self, begin: str, times: int) -> None:
        """The next one that begins so."""
        self.world.haproxy.refusals.append(Refusal(begin, "out of memory.\n\n", times))

    @rule(number=pick, sessions=st.sampled_from([0, 2]))
    def requests_are_under_way(self, number: int, sessions: int) -> None:
        """On one of the servers, from now on."""
        servers = list(self.world.haproxy.servers().values())
        if servers:
            servers[number % len(servers)].sessions = sessions

    # Who acts

    @rule()
    def the_watcher_is_killed(self) -> None:
        """At once."""
        self.world.kill_watcher()

    @rule(commands=st.integers(0, 4))
    def the_watcher_will_be_killed(self, commands: int) -> None:
        """In the middle of what it does next."""
        if self.world.session:
            self.world.kill_after = commands

    @precondition(lambda self: self.world.session is None)
    @rule()
    def the_watcher_starts(self) -> None:
        """With what its files say."""
        self.world.kill_after = None
        self.world.start_watcher()
        self.promises.disturbed()

    @rule(prompt=st.booleans())
    def syncs_come_when_they_are_asked_for(self, prompt: bool) -> None:
        """Or do not."""
        self.world.prompt = prompt

    @rule(name=host, number=pick, meanwhile=st.sampled_from(["", "die", "start", "unhealthy"]))
    def a_sync(self, name: str, number: int, meanwhile: str) -> None:
        """Something may happen after Docker has answered it, that the watcher hears of."""

        def happens() -> None:
            container = self.container(name, number)
            if meanwhile == "start":
                self.machine(name).start("local/web", self.port())
            elif container and meanwhile == "die":
                self.machine(name).die(container)
            elif container:
                self.machine(name).change(container, "health_status: unhealthy", health="unhealthy")
            self.world.work_as_watcher()

        self.world.while_asked = happens if meanwhile else None
        self.world.sync()
        self.world.while_asked = None

    @rule(name=host, number=st.none() | pick)
    def the_operator_drains(self, name: str, number: int | None) -> None:
        """A Docker host, or a container."""
        container = None if number is None else self.container(name, number)
        if number is None or container:
            self.world.drain(name, container.name if container else "")

    @rule(number=pick)
    def the_operator_has_it_back(self, number: int) -> None:
        """What was drained."""
        if drains := self.world.drains:
            self.world.make_ready(drains[number % len(drains)])

    @rule(
        web=st.sampled_from(["local/web", "local/other"]),
        hosts=st.sampled_from([("one", "two"), ("one",), ("two",)]),
        line=st.sampled_from(["", "", "option forwardfor"]),
    )
    def the_configuration_changes(self, web: str, hosts: tuple[str, ...], line: str) -> None:
        """Which image and which hosts, or HAProxy's part of it."""
        self.promises.configured()
        self.world.configure(configuration(web, hosts, line, self.api))

    # Time

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        """And everybody does what falls due."""
        self.world.advance(seconds)

    @rule()
    def things_calm_down(self) -> None:
        """Nothing is wrong any more, and nothing happens."""
        self.calm()

    def calm(self) -> None:
        """Nothing is wrong any more; all promises are held against what comes of it."""
        world = self.world
        world.kill_after = None
        haproxy = world.haproxy
        haproxy.refusals.clear()
        haproxy.silent, haproxy.cut, haproxy.seconds = False, None, 0.0
        for server in haproxy.servers().values():
            server.sessions = 0
        for name in HOSTS:
            machine = self.machine(name)
            machine.faults.clear()
            machine.lag, machine.reachable = 0.0, True
            self.promises.back(name)
        world.prompt = True
        if world.session is None:
            world.start_watcher()
        self.promises.disturbed()
        self.promises.hold_at_calm()

    @invariant()
    def promises_hold(self) -> None:
        """Whatever has just happened."""
        counted["steps"] += 1
        if hasattr(self, "world"):
            self.world.work()
            self.promises.hold()

    def teardown(self) -> None:
        """A history ends in calm."""
        if hasattr(self, "world"):
            try:
                self.calm()
            finally:
                self.world.end()
