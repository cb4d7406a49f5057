"""One server of the simulated HAProxy: what it was told, what its checks found, and how HAProxy puts that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.haproxy_file import Options, Section

Listens = Callable[[str, int], bool]
"""Whether somebody takes connections at an address and a port."""

_MAINT, _DISABLED_BY_THE_FILE, _DRAIN = 0x01, 0x04, 0x08
_STOPPED, _RUNNING = 0, 2
_CONFIGURED, _ENABLED, _PAUSED, _AGENT = 2, 4, 8, 16
_FAILED, _PASSED = 2, 3
_STATUS_NUMBERS = {"INI": 1, "L4OK": 6, "L4CON": 8, "L7OK": 15}


@dataclass
class SimulatedServer:
    """A server, in the words of HAProxy's src/server.c and src/check.c.

    Attributes:
        section: that it is in.
        number: within its section.
        name: its name.
        host: what is dialled; port: likewise.
        options: of its line.
        drain_counts: whether a drain changes the time of its last change: 2.6 says so, and 3.0 not.
        sessions: under way.
        requests: so far.
    """

    section: Section
    number: int
    name: str
    host: str
    port: int
    options: Options
    drain_counts: bool
    sessions: int = 0
    requests: int = 0
    weight: int = field(init=False)
    next_check: float = field(init=False, default=0.0)
    _admin: int = field(init=False, default=0)
    _state: int = field(init=False, default=_RUNNING)
    _health: int = field(init=False, default=0)
    _check: int = field(init=False, default=0)
    _check_status: str = field(init=False, default="INI")
    _result: int = field(init=False, default=0)
    _changed: float = field(init=False, default=0.0)
    _agent: int = field(init=False, default=0)
    _agent_up: bool = field(init=False, default=False)

    def begin(self, now: float, *, dynamic: bool) -> None:
        """HAProxy has read it from its file, or it has just been added."""
        options = self.options
        self.weight, self._changed = options.weight, now
        self._check = _CONFIGURED | _ENABLED if options.check else 0
        self._health = options.rise
        self._agent = _CONFIGURED | _ENABLED | _AGENT if options.agent else 0
        if dynamic or options.disabled:
            self._admin, self._state, self._health = _MAINT, _STOPPED, 0
        if dynamic:
            self._check &= ~_ENABLED
            self._agent &= ~_ENABLED
        elif options.disabled:
            self._admin |= _DISABLED_BY_THE_FILE
            self._check |= _PAUSED

    # What it is

    @property
    def usable(self) -> bool:
        """Whether it gets new requests."""
        return not self._admin & (_MAINT | _DRAIN) and self._state == _RUNNING and self.weight > 0

    @property
    def in_maintenance(self) -> bool:
        """Whether it was told so."""
        return bool(self._admin & _MAINT)

    @property
    def checked(self) -> bool:
        """Whether its line asks for checks."""
        return bool(self._check & _CONFIGURED)

    @property
    def has_agent(self) -> bool:
        """Whether its line asks for an agent."""
        return bool(self._agent & _CONFIGURED)

    @property
    def told(self) -> str:
        """``ready``, ``drain`` or ``maint``."""
        return "maint" if self._admin & _MAINT else "drain" if self._admin & _DRAIN else "ready"

    def status(self) -> str:
        """As the column of ``show stat``."""
        rise, fall, enabled = self.options.rise, self.options.fall, self._check & _ENABLED
        if self._admin & _MAINT:
            return "MAINT"
        if self._state == _STOPPED:
            return f"DOWN {self._health}/{rise}" if enabled and self._health else "DOWN"
        if not enabled:
            return "DRAIN" if self._admin & _DRAIN else "no check"
        word = "DRAIN" if self._admin & _DRAIN else "UP"
        return word if self._health >= rise + fall - 1 else f"{word} {self._health - rise + 1}/{fall}"

    def row(self, now: float) -> dict[str, object]:
        """Of ``show stat``."""
        checks = self._check & (_ENABLED | _PAUSED) == _ENABLED
        return {
            "pxname": self.section.name,
            "svname": self.name,
            "scur": self.sessions,
            "stot": self.requests,
            "status": self.status(),
            "weight": self.weight,
            "act": 0 if self.options.backup else 1,
            "bck": 1 if self.options.backup else 0,
            "lastchg": int(now) - int(self._changed),
            "check_status": self._check_status if checks else "",
            "req_tot": self.requests if self.section.http else "",
        }

    def state_line(self, section_number: int, now: float) -> str:
        """Of ``show servers state``."""
        since, status = int(now) - int(self._changed), _STATUS_NUMBERS[self._check_status]
        return (
            f"{section_number} {self.section.name} {self.number} {self.name} {self.host} {self._state} {self._admin} "
            f"{self.weight} {self.options.weight} {since} {status} {self._result} {self._health} {self._check} "
            f"{self._agent} 0 0 - {self.port} - 0 0 - - {self.options.agent_port}\n"
        )

    # What it is told

    def ready(self, now: float) -> None:
        """``set server state ready``."""
        self._leave_maintenance(now)
        if self._admin & _DRAIN:
            self._admin &= ~_DRAIN
            self._drained_or_not(now)

    def drain(self, now: float) -> None:
        """``set server state drain``."""
        was = self._admin
        self._admin |= _DRAIN
        self._leave_maintenance(now)
        if not was & _DRAIN:
            self._drained_or_not(now)

    def maint(self, now: float) -> None:
        """``set server state maint``."""
        if not self._admin & _MAINT:
            self._admin |= _MAINT
            if self._check & _ENABLED:
                self._check |= _PAUSED
            self._health = 0
            self._go(_STOPPED, now)
            self._drained_or_not(now)
        self._admin &= ~_DRAIN

    def health(self, up: bool, now: float) -> None:
        """``set server health up`` or ``down``."""
        self._health = self.options.rise + self.options.fall - 1 if up else 0
        self._go(_RUNNING if up else _STOPPED, now)

    def enable_health(self) -> None:
        """``enable health``."""
        self._check |= _ENABLED

    def enable_agent(self) -> None:
        """``enable agent``."""
        self._agent |= _ENABLED

    def agent(self, up: bool, now: float) -> bool:
        """``set server agent up`` or ``down``; returns whether it has an agent that is asked."""
        if not self._agent & _ENABLED:
            return False
        self._agent_up = up
        self._go(_RUNNING if up else _STOPPED, now)
        return True

    def move(self, host: str, port: int | None) -> tuple[bool, bool]:
        """``set server addr``; returns whether the address and the port are others now."""
        before = self.host, self.port
        self.host, self.port = host, self.port if port is None else port
        return self.host != before[0], self.port != before[1]

    # What its checks find

    def interval(self) -> float:
        """Seconds to its next check."""
        options = self.options
        if self._health == options.rise + options.fall - 1:
            return options.inter
        if self._state == _STOPPED and self._health == 0:
            return options.down_inter or options.inter
        return options.fast_inter or options.inter

    def check(self, listens: Listens, now: float) -> None:
        """A check falls due: it is over at once."""
        if self._check & (_ENABLED | _PAUSED) != _ENABLED:
            self.next_check = now + self.options.inter
            return
        rise, full = self.options.rise, self.options.rise + self.options.fall - 1
        if listens(self.host, self.port):
            self._check_status, self._result = ("L7OK" if self.section.http_check else "L4OK"), _PASSED
            self._health = min(self._health + 1, full)
            if self._health >= rise:
                self._health = full
        else:
            self._check_status, self._result = "L4CON", _FAILED
            self._health = max(self._health - 1, 0)
            if self._health < rise:
                self._health = 0
        if not self._admin & _MAINT:
            if self._result == _PASSED and self._health >= rise:
                self._go(_RUNNING, now)
            elif self._health == 0:
                self._go(_STOPPED, now)
        self.next_check = now + self.interval()

    def _leave_maintenance(self, now: float) -> None:
        if not self._admin & _MAINT:
            return
        self._admin &= ~_MAINT
        if self._check & _ENABLED:
            self._check &= ~_PAUSED
            self._health = self.options.rise
        if self._agent_up or not self._agent & _ENABLED:
            self._go(_RUNNING, now)
        self._drained_or_not(now)

    def _drained_or_not(self, now: float) -> None:
        if self.drain_counts:
            self._changed = now

    def _go(self, state: int, now: float) -> None:
        if self._state != state:
            self._state, self._changed = state, now
