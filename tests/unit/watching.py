"""A watcher at work: a simulated Docker API whose events a test pushes, a real HAProxy, and real web servers."""

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
    """A whole id."""
    return f"{number:02x}" * 32


def entry(number: int, port: int, status: str = "Up 1 second", state: str = "running", **labels: str) -> dict[str, Any]:
    """A container as Docker's list shows it."""
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
    """Everything around one watcher.

    Attributes:
        api: the Docker host that the watcher follows.
        plain: the configuration; ``write`` puts it into the file.
        log: the watcher's lines.
        settings: the configuration as it was last written.
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
        """One more web server."""
        return self._stack.enter_context(web_server())

    def run(self, number: int, web: WebServer | None = None, **more: Any) -> WebServer:
        """A container is there; nobody is told yet. Another one of its number is gone."""
        web = web or self.web()
        self.api.containers = [one for one in self.api.containers if one["Id"] != container_id(number)]
        self.api.containers.append(entry(number, web.port, **more))
        return web

    def start(self, number: int, web: WebServer | None = None, **more: Any) -> WebServer:
        """A container starts."""
        web = self.run(number, web, **more)
        self.event(number, "start")
        return web

    def gone(self, number: int) -> None:
        """A container is not in the list any more; nobody is told yet."""
        self.api.containers = [one for one in self.api.containers if one["Id"] != container_id(number)]

    def event(self, number: int, action: str, **attributes: str) -> None:
        """Something happens to a container."""
        self.api.event(container_id(number), action, **attributes)

    def first_pass(self) -> sync.Report:
        """What is there before the watcher."""
        self.write()
        return sync.run(self.settings, self._template)

    def sync(self) -> sync.Report:
        """A pass."""
        return sync.run(self.settings, self._template)

    def watch(self, notifier: Notifier | None = None, ready: bool = True) -> Watcher:
        """Begin to watch, and wait until everything was looked at once."""
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
        """Wait until one line of the log says all of this."""
        until(lambda: any(all(word in line for word in words) for line in self.log))

    def servers(self, number: int, host: str = "") -> list[ServerState]:
        """The servers that a container is, the newest last."""
        begin = f"{host}{container_id(number)[:12]}_"
        return [one for one in self.runtime.servers() if one.name.startswith(begin)]

    def begin(self, start_haproxy: Callable[[], None], *numbers: int) -> None:
        """Containers that get traffic, and a watcher at work."""
        for number in numbers:
            self.run(number)
        self.first_pass()
        start_haproxy()
        self.watch()
        self.up(*numbers)

    def told(self, number: int, host: str = "") -> str:
        """What HAProxy was last told of a container's newest server; the empty string where it has none."""
        servers = self.servers(number, host)
        return servers[-1].admin if servers else ""

    def up(self, *numbers: int) -> None:
        """Wait until these get traffic."""
        until(lambda: all(any(one.usable for one in self.servers(number)) for number in numbers))

    def is_told(self, number: int, told: str, host: str = "") -> None:
        """Wait until HAProxy was told this of a container."""
        until(lambda: self.told(number, host) == told)

    def ask(self) -> int:
        """A client's request; its status."""
        url = f"http://127.0.0.1:{self.service['haproxy']['port']}/"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                status: int = response.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def sync_fails(self) -> bool:
        """Whether a pass hears of no Docker host."""
        try:
            self.sync()
        except SourceError:
            return True
        return False

    def stop(self) -> None:
        """End the watchers; one that has died by itself is a failure."""
        alive = [thread.is_alive() for _, thread in self._watchers]
        for watcher, _ in self._watchers:
            watcher.end()
        # What wakes them.
        self.api.event("f" * 64, "kill")
        for _, thread in self._watchers:
            thread.join(20)
        self._watchers.clear()
        assert all(alive), "the watcher has died"

    def end(self) -> None:
        """End what was begun."""
        with self._stack:
            self.stop()


@contextmanager
def watched(plain: dict[str, Any], api: SimulatedDocker, folder: Path, template: str) -> Iterator[Watched]:
    """The same, for as long as the block lasts."""
    around = Watched(plain, api, folder, template)
    try:
        yield around
    finally:
        around.end()


Start = Callable[[], None]
