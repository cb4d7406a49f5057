"""TLS to a Docker host, with real sockets and certificates. The API behind it is simulated."""

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
    """Return our TLS settings for app1."""
    return TLS(Identity(ca.file, *ca.issue("client")), "app1")


@pytest.fixture
def api(ca: Authority) -> Iterator[SimulatedDocker]:
    """Serve the simulated Docker host app1 over TLS."""
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
    """Check that a request fails before the API sees it, and return the error."""
    api.containers = [entry(1, 1)]
    with pytest.raises(SourceError, match=rf"\ADocker host app1 \(tcp://127.0.0.1:{api.port}\).*{words}") as error:
        listed(api, tls)
    assert api.requests == []
    return str(error.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_list_arrives_by_each_version_of_tls(
    api: SimulatedDocker, ca: Authority, tls: TLS, version: ssl.TLSVersion
) -> None:
    api.tls = server_context(ca.issue("server", "app1"), ca.file, version=version)
    api.containers = [entry(1, 1)]
    assert listed(api, tls) == [entry(1, 1)]


def test_older_version_of_tls_is_refused(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    with pytest.deprecated_call():
        api.tls = server_context(ca.issue("server", "app1"), None, version=ssl.TLSVersion.TLSv1_1)
    api.tls.set_ciphers("ALL:@SECLEVEL=0")
    refused(api, tls, "")


def test_server_is_asked_for_the_name_in_its_certificate(api: SimulatedDocker, tls: TLS) -> None:
    asked: list[str | None] = []
    assert api.tls
    api.tls.sni_callback = lambda _, name, __: asked.append(name)
    assert listed(api, tls) == []
    assert asked == ["app1"]


def test_host_may_be_named_by_its_address(ca: Authority, tls: TLS) -> None:
    by_address = replace(tls, name="127.0.0.1")
    with simulated_docker(tls=server_context(ca.issue("server", "127.0.0.1"), ca.file)) as api:
        api.containers = [entry(1, 1)]
        assert listed(api, by_address) == [entry(1, 1)]
        api.requests.clear()
        refused(api, replace(tls, name="127.0.0.2"), "does not have the name 127.0.0.2")


def test_client_without_a_certificate_gets_nothing(api: SimulatedDocker, ca: Authority) -> None:
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
def test_expired_certificate_of_the_client_is_a_clear_error(
    api: SimulatedDocker, ca: Authority, tls: TLS, version: ssl.TLSVersion
) -> None:
    api.tls = server_context(ca.issue("server", "app1"), ca.file, version=version)
    ca.issue("client", ends=-DAY)
    refused(api, tls, r"it refuses our certificate \S+client\.crt: it has expired|without a word")


def test_client_of_another_ca_is_refused(api: SimulatedDocker, ca: Authority, foreign: Authority) -> None:
    stranger = TLS(Identity(ca.file, *foreign.issue("stranger")), "app1")
    refused(api, stranger, r"it refuses our certificate \S+stranger.crt: the host does not know its CA|without a word")


def test_only_revoked_clients_are_refused(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    files = ca.issue("server", "app1")
    api.tls = server_context(files, ca.file, ca.revoked())
    assert listed(api, tls) == []
    api.requests.clear()
    api.tls = server_context(files, ca.file, ca.revoked(tls.identity.certificate_file))
    refused(api, tls, r"it refuses our certificate \S+client.crt: it is revoked|without a word")
    assert listed(api, TLS(Identity(ca.file, *ca.issue("renewed")), "app1")) == [entry(1, 1)]


def test_server_with_another_name_is_refused(api: SimulatedDocker, tls: TLS) -> None:
    refused(api, replace(tls, name="app2"), "its certificate does not have the name app2")


def test_name_in_the_subject_alone_does_not_count(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("app1", "other"), ca.file)
    refused(api, tls, "its certificate does not have the name app1")


def test_expired_certificate_of_the_server_is_refused(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("server", "app1", ends=-DAY), ca.file)
    refused(api, tls, "its certificate has expired")


def test_certificate_of_a_client_is_refused_for_a_server(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    api.tls = server_context(ca.issue("client-as-server"), ca.file)
    refused(api, tls, r"its certificate is not signed by a CA of \S+ca\.crt")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_server_of_another_ca_is_refused_whatever_the_environment_trusts(
    api: SimulatedDocker, ca: Authority, foreign: Authority, tls: TLS, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(foreign.file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "")
    api.tls = server_context(foreign.issue("server", "app1"), ca.file)
    refused(api, tls, r"its certificate is not signed by a CA of \S+ca\.crt")
    api.tls = server_context(ca.issue("server", "app1"), ca.file)
    assert listed(api, tls) == [entry(1, 1)]


def test_connection_is_kept_between_two_answers(api: SimulatedDocker, tls: TLS) -> None:
    host = host_of(api, tls)
    assert host.containers() == []
    # From here on, new connections would be refused.
    api.tls = None
    assert host.containers() == []
    host.close()


def test_renewed_certificates_are_used_without_a_restart(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    host = host_of(api, tls)
    assert host.containers() == []
    # The old certificate becomes invalid too, so a connection that is still open must not be used.
    api.tls = server_context(ca.issue("server", "app1"), ca.file, ca.revoked(tls.identity.certificate_file))
    ca.issue("client")
    api.containers = [entry(1, 1)]
    assert host.containers() == [entry(1, 1)]
    host.close()


def test_new_ca_replaces_the_old_one_without_a_restart(api: SimulatedDocker, foreign: Authority, tls: TLS) -> None:
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
def test_unusable_file_is_named_in_the_error(
    api: SimulatedDocker, tls: TLS, folder: Path, file: str, content: str | None, words: str
) -> None:
    (folder / file).unlink()
    if content:
        (folder / file).write_text(content)
    refused(api, tls, words)


def test_key_that_does_not_match_the_certificate_is_named(api: SimulatedDocker, ca: Authority, tls: TLS) -> None:
    shutil.copy(ca.issue("other")[1], tls.identity.key_file)
    refused(api, tls, r"client\.crt and its key \S+client\.key cannot be used: key values mismatch")


def test_host_that_does_not_speak_tls_is_a_clear_error(api: SimulatedDocker, tls: TLS) -> None:
    api.tls = None
    refused(api, tls, "it does not speak TLS")


@pytest.mark.parametrize(
    ("fault", "words"), [("truncated", "JSON|in the middle"), ("silent-end", "the answer is not JSON")]
)
def test_truncated_tls_connection_is_no_answer(api: SimulatedDocker, tls: TLS, fault: str, words: str) -> None:
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


def test_peer_that_never_finishes_the_handshake_times_out(tls: TLS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured, "HANDSHAKE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError, match="timed out"):
        DockerClient("app1", f"tcp://127.0.0.1:{silent.getsockname()[1]}", 5, tls=tls).containers()


def test_host_whose_packets_are_dropped_times_out_soon() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(SourceError, match="timed out"):
            # Nothing accepts connections, and the kernel drops packets while the queue is full.
            DockerClient("app1", f"tcp://127.0.0.1:{address[1]}", 60, connect=0.3).containers()


@pytest.fixture
def secure(around: Watched, ca: Authority, tls: TLS) -> Watched:
    """Set up a watcher whose Docker host uses TLS."""
    around.api.tls = server_context(ca.issue("server", "localhost"), ca.file)
    files = {name: str(path) for name, path in vars(tls.identity).items()}
    around.plain["discovery"] = {"tls": files}
    around.service["discovery"]["servers"][0]["tls"] = True
    return around


def test_watcher_follows_events_over_tls(secure: Watched, start_haproxy: Start) -> None:
    secure.begin(start_haproxy, 1, 2)
    secure.event(1, "kill", signal="15")
    secure.is_told(1, "drain")
    secure.start(3)
    secure.up(2, 3)
    assert not [line for line in secure.log if "error=" in line]


def test_watcher_keeps_servers_until_its_expired_certificate_is_renewed(
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


def test_status_shows_the_days_left_of_the_certificate(
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
