"""A running watcher with a simulated Docker API, a real HAProxy and real web servers."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from docker_api import SimulatedDocker
from dockmaster import sync
from dockmaster.config.file import SettingsFile
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import SourceError
from dockmaster.haproxy.runtime import Runtime, ServerState
from dockmaster.watch.loop import Watcher
from dockmaster.watch.systemd import Notifier
from waiting import until
from web_server import WebServer, web_server


def container_id(number: int) -> str:
    """Return a full id."""
    return f"{number:02x}" * 32


def entry(number: int, port: int, status: str = "Up 1 second", state: str = "running", **labels: str) -> dict[str, Any]:
    """Return the entry of a container in Docker's list."""
    return {
        "Id": container_id(number),
        "Names": [f"/web-{number}"],
        "Image": "local/nodeapp",
        "State": state,
        "Status": status,
        "Labels": labels,
        "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}],
    }


class Watched:
    """A watcher and everything that it needs.

    Attributes:
        api: the Docker host that the watcher follows.
        plain: the configuration, which ``write`` writes to the file.
        log: the lines that the watcher logs.
        settings: the configuration that was last written.
    """

    def __init__(self, plain: dict[str, Any], api: SimulatedDocker, folder: Path, template: str) -> None:
        self.api = api
        self.plain = plain
        self.file = folder / "dockmaster.yml"
        self.log: list[str] = []
        self._template = template
        self._stack = ExitStack()
        self._watchers: list[tuple[Watcher, threading.Thread]] = []
        self.service = plain["services"]["web"]
        self.service["discovery"]["servers"][0]["port"] = api.port
        self.service["haproxy"]["listen"] = ["mode http", "option httpchk GET /health"]
        self.service["haproxy"]["server_options"] = "check inter 100ms fall 2 rise 1"
        plain["watch"] = {"stop_grace": 30, "resync_interval": 30}
        self.write()

    def write(self) -> None:
        """Write the configuration to its file."""
        self.settings: Settings = parse(self.plain, str(self.file))
        self.file.write_text(yaml.safe_dump(self.plain))

    @property
    def runtime(self) -> Runtime:
        """HAProxy's runtime socket."""
        return Runtime(str(self.settings.haproxy.socket_file_path))

    def web(self) -> WebServer:
        """Start another web server."""
        return self._stack.enter_context(web_server())

    def run(self, number: int, web: WebServer | None = None, **more: Any) -> WebServer:
        """List a running container without an event. It replaces another one with its number."""
        web = web or self.web()
        self.api.containers = [one for one in self.api.containers if one["Id"] != container_id(number)]
        self.api.containers.append(entry(number, web.port, **more))
        return web

    def start(self, number: int, web: WebServer | None = None, **more: Any) -> WebServer:
        """Start a container, with its event."""
        web = self.run(number, web, **more)
        self.event(number, "start")
        return web

    def gone(self, number: int) -> None:
        """Take a container off the list, without an event."""
        self.api.containers = [one for one in self.api.containers if one["Id"] != container_id(number)]

    def event(self, number: int, action: str, **attributes: str) -> None:
        """Send an event of a container."""
        self.api.event(container_id(number), action, **attributes)

    def first_pass(self) -> sync.Report:
        """Run the first sync, before the watcher starts."""
        self.write()
        return sync.run(self.settings, self._template)

    def sync(self) -> sync.Report:
        """Run a sync."""
        return sync.run(self.settings, self._template)

    def watch(self, notifier: Notifier | None = None, ready: bool = True) -> Watcher:
        """Start the watcher, and wait for its first full look."""
        self.write()
        file = SettingsFile(self.file)
        watcher = Watcher(file.settings, file.changed, self.log.append, notifier or Notifier({}))
        thread = threading.Thread(target=watcher.run, name="watcher")
        thread.start()
        self._watchers.append((watcher, thread))
        if ready:
            self.said("state=ready")
        return watcher

    def said(self, *words: str) -> None:
        """Wait until one line of the log has all these words."""
        until(lambda: any(all(word in line for word in words) for line in self.log))

    def servers(self, number: int, host: str = "") -> list[ServerState]:
        """Return the servers of a container, the newest last."""
        begin = f"{host}{container_id(number)[:12]}_"
        return [one for one in self.runtime.servers() if one.name.startswith(begin)]

    def begin(self, start_haproxy: Callable[[], None], *numbers: int) -> None:
        """Start HAProxy, a watcher, and containers that get traffic."""
        for number in numbers:
            self.run(number)
        self.first_pass()
        start_haproxy()
        self.watch()
        self.up(*numbers)

    def told(self, number: int, host: str = "") -> str:
        """Return the administrative state of a container's newest server; empty if it has none."""
        servers = self.servers(number, host)
        return servers[-1].admin if servers else ""

    def up(self, *numbers: int) -> None:
        """Wait until these containers get traffic."""
        until(lambda: all(any(one.usable for one in self.servers(number)) for number in numbers))

    def is_told(self, number: int, told: str, host: str = "") -> None:
        """Wait until the server of a container has this administrative state."""
        until(lambda: self.told(number, host) == told)

    def ask(self) -> int:
        """Send a request, and return its status."""
        url = f"http://127.0.0.1:{self.service['haproxy']['port']}/"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                status: int = response.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def sync_fails(self) -> bool:
        """Whether a sync gets no answer from any Docker host."""
        try:
            self.sync()
        except SourceError:
            return True
        return False

    def stop(self) -> None:
        """Stop the watchers, and fail if one of them has died."""
        alive = [thread.is_alive() for _, thread in self._watchers]
        for watcher, _ in self._watchers:
            watcher.end()
        # This wakes them.
        self.api.event("f" * 64, "kill")
        for _, thread in self._watchers:
            thread.join(20)
        self._watchers.clear()
        assert all(alive), "the watcher has died"

    def end(self) -> None:
        """Stop everything."""
        with self._stack:
            self.stop()


@contextmanager
def watched(plain: dict[str, Any], api: SimulatedDocker, folder: Path, template: str) -> Iterator[Watched]:
    """Do the same during the block."""
    around = Watched(plain, api, folder, template)
    try:
        yield around
    finally:
        around.end()


Start = Callable[[], None]
