"""HAProxy in this process: the commands that the engine sends, a configuration file, checks by a simulated clock.

It says what HAProxy 2.6 and 3.0 say; ``test_simulated_haproxy.py`` holds it against the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulation import haproxy_file
from tests.simulation.clock import Clock
from tests.simulation.haproxy_file import Options, Rejected, Section
from tests.simulation.simulated_server import Listens, SimulatedServer

HELP = """The following commands are valid at this level:
  add server <bk>/<srv>                   : create a new server
  del server <bk>/<srv>                   : remove a dynamically added server
  enable agent                            : enable agent checks
  enable health                           : enable health checks
  set server <bk>/<srv> [opts]            : change a server's state, weight, address or ssl
  show info [desc|json|typed|float]*      : report information about the running process
  show servers state [<backend>]          : dump volatile server information (all or for a single backend)
  show stat [desc|json|no-maint|typed|up]*: report counters for each proxy and server
"""
_WAIT = "  wait {-h|<delay_ms>} cond [args...]     : wait the specified delay or condition (-h to see list)\n"
_STATE = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
_COLUMNS = ["pxname", "svname", "scur", "stot", "status", "weight", "act", "bck", "lastchg", "check_status", "req_tot"]
_FIRST_NUMBER = 2
"""Of the sections: the socket's own is before."""
_NO_SERVER = "No such server.\n\n"
_NO_CHECK = "Health check was not configured on this server, cannot enable.\n\n"
_NO_AGENT = "Agent was not configured on this server, cannot enable.\n\n"
_STATES = "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"
_HELD = "Server still has connections attached to it, cannot remove it."


class NoAnswer(Exception):
    """Nobody answers on the socket."""


@dataclass
class Refusal:
    """What HAProxy answers instead of carrying out a command that begins so.

    Attributes:
        begin: of the command.
        text: the answer.
        times: how often.
    """

    begin: str
    text: str
    times: int = 1


