"""A scripted runtime socket, which answers like versions of HAProxy that this machine does not have."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HELP_3_0 = """The following commands are valid at this level:
  add server <bk>/<srv>                   : create a new server
  del server <bk>/<srv>                   : remove a dynamically added server
  enable health   <bk>/<srv>              : enable health checks
  set server <bk>/<srv> [opts]            : change a server's state, weight, address or ssl
  show info [desc|json|typed|float]*      : report information about the running process
  show servers state [<backend>]          : dump volatile server information
  show stat [desc|json|no-maint|typed|up]*: report counters for each proxy and server
  wait {-h|<delay_ms>} cond [args...]     : wait the specified delay or condition
"""
_STATE = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
_STAT = "# pxname,svname,scur,stot,status,weight,act,bck,lastchg,check_status,req_tot,"
_ADMIN = {"ready": 0, "drain": 8, "maint": 1}


class ScriptedHAProxy:
    """What the socket answers. Tests may change the attributes at any time.

    Attributes:
        path: the path of the socket.
        structure: the structure in its description.
        sections: its sections.
        servers: its servers with their administrative state: ``ready``, ``drain`` or ``maint``.
        answers: answers by the beginning of a command, which is then not carried out.
        help: the answer to ``help``.
        down: the servers whose checks fail.
        since: seconds since the status of every server changed.
        sessions: open sessions of every server.
        hang: whether it accepts commands without an answer.
        cut: the greatest number of bytes in an answer, as of a process that dies; None for no limit.
        commands: the commands that changed something, in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.structure = ""
        self.sections = ["web"]
        self.servers: dict[tuple[str, str], str] = {}
        self.ports: dict[tuple[str, str], int] = {}
        self.answers: dict[str, str] = {}
        self.help = HELP_3_0
        self.hang = False
        self.cut: int | None = None
        self.down: set[tuple[str, str]] = set()
        self.since = 5
        self.sessions = 0
        self.commands: list[str] = []
        self.over = threading.Event()

    def answer(self, command: str) -> str:
        """Answer one command."""
        if command == "show info":
            return f"Name: HAProxy\nVersion: 3.0.11\nPid: 77\ndescription: dockmaster {self.structure}\n"
        if command == "help":
            return self.help
        if command.startswith("show servers state"):
            return f"1\n{_STATE}\n{''.join(map(self._state, self.servers))}\n"
        if command.startswith("show stat "):
            return f"{_STAT}\n{''.join(map(self._backend if ' 2 ' in command else self._stat, self._which(command)))}\n"
        self.commands.append(command)
        for begin, told in self.answers.items():
            if command.startswith(begin):
                return told
        return self._change(command)

    def _which(self, command: str) -> list[tuple[str, str]]:
        return [(name, "BACKEND") for name in self.sections] if " 2 " in command else list(self.servers)

    def _state(self, key: tuple[str, str]) -> str:
        section, name = key
        number = 3 + self.sections.index(section)
        admin, port = _ADMIN[self.servers[key]], self.ports[key]
        return f"{number} {section} 1 {name} 127.0.0.1 2 {admin} 1 1 5 6 3 4 6 0 0 0 - {port} - 0 0 - - 0\n"

    def _stat(self, key: tuple[str, str]) -> str:
        status = "DOWN" if key in self.down else "UP" if self.servers[key] == "ready" else "MAINT"
        return f"{key[0]},{key[1]},{self.sessions},0,{status},1,1,0,{self.since},L7OK,0,\n"

    def _backend(self, key: tuple[str, str]) -> str:
        up = [one for one, told in self.servers.items() if told == "ready" and one not in self.down]
        usable = sum(section == key[0] for section, _ in up)
        return f"{key[0]},BACKEND,0,0,UP,1,{usable},0,5,,0,\n"

    def _change(self, command: str) -> str:
        words = command.split()
        section, _, name = words[2].partition("/")
        if words[:2] == ["add", "server"]:
            self.servers[section, name] = "maint"
            self.ports[section, name] = int(words[3].rpartition(":")[2])
            return "New server registered.\n\n"
        if words[:2] == ["del", "server"]:
            if (section, name) not in self.servers:
                return "No such server.\n\n"
            if self.sessions:
                return "Server still has connections attached to it, cannot remove it.\n\n"
            del self.servers[section, name]
            return "Server deleted.\n\n"
        if state := re.search(r" state (ready|drain|maint)\Z", command):
            self.servers[section, name] = state[1]
        return "\n"


@contextmanager
def scripted_haproxy(path: Path) -> Iterator[ScriptedHAProxy]:
    """Listen on a Unix socket during the block."""
    haproxy = ScriptedHAProxy(path)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode().strip()
            if haproxy.hang:
                haproxy.commands.append(line)
                haproxy.over.wait(30)
                return
            answer = "".join(haproxy.answer(one.strip()) for one in line.split(";"))
            self.wfile.write(answer.encode()[: haproxy.cut])

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield haproxy
        finally:
            haproxy.over.set()
            server.shutdown()
            thread.join(10)
