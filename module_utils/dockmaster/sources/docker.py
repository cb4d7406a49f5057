"""A Docker host, asked by its API: over TCP or on its own socket."""

from __future__ import annotations

import json
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import docker
import requests
from urllib3.exceptions import ReadTimeoutError

from ..errors import SourceError
from ..events import FILTERS, Event

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read at the most: ten thousand containers take about twenty million."""

MAX_EVENT = 1024 * 1024
"""Bytes of one event that are read at the most."""

_OLDEST_API = "1.24"
_API_VERSION = re.compile(r"1\.[0-9]{1,3}\Z")
_Told = TypeVar("_Told")


class DockerHost:
    """One Docker host.

    Args:
        name: what it is called in messages.
        url: ``tcp://host:port`` or ``unix:///path``.
        timeout: seconds for a whole answer.
    """

    def __init__(self, name: str, url: str, timeout: int = 5) -> None:
        self.name = name
        self.url = url
        self._timeout = timeout
        self._api = _OLDEST_API
        self._images_until: float | None = None
        # Naming a version keeps the constructor from connecting: trust_env must be off before the
        # first request, or proxies and certificates of the environment would apply.
        self._client = docker.APIClient(base_url=url, version=_OLDEST_API, timeout=timeout)
        self._client.trust_env = False
        self._client.mount("http://", _KeepAlive())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def containers(self, ids: Sequence[str] = ()) -> list[Any]:
        """The running containers, as ``GET /containers/json`` lists them, unchecked.

        Args:
            ids: only these; all of them without.

        Raises:
            SourceError: the host did not answer, or not with a list.
        """
        return self._in_time(partial(self._containers, ids), self._timeout)

    def image_of(self, container_id: str) -> str | None:
        """The image that a container was made from, or None where the host does not let it be asked.

        However many containers there are, this host has one time-out for all of them, from the first on.

        Raises:
            ValueError: that time is over.
        """
        if self._images_until is None:
            self._images_until = time.monotonic() + self._timeout
        left = self._images_until - time.monotonic()
        try:
            if left > 0:
                return self._in_time(partial(self._image_of, container_id, self._images_until), left)
        except SourceError:
            if time.monotonic() < self._images_until:
                return None
        raise ValueError(
            f"Docker shows its image by id, and did not say within {self._timeout:g} s for all such containers "
            "which image it is"
        )

    def _in_time(self, ask: Callable[[], _Told], seconds: float) -> _Told:
        answer: queue.SimpleQueue[_Told | SourceError] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put(ask())
            except SourceError as error:
                answer.put(error)

        # The client's own time-out is one for each piece that arrives: a host that trickles would never reach it.
        threading.Thread(target=run, name=f"ask {self.name}", daemon=True).start()
        try:
            told = answer.get(timeout=seconds)
        except queue.Empty:
            raise self._error(f"not finished after {self._timeout:g} s") from None
        if isinstance(told, SourceError):
            raise told
        return told

    def _image_of(self, container_id: str, deadline: float) -> str | None:
        told = self._get(f"/v{self._api}/containers/{container_id}/json", deadline)
        config = told.get("Config") if isinstance(told, dict) else None
        image = config.get("Image") if isinstance(config, dict) else None
        return image if isinstance(image, str) else None

    def events(self, quiet: float) -> Iterator[Event | None]:
        """What happens to containers from now on, as it happens: the first item, None, says that it has begun.

        It just ends where somebody cuts the stream, and where nothing was said for so long that it may have stalled.

        Args:
            quiet: seconds of silence after which it ends.

        Raises:
            SourceError: the host did not answer.
        """
        try:
            self._ask_version(time.monotonic() + self._timeout)
            path = f"{self._client.base_url}/v{self._api}/events?{urlencode({'filters': json.dumps(FILTERS)})}"
            with self._client.get(path, timeout=(self._timeout, quiet), stream=True, allow_redirects=False) as response:
                if response.status_code != 200:
                    raise self._error(f"GET /events: status {response.status_code}")
                yield None
                yield from _events(response.iter_content(65536))
        except (requests.RequestException, docker.errors.DockerException, OSError) as error:
            if error.args and isinstance(error.args[0], ReadTimeoutError):
                return
            raise self._error(f"GET /events: {_cause(error)}") from error

    def _ask_version(self, deadline: float) -> None:
        version = self._get("/version", deadline)
        api = version.get("ApiVersion") if isinstance(version, dict) else None
        if not isinstance(api, str) or not _API_VERSION.match(api):
            raise self._error("its answer to /version names no ApiVersion")
        self._api = api

    def _containers(self, ids: Sequence[str]) -> list[Any]:
        deadline = time.monotonic() + self._timeout
        if self._api == _OLDEST_API:
            self._ask_version(deadline)
        query = f"?{urlencode({'filters': json.dumps({'id': list(ids)})})}" if ids else ""
        listed = self._get(f"/v{self._api}/containers/json{query}", deadline)
        if not isinstance(listed, list):
            raise self._error(f"expected a list of containers, not {type(listed).__name__}")
        return listed

    def _get(self, path: str, deadline: float) -> Any:
        body = bytearray()
        try:
            with self._client.get(
                self._client.base_url + path, timeout=self._timeout, stream=True, allow_redirects=False
            ) as response:
                if response.status_code != 200:
                    raise self._error(f"GET {path}: status {response.status_code}")
                for chunk in response.iter_content(16384):
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise self._error(f"GET {path}: more than {MAX_ANSWER} bytes")
                    if time.monotonic() > deadline:
                        raise self._error(f"GET {path}: not finished after {self._timeout:g} s")
        except (requests.RequestException, docker.errors.DockerException, OSError) as error:
            raise self._error(f"GET {path}: {_cause(error)}") from error
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._error(f"GET {path}: the answer is not JSON: {error}") from None

    def _error(self, what: str) -> SourceError:
        return SourceError(f"Docker host {self.name} ({self.url}) gave no usable answer: {what}")


class _KeepAlive(requests.adapters.HTTPAdapter):
    """Connections that notice within half a minute that the other side is gone, also where nothing is said."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """What requests calls to make its connections."""
        options["socket_options"] = [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ]
        super().init_poolmanager(*arguments, **options)


def _events(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Lines out of a stream, whatever pieces it comes in."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_EVENT:
            rest = b""
        for line in lines:
            event = Event.parse(line)
            if event:
                yield event


def _cause(error: BaseException) -> str:
    """The innermost reason: what requests and urllib3 wrap is long and says the same."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
