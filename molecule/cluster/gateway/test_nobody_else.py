"""A gateway answers only the balancers of its cluster, and balancers trust only its Docker hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from asking import BALANCERS_OWN, Credentials, ask, put, request
from cluster import BALANCERS, CLIENT, DOCKER_HOSTS, host
from credentials import CA, foreign, new_key, pem, real

ALL = [
    request(method, path)
    for method, path in (("GET", "/_ping"), ("GET", "/version"), ("GET", "/containers/json"), ("GET", "/events"),
                         ("GET", "/info"), ("POST", "/containers/create"))
]  # fmt: skip


@pytest.fixture(scope="module")
def kinds() -> Mapping[str, Credentials | None]:
    """Return the credentials that a stranger may use."""

    def of(name: str, ca: CA, common: str = BALANCERS[0], **more: int | bool) -> Credentials:
        key = new_key()
        certificate = ca.sign(common, key.public_key(), **more)  # type: ignore[arg-type]
        put(CLIENT, f"/run/{name}.key", pem(key))
        put(CLIENT, f"/run/{name}.crt", pem(certificate) + pem(ca.certificate))
        return Credentials(None, f"/run/{name}.crt", f"/run/{name}.key")

    return {
        "no TLS": None,
        "no certificate": Credentials(),
        "a certificate of another CA": of("own", foreign()),
        "an expired certificate": of("expired", real(), days_ago=1),
        "a server's certificate": of("server", real(), server=True),
        "a certificate for another host": of("other", real(), DOCKER_HOSTS[1]),
        "a valid certificate": of("valid", real()),
    }


@pytest.mark.parametrize("docker_host", DOCKER_HOSTS)
@pytest.mark.parametrize(
    "kind",
    [
        "no TLS",
        "no certificate",
        "a certificate of another CA",
        "an expired certificate",
        "a server's certificate",
    ],
)
def test_stranger_gets_no_answer(kinds: Mapping[str, Credentials | None], kind: str, docker_host: str) -> None:
    for answer in ask(CLIENT, docker_host, ALL, kinds[kind]):
        assert answer.statuses == [], (kind, answer)
        assert "HTTP/" not in answer.text, (kind, answer)


def test_certificate_of_another_host_is_answered_403(kinds: Mapping[str, Credentials | None]) -> None:
    for answer in ask(CLIENT, DOCKER_HOSTS[0], ALL, kinds["a certificate for another host"]):
        assert answer.statuses == [403], answer


def test_valid_certificate_is_answered(kinds: Mapping[str, Credentials | None]) -> None:
    """This shows that the gateway refused the certificates above, and not the way they were used."""
    [answer] = ask(CLIENT, DOCKER_HOSTS[0], [request("GET", "/version")], kinds["a valid certificate"])
    assert answer.statuses == [200], answer


@pytest.fixture
def status_with(request: pytest.FixtureRequest) -> Callable[[str], str]:  # noqa: ARG001
    """Change the configuration by sed, and return what ``dockmaster status`` prints with it."""

    def run(change: str) -> str:
        balancer = host(BALANCERS[0])
        balancer.check_output(f"sed {change} /etc/dockmaster/dockmaster.yml > /run/other.yml")
        environment = f"REQUESTS_CA_BUNDLE={BALANCERS_OWN.ca} CURL_CA_BUNDLE={BALANCERS_OWN.ca}"
        return str(balancer.run(f"{environment} dockmaster status --config /run/other.yml").stdout)

    return run


def test_server_with_another_name_is_unreachable(status_with: Callable[[str], str]) -> None:
    one, other = DOCKER_HOSTS[:2]
    assert f"docker host {one}: answers" in status_with("''")
    output = status_with(f"'s/name: {one}/name: {other}x/'")
    assert f"docker host {other}x: answers" not in output
    assert f"problem: Docker host {other}x" in output


def test_server_of_another_ca_is_unreachable(status_with: Callable[[str], str]) -> None:
    put(BALANCERS[0], "/run/foreign.crt", pem(foreign().certificate))
    output = status_with("'s#ca_file: .*#ca_file: /run/foreign.crt#'")
    assert "not signed by a CA of /run/foreign.crt" in output
    for docker_host in DOCKER_HOSTS:
        assert f"docker host {docker_host}: last answered" in output
