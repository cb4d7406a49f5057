"""TLS towards a Docker host, by real sockets and certificates; what answers behind it is simulated."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates import DAY, Authority, server_context
from docker_api import SimulatedDocker, simulated_docker
from dockmaster import status
from dockmaster.config.settings import TLS, Identity
from dockmaster.errors import SourceError
from dockmaster.report.status_table import table
from dockmaster.sources.docker import tls as secured
from dockmaster.sources.docker.client import DockerClient
from waiting import until
from watching import Watched, entry

Start = Callable[[], None]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def ca(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture
def foreign(folder: Path) -> Authority:
    return Authority(folder, "foreign")


@pytest.fixture
def tls(ca: Authority) -> TLS:
    """Who we are towards app1."""
    return TLS(Identity(ca.file, *ca.issue("client")), "app1")


@pytest.fixture
def api(ca: Authority) -> Iterator[SimulatedDocker]:
    """The Docker host app1 behind TLS."""
    with simulated_docker(tls=server_context(ca.issue("server", "app1"), ca.file)) as served:
        yield served


def host_of(api: SimulatedDocker, tls: TLS | None) -> DockerClient:
    return DockerClient("app1", f"tcp://127.0.0.1:{api.port}", 5, tls=tls)


def listed(api: SimulatedDocker, tls: TLS | None) -> list[Any]:
    host = host_of(api, tls)
    try:
        return host.containers()
    finally:
        host.close()


def refused(api: SimulatedDocker, tls: TLS | None, words: str) -> str:
    """Why nothing was asked and nothing was told."""
    api.containers = [entry(1, 1)]
    with pytest.raises(SourceError, match=rf"\ADocker host app1 \(tcp://127.0.0.1:{api.port}\).*{words}") as error:
        listed(api, tls)
    assert api.requests == []
    return str(error.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_arrives_by_each_version_of_tls(
    api: SimulatedDocker, ca: Authority, tls: TLS, version: ssl.TLSVersion
) -> None:
    api.tls = server_context(ca.issue("server", "app1"), ca.file, version=version)
    api.containers = [entry(1, 1)]
    assert listed(api, tls) == [entry(1, 1)]


def test_an_older_version_is_refused(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    with pytest.deprecated_call():
        api.tls = server_context(ca.issue("server", "app1"), None, version=ssl.TLSVersion.TLSv1_1)
    api.tls.set_ciphers("ALL:@SECLEVEL=0")
    refused(api, tls, "")


def test_the_name_is_asked_for_that_the_certificate_has_to_have(api: SimulatedDocker, tls: TLS) -> None:
    asked: list[str | None] = []
    assert api.tls
    api.tls.sni_callback = lambda _, name, __: asked.append(name)
    assert listed(api, tls) == []
    assert asked == ["app1"]


def test_a_host_may_be_called_by_its_address(ca: Authority, tls: TLS) -> None:
    by_address = replace(tls, name="127.0.0.1")
    with simulated_docker(tls=server_context(ca.issue("server", "127.0.0.1"), ca.file)) as api:
        api.containers = [entry(1, 1)]
        assert listed(api, by_address) == [entry(1, 1)]
        api.requests.clear()
        refused(api, replace(tls, name="127.0.0.2"), "does not have the name 127.0.0.2")


def test_without_a_certificate_nothing_is_told(api: SimulatedDocker, ca: Authority) -> None:
    context = ssl.create_default_context(cafile=ca.file)
    told = b""
    with (
        suppress(ssl.SSLError, ConnectionResetError),
        socket.create_connection(("127.0.0.1", api.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="app1") as connection,
    ):
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: app1\r\n\r\n")
        told = connection.recv(65536)
    assert told == b""
    refused(api, None, "")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_expired_client_is_refused_and_says_so(
    api: SimulatedDocker, ca: Authority, tls: TLS, version: ssl.TLSVersion
) -> None:
    api.tls = server_context(ca.issue("server", "app1"), ca.file, version=version)
    ca.issue("client", ends=-DAY)
    refused(api, tls, r"it refuses our certificate \S+client\.crt: it has expired|without a word")


def test_a_foreign_client_is_refused(api: SimulatedDocker, ca: Authority, foreign: Authority) -> None:
    stranger = TLS(Identity(ca.file, *foreign.issue("stranger")), "app1")
    refused(api, stranger, r"it refuses our certificate \S+stranger.crt: the host does not know its CA|without a word")


def test_a_revoked_client_is_refused_and_the_others_are_not(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    files = ca.issue("server", "app1")
    api.tls = server_context(files, ca.file, ca.revoked())
    assert listed(api, tls) == []
    api.requests.clear()
    api.tls = server_context(files, ca.file, ca.revoked(tls.identity.certificate_file))
    refused(api, tls, r"it refuses our certificate \S+client.crt: it is revoked|without a word")
    assert listed(api, TLS(Identity(ca.file, *ca.issue("renewed")), "app1")) == [entry(1, 1)]


def test_a_server_with_another_name_is_refused(api: SimulatedDocker, tls: TLS) -> None:
    refused(api, replace(tls, name="app2"), "its certificate does not have the name app2")


def test_a_name_that_only_the_subject_has_does_not_count(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("app1", "other"), ca.file)
    refused(api, tls, "its certificate does not have the name app1")


def test_an_expired_server_is_refused(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("server", "app1", ends=-DAY), ca.file)
    refused(api, tls, "its certificate has expired")


def test_a_client_s_certificate_is_none_for_a_server(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("client-as-server"), ca.file)
    refused(api, tls, r"its certificate is not signed by a CA of \S+ca\.crt")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_foreign_server_is_refused_whatever_the_environment_trusts(
    api: SimulatedDocker, ca: Authority, foreign: Authority, tls: TLS, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(foreign.file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "")
    api.tls = server_context(foreign.issue("server", "app1"), ca.file)
    refused(api, tls, r"its certificate is not signed by a CA of \S+ca\.crt")
    api.tls = server_context(ca.issue("server", "app1"), ca.file)
    assert listed(api, tls) == [entry(1, 1)]


def test_a_connection_is_kept_from_one_answer_to_the_next(api: SimulatedDocker, tls: TLS) -> None:
    host = host_of(api, tls)
    assert host.containers() == []
    # New ones would be refused from now on.
    api.tls = None
    assert host.containers() == []
    host.close()


def test_renewed_files_are_taken_up_without_a_restart(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    host = host_of(api, tls)
    assert host.containers() == []
    # The old one stops being good at the same moment: what is kept open must not be what answers.
    api.tls = server_context(ca.issue("server", "app1"), ca.file, ca.revoked(tls.identity.certificate_file))
    ca.issue("client")
    api.containers = [entry(1, 1)]
    assert host.containers() == [entry(1, 1)]
    host.close()


def test_another_ca_takes_the_place_of_the_one_before(api: SimulatedDocker, foreign: Authority, tls: TLS) -> None:
    host = host_of(api, tls)
    assert host.containers() == []
    shutil.copy(foreign.file, tls.identity.ca_file)
    with pytest.raises(SourceError, match="its certificate is not signed by a CA"):
        host.containers()
    api.tls = server_context(foreign.issue("server", "app1"), None)
    assert host.containers() == []
    host.close()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ca.crt", None, r"\S+ca\.crt cannot be used: No such file or directory"),
        ("ca.crt", "nonsense", r"\S+ca\.crt cannot be used: "),
        ("client.crt", None, r"\S+client\.crt cannot be used: No such file or directory"),
        ("client.key", None, r"\S+client\.key cannot be used: No such file or directory"),
        ("client.key", "nonsense", r"\S+client\.crt and its key \S+client\.key cannot be used: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    api: SimulatedDocker, tls: TLS, folder: Path, file: str, content: str | None, words: str
) -> None:
    (folder / file).unlink()
    if content:
        (folder / file).write_text(content)
    refused(api, tls, words)


def test_another_key_than_the_certificate_s_is_named(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    shutil.copy(ca.issue("other")[1], tls.identity.key_file)
    refused(api, tls, r"client\.crt and its key \S+client\.key cannot be used: key values mismatch")


def test_a_host_that_does_not_speak_tls_is_told_as_such(api: SimulatedDocker, tls: TLS) -> None:
    api.tls = None
    refused(api, tls, "it does not speak TLS")


@pytest.mark.parametrize(
    ("fault", "words"), [("truncated", "JSON|in the middle"), ("silent-end", "the answer is not JSON")]
)
def test_an_end_that_tls_does_not_announce_is_no_answer(api: SimulatedDocker, tls: TLS, fault: str, words: str) -> None:
    api.fault = fault
    with pytest.raises(SourceError, match=f"gave no usable answer.*{words}"):
        listed(api, tls)


@pytest.mark.parametrize("how", [None, b""], ids=["ends cleanly", "is cut"])
def test_events_arrive_over_tls_until_they_end(api: SimulatedDocker, tls: TLS, how: bytes | None) -> None:
    host = host_of(api, tls)
    events = host.events(5)
    assert next(events) is None
    until(lambda: api.streams)
    api.event("a" * 64, "start")
    event = next(events)
    assert event
    assert (event.container, event.action) == ("a" * 64, "start")
    api.say(how)
    if how is None:
        assert list(events) == []
    else:
        with pytest.raises(SourceError, match=r"GET /events: (the answer ended in the middle|it ended the connection)"):
            next(events)
    host.close()


def test_a_peer_that_never_shakes_hands_is_given_up(tls: TLS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured, "HANDSHAKE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError, match="timed out"):
        DockerClient("app1", f"tcp://127.0.0.1:{silent.getsockname()[1]}", 5, tls=tls).containers()


def test_a_host_whose_packets_are_dropped_is_given_up_soon() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(SourceError, match="timed out"):
            # Nobody accepts, and what comes while the queue is full is dropped.
            DockerClient("app1", f"tcp://127.0.0.1:{address[1]}", 60, connect=0.3).containers()


@pytest.fixture
def secure(around: Watched, ca: Authority, tls: TLS) -> Watched:
    """What a watcher needs whose Docker host is behind TLS."""
    around.api.tls = server_context(ca.issue("server", "localhost"), ca.file)
    files = {name: str(path) for name, path in vars(tls.identity).items()}
    around.plain["discovery"] = {"tls": files}
    around.service["discovery"]["servers"][0]["tls"] = True
    return around


def test_a_watcher_follows_events_over_tls(secure: Watched, start_haproxy: Start) -> None:
    secure.begin(start_haproxy, 1, 2)
    secure.event(1, "kill", signal="15")
    secure.is_told(1, "drain")
    secure.start(3)
    secure.up(2, 3)
    assert not [line for line in secure.log if "error=" in line]


def test_a_watcher_keeps_servers_while_its_certificate_is_refused_and_takes_up_the_renewed_one(
    secure: Watched, start_haproxy: Start, ca: Authority
) -> None:
    secure.begin(start_haproxy, 1)
    ca.issue("client", ends=-DAY)
    secure.run(2)
    secure.api.say(b"")
    secure.said("source=localhost", "state=unreachable", "certificate")
    assert secure.sync_fails()
    assert secure.told(1) == "ready"
    ca.issue("client")
    secure.up(1, 2)
    secure.said("source=localhost", "state=answers")


def test_status_tells_the_days_left_of_our_certificate(
    secure: Watched, start_haproxy: Start, ca: Authority, tls: TLS
) -> None:
    secure.run(1)
    secure.first_pass()
    start_haproxy()
    (source,) = status.of(secure.settings).sources
    assert source.answers
    assert source.certificate_days == pytest.approx(5, abs=0.2)
    ca.issue("client", ends=-DAY)
    (source,) = status.of(secure.settings).sources
    assert not source.answers
    assert source.certificate_days == pytest.approx(-1, abs=0.2)
    tls.identity.certificate_file.write_text("nonsense")
    current = status.of(secure.settings)
    assert current.sources[0].certificate_days is None
    assert "cannot be used" in table(current)
