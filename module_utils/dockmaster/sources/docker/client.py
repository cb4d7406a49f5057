"""A Docker host, asked by its API: over TCP or on its own socket."""

from __future__ import annotations

import hashlib
import json
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import docker
import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from ...config.settings import TLS
from ...errors import SourceError
from ...model.event import FILTERS, Event
from . import tls as secured

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read at the most: ten thousand containers take about twenty million."""

MAX_EVENT = 1024 * 1024
"""Bytes of one event that are read at the most."""

CONNECT = 3.0
"""Seconds for a connection, unless somebody says otherwise: two packets that get lost are no reason to give up."""

_HOW_LONG = re.compile(rb'("Status": ?"Up )[^("]*')
"""The part of a list that changes while nothing happens: for how long each container has run."""

_OLDEST_API = "1.24"
_API_VERSION = re.compile(r"1\.[0-9]{1,3}\Z")
_Told = TypeVar("_Told")


class DockerClient:
    """One Docker host.

    Args:
        name: what it is called in messages.
        url: ``tcp://host:port`` or ``unix:///path``.
        timeout: seconds for a whole answer.
        tls: how it and we know each other; None for plain text.
        connect: seconds for a connection; never more than the time-out.
    """

    def __init__(
        self, name: str, url: str, timeout: int = 5, *, tls: TLS | None = None, connect: float = CONNECT
    ) -> None:
        self.name = name
        self.url = url
        self._timeout = timeout
        self._connect = min(connect, timeout)
        self._tls = tls
        self._files: object = None
        self._api = _OLDEST_API
        self._images_until: float | None = None
        self._last = b""
        # Naming a version keeps the constructor from connecting: trust_env must be off before the
        # first request, or proxies and certificates of the environment would apply.
        scheme = "https:" if tls else "tcp:"
        self._client = docker.APIClient(base_url=re.sub(r"\Atcp:", scheme, url), version=_OLDEST_API, timeout=timeout)
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

    def containers_unless_as_before(self) -> list[Any] | None:
        """All running containers, or None where they are what this said last.

        Raises:
            SourceError: as for ``containers``.
        """
        listed, self._last = self._in_time(partial(self._news_since, self._last), self._timeout)
        return listed

    def forget(self) -> None:
        """Have it said what runs, whether it is as before or not."""
        self._last = b""

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
            if self._api == _OLDEST_API:
                self._ask_version(time.monotonic() + self._timeout)
            path = f"{self._client.base_url}/v{self._api}/events?{urlencode({'filters': json.dumps(FILTERS)})}"
            with self._opened(path, quiet) as response:
                if response.status_code != 200:
                    raise self._error(f"status {response.status_code}", "GET /events")
                yield None
                yield from _events(response.iter_content(65536))
        except (requests.RequestException, docker.errors.DockerException, OSError) as error:
            if error.args and isinstance(error.args[0], ReadTimeoutError):
                return
            raise self._error(self._cause(error), "GET /events") from error

    def _opened(self, url: str, quiet: float) -> requests.Response:
        """A request that is sent, and whose answer has begun."""
        if self._tls and (files := secured.state_of(self._tls)) != self._files:
            # Renewed files are taken up here; who was connected by the old ones connects anew.
            try:
                made = secured.context(self._tls)
            except SourceError as error:
                raise SourceError(
                    f"Docker host {self.name} ({self.url}) cannot be asked: {error}", str(error)
                ) from None
            self._client.get_adapter(url).close()
            self._client.mount("https://", _KeepAlive({"ssl_context": made, "server_hostname": self._tls.name}))
            # Otherwise the CAs that requests brings would be trusted beside those of the context.
            self._client.verify = str(self._tls.identity.ca_file)
            self._files = files
        return self._client.get(url, timeout=(self._connect, quiet), stream=True, allow_redirects=False)

    def _ask_version(self, deadline: float) -> None:
        version = self._get("/version", deadline)
        api = version.get("ApiVersion") if isinstance(version, dict) else None
        if not isinstance(api, str) or not _API_VERSION.match(api):
            raise self._error("its answer to /version names no ApiVersion")
        self._api = api

    def _containers(self, ids: Sequence[str]) -> list[Any]:
        return self._list(*self._listing(ids))

    def _news_since(self, last: bytes) -> tuple[list[Any] | None, bytes]:
        body, path = self._listing()
        # Of ten thousand containers on a hundred hosts, reading the lists is most of what a quiet minute costs.
        now = hashlib.sha256(_HOW_LONG.sub(rb"\1", body)).digest()
        return None if now == last else self._list(body, path), now

    def _listing(self, ids: Sequence[str] = ()) -> tuple[bytearray, str]:
        deadline = time.monotonic() + self._timeout
        if self._api == _OLDEST_API:
            self._ask_version(deadline)
        query = f"?{urlencode({'filters': json.dumps({'id': list(ids)})})}" if ids else ""
        path = f"/v{self._api}/containers/json{query}"
        return self._body(path, deadline), path

    def _list(self, body: bytearray, path: str) -> list[Any]:
        listed = self._read(body, path)
        if not isinstance(listed, list):
            raise self._error(f"expected a list of containers, not {type(listed).__name__}")
        return listed

    def _get(self, path: str, deadline: float) -> Any:
        return self._read(self._body(path, deadline), path)

    def _body(self, path: str, deadline: float) -> bytearray:
        body = bytearray()
        try:
            with self._opened(self._client.base_url + path, self._timeout) as response:
                if response.status_code != 200:
                    raise self._error(f"status {response.status_code}", f"GET {path}")
                for chunk in response.iter_content(16384):
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise self._error(f"more than {MAX_ANSWER} bytes", f"GET {path}")
                    if time.monotonic() > deadline:
                        raise self._error(f"not finished after {self._timeout:g} s", f"GET {path}")
        except (requests.RequestException, docker.errors.DockerException, OSError) as error:
            raise self._error(self._cause(error), f"GET {path}") from error
        return body

    def _read(self, body: bytearray, path: str) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._error(f"the answer is not JSON: {error}", f"GET {path}") from None

    def _cause(self, error: BaseException) -> str:
        """What the system says, or the innermost reason: what requests and urllib3 wrap is long and says the same."""
        cut = False
        while isinstance(error, requests.RequestException) or not isinstance(error, OSError):
            cut = cut or isinstance(error, ProtocolError)
            wrapped = [one for one in error.args if isinstance(one, BaseException)]
            inner = error.__cause__ or error.__context__ or (wrapped[0] if wrapped else None)
            if inner is None:
                break
            error = inner
        if cut and not isinstance(error, OSError):
            return "the answer ended in the middle"
        words = secured.reason(self._tls, error) if self._tls else None
        return words or getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _error(self, why: str, asked: str = "") -> SourceError:
        what = f"{asked}: {why}" if asked else why
        return SourceError(f"Docker host {self.name} ({self.url}) gave no usable answer: {what}", why)


class _KeepAlive(requests.adapters.HTTPAdapter):
    """Connections that notice within seconds that the other side is gone, also where nothing is said.

    What the other side says while it cannot be reached, it says again at ever longer intervals: a connection that was
    given up and made anew hears of it sooner.

    Args:
        more: what each connection gets beside that.
    """

    def __init__(self, more: Mapping[str, Any] | None = None) -> None:
        self._more = more or {}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """What requests calls to make its connections."""
        options["socket_options"] = [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ]
        super().init_poolmanager(*arguments, **{**options, **self._more})


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