class SimulatedHAProxy:
    """A HAProxy with a runtime socket; it does not run before ``start``.

    Attributes:
        version: ``2.6`` or ``3.0``.
        worker: the process id of the worker that answers; 0 where none runs.
        silent: whether it takes commands and answers none.
        cut: how many characters of an answer are said at the most; None for all.
        seconds: that each command takes.
        refusals: what it refuses, until it has.
        commands: those that were sent, in order.
        description: what the file that it runs with calls it.
    """

    def __init__(self, version: str, clock: Clock, listens: Listens, config: Path) -> None:
        self.version = version
        self.worker = 0
        self.silent = False
        self.cut: int | None = None
        self.seconds = 0.0
        self.refusals: list[Refusal] = []
        self.commands: list[str] = []
        self._clock = clock
        self._listens = listens
        self._config = config
        self._last_worker = 1000
        self.description = ""
        self._sections: dict[str, tuple[int, Section]] = {}
        self._servers: dict[tuple[str, str], SimulatedServer] = {}

    # Its life

    def start(self) -> None:
        """Read the file and run; raises Rejected where HAProxy would not take it."""
        file = haproxy_file.read(self._config.read_text())
        self.description = file.description
        self._sections = {
            section.name: (number, section)
            for number, section in enumerate(file.sections, _FIRST_NUMBER)
            if section.kind != "frontend"
        }
        self._servers = {}
        for _, section in self._sections.values():
            for line in section.servers:
                self._put(section, line.name, line.host, line.port, line.options, dynamic=False)
        self._spread_first_checks()
        self._last_worker += 1
        self.worker = self._last_worker

    def reload(self) -> bool:
        """As told by SIGUSR2: the file's servers count as up, and what was told is forgotten. Whether it took."""
        try:
            self.start()
        except (Rejected, OSError):
            return False
        return True

    def crash(self) -> None:
        """No process is left."""
        self.worker = 0

    # What others see of it

    def server(self, section: str, name: str) -> SimulatedServer | None:
        """A server, for tests to look at and to change."""
        return self._servers.get((section, name))

    def servers(self) -> dict[tuple[str, str], SimulatedServer]:
        """All of them."""
        return dict(self._servers)

    def tick(self) -> None:
        """Make the checks that have fallen due, in their order."""
        now = self._clock()
        while due := [one for one in self._servers.values() if one.checked and one.next_check <= now]:
            first = min(due, key=lambda one: one.next_check)
            first.check(self._listens, first.next_check)

    def command(self, line: str) -> str:
        """The answer to a line of commands; raises NoAnswer."""
        if not self.worker or self.silent:
            raise NoAnswer
        # "\;" would be a semicolon: the engine sends none.
        answers = []
        for command in (one.strip() for one in line.split(";")):
            self._clock.advance(self.seconds)
            self.tick()
            self.commands.append(command)
            answers.append(self._refused(command) or self._answer(command.split()))
        text = "".join(answers)
        return text if self.cut is None else text[: self.cut]

    # Commands

    def _refused(self, command: str) -> str | None:
        for refusal in self.refusals:
            if command.startswith(refusal.begin):
                refusal.times -= 1
                if refusal.times <= 0:
                    self.refusals.remove(refusal)
                return refusal.text
        return None

    def _answer(self, words: list[str]) -> str:
        known: dict[tuple[str, ...], Callable[[list[str]], str]] = {
            ("show", "info"): self._show_info,
            ("help",): lambda _: HELP + (_WAIT if self.version == "3.0" else "") + "\n",
            ("show", "servers", "state"): self._show_state,
            ("show", "stat"): self._show_stat,
            ("add", "server"): self._add,
            ("del", "server"): self._delete,
            ("enable", "health"): self._enable_health,
            ("enable", "agent"): self._enable_agent,
            ("set", "server"): self._set,
        }
        for length in (1, 2, 3):
            if what := known.get(tuple(words[:length])):
                return what(words[length:])
        return "Unknown command.\n\n"

    def _show_info(self, _: list[str]) -> str:
        return (
            f"Name: HAProxy\nVersion: {self.version}.0\nPid: {self.worker}\nUptime_sec: 1\n"
            f"description: {self.description}\n\n"
        )

    def _show_state(self, words: list[str]) -> str:
        if words and words[0] not in self._sections:
            return "Can't find backend.\n\n"
        lines = [
            server.state_line(number, self._clock())
            for name, (number, _) in self._sections.items()
            if not words or words[0] == name
            for server in self._of(name)
        ]
        return f"1\n{_STATE}\n{''.join(lines)}\n"

    def _show_stat(self, words: list[str]) -> str:
        which, kinds = words[0], int(words[1])
        chosen = [
            name for name, (number, _) in self._sections.items() if which == "-1" or which in (name, f"#{number}")
        ]
        if not chosen:
            return "No such proxy.\n\n"
        rows: list[dict[str, object]] = []
        for name in chosen:
            if kinds & 4:
                rows += [server.row(self._clock()) for server in self._of(name)]
            if kinds & 2:
                rows.append(self._section_row(name))
        text = "".join(f"{','.join(str(row.get(column, '')) for column in _COLUMNS)},\n" for row in rows)
        return f"# {','.join(_COLUMNS)},\n{text}\n"

    def _section_row(self, name: str) -> dict[str, object]:
        servers = list(self._of(name))
        usable = [server for server in servers if server.usable]
        backups = sum(server.options.backup for server in usable)
        return {
            "pxname": name,
            "svname": "BACKEND",
            "scur": sum(server.sessions for server in servers),
            "status": "UP" if usable or not servers else "DOWN",
            "act": len(usable) - backups,
            "bck": backups,
        }

    def _add(self, words: list[str]) -> str:
        path, address, *options = words
        name, _, server = path.partition("/")
        if name not in self._sections:
            return f"No such backend.\n{self._end}"
        section = self._sections[name][1]
        if not section.takes_servers:
            return f"Backend must use a dynamic load balancing to support dynamic servers.\n{self._end}"
        try:
            read = haproxy_file.options(options, Options(), self.version)
        except Rejected as error:
            return f"{error}\n\n"
        if (name, server) in self._servers:
            return "Already exists a server with the same name in backend.\n\n"
        self._put(section, server, *haproxy_file.split(address), read, dynamic=True)
        return "New server registered.\n\n"

    def _delete(self, words: list[str]) -> str:
        key = self._key(words)
        if key[0] not in self._sections:
            return f"No such backend.\n{self._end}"
        server = self._servers.get(key)
        if server is None:
            return f"No such server.\n{self._end}"
        if not server.in_maintenance:
            return f"Only servers in maintenance mode can be deleted.\n{self._end}"
        if server.sessions:
            return f"{_HELD}\n{self._end}"
        del self._servers[key]
        return f"Server deleted.\n{self._end}"

    def _enable_health(self, words: list[str]) -> str:
        server = self._servers.get(self._key(words))
        if server is None:
            return _NO_SERVER
        if not server.checked:
            return _NO_CHECK
        server.enable_health()
        return "\n"

    def _enable_agent(self, words: list[str]) -> str:
        server = self._servers.get(self._key(words))
        if server is None:
            return _NO_SERVER
        if not server.has_agent:
            return _NO_AGENT
        server.enable_agent()
        return "\n"

    def _set(self, words: list[str]) -> str:
        server, now = self._servers.get(self._key(words)), self._clock()
        if server is None:
            return _NO_SERVER
        match words[1:]:
            case ["state", "ready"]:
                server.ready(now)
            case ["state", "drain"]:
                server.drain(now)
            case ["state", "maint"]:
                server.maint(now)
            case ["state", *_]:
                return _STATES
            case ["health", "up" | "down" as health]:
                server.health(health == "up", now)
            case ["agent", "up" | "down" as agent]:
                if not server.agent(agent == "up", now):
                    return "agent checks are not enabled on this server.\n\n"
            case ["weight", weight]:
                server.weight = int(weight)
            case ["addr", host]:
                return self._moved(server, host, None)
            case ["addr", host, "port", port]:
                return self._moved(server, host, int(port))
            case _:
                return "usage: set server <backend>/<server> addr | agent | health | state | weight\n\n"
        return "\n"

    def _moved(self, server: SimulatedServer, host: str, port: int | None) -> str:
        old_host, old_port = server.host, server.port
        other_host, other_port = server.move(host, port)
        if self.version == "3.0" and not other_host and not other_port:
            return "nothing changed\n\n"
        parts = [f"IP changed from '{old_host}' to '{host}'" if other_host else "no need to change the addr"]
        if port is not None:
            parts.append(f"port changed from '{old_port}' to '{port}'" if other_port else "no need to change the port")
        if self.version == "3.0":
            parts = [part for part in parts if not part.startswith("no need")]
        return f"{', '.join(parts)} by 'stats socket command'\n\n"

    # Its servers

    @property
    def _end(self) -> str:
        """What follows the last line where servers are added and deleted: 2.6 leaves it out."""
        return "" if self.version == "2.6" else "\n"

    @staticmethod
    def _key(words: list[str]) -> tuple[str, str]:
        section, _, name = words[0].partition("/")
        return section, name

    def _of(self, section: str) -> Iterator[SimulatedServer]:
        return (server for (name, _), server in self._servers.items() if name == section)

    def _put(self, section: Section, name: str, host: str, port: int, options: Options, *, dynamic: bool) -> None:
        taken = {server.number for server in self._of(section.name)}
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        server = SimulatedServer(section, number, name, host, port, options, self.version == "2.6")
        server.begin(self._clock(), dynamic=dynamic)
        server.next_check = self._clock() + server.interval()
        self._servers[section.name, name] = server

    def _spread_first_checks(self) -> None:
        """The first checks of the file's servers are spread over the shortest interval of a second or more."""
        checked = [server for server in self._servers.values() if server.checked]
        intervals = [server.interval() for server in checked]
        shortest = min((seconds for seconds in intervals if seconds >= 1.0), default=0.0)
        for position, (server, seconds) in enumerate(zip(checked, intervals, strict=True)):
            server.next_check = self._clock() + max(shortest, seconds) * position / len(checked)
