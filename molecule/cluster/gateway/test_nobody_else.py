"""Who is no balancer of this cluster gets nothing from a gateway; who is no Docker host of it is not believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from asking import BALANCERS_OWN, Credentials, ask, put, request
from cluster import BALANCERS, CLIENT, DOCKER_HOSTS, host
from credentials import Authority, foreign, new_key, pem, real

ALL = [
    request(method, path)
    for method, path in (("GET", "/_ping"), ("GET", "/version"), ("GET", "/containers/json"), ("GET", "/events"),
                         ("GET", "/info"), ("POST", "/containers/create"))
]  # fmt: skip


@pytest.fixture(scope="module")
def kinds() -> Mapping[str, Credentials | None]:
    """What a host may come with that is nobody."""

    def of(name: str, authority: Authority, common: str = BALANCERS[0], **more: int | bool) -> Credentials:
        key = new_key()
        certificate = authority.sign(common, key.public_key(), **more)  # type: ignore[arg-type]
        put(CLIENT, f"/run/{name}.key", pem(key))
        put(CLIENT, f"/run/{name}.crt", pem(certificate) + pem(authority.certificate))
        return Credentials(None, f"/run/{name}.crt", f"/run/{name}.key")

    return {
        "nothing, in the clear": None,
        "no certificate": Credentials(),
        "a certificate of its own making": of("own", foreign()),
        "an expired certificate": of("expired", real(), days_ago=1),
        "a server's certificate": of("server", real(), server=True),
        "a certificate for another host": of("other", real(), DOCKER_HOSTS[1]),
        "a valid one": of("valid", real()),
    }


@pytest.mark.parametrize("docker_host", DOCKER_HOSTS)
@pytest.mark.parametrize(
    "kind",
    [
        "nothing, in the clear",
        "no certificate",
        "a certificate of its own making",
        "an expired certificate",
        "a server's certificate",
    ],
)
def test_gets_nothing(kinds: Mapping[str, Credentials | None], kind: str, docker_host: str) -> None:
    for answer in ask(CLIENT, docker_host, ALL, kinds[kind]):
        assert answer.statuses == [], (kind, answer)
        assert "HTTP/" not in answer.text, (kind, answer)


def test_a_certificate_of_another_host_gets_refusals(kinds: Mapping[str, Credentials | None]) -> None:
    for answer in ask(CLIENT, DOCKER_HOSTS[0], ALL, kinds["a certificate for another host"]):
        assert answer.statuses == [403], answer


def test_the_way_is_open_for_a_certificate_that_is_good(kinds: Mapping[str, Credentials | None]) -> None:
    """So it was the certificates above that were refused."""
    [answer] = ask(CLIENT, DOCKER_HOSTS[0], [request("GET", "/version")], kinds["a valid one"])
    assert answer.statuses == [200], answer


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], str]:  # noqa: ARG001
    """What a balancer says of the Docker hosts with another configuration."""

    def run(change: str) -> str:
        balancer = host(BALANCERS[0])
        balancer.check_output(f"sed {change} /etc/dockmaster/dockmaster.yml > /run/other.yml")
        environment = f"REQUESTS_CA_BUNDLE={BALANCERS_OWN.authority} CURL_CA_BUNDLE={BALANCERS_OWN.authority}"
        return str(balancer.run(f"{environment} dockmaster status --config /run/other.yml").stdout)

    return run


def test_a_server_with_another_name_is_not_believed(told: Callable[[str], str]) -> None:
    one, other = DOCKER_HOSTS[:2]
    assert f"docker host {one}: answers" in told("''")
    said = told(f"'s/name: {one}/name: {other}x/'")
    assert f"docker host {other}x: answers" not in said
    assert f"problem: Docker host {other}x" in said


def test_another_authority_is_not_believed(told: Callable[[str], str]) -> None:
    put(BALANCERS[0], "/run/foreign.crt", pem(foreign().certificate))
    said = told("'s#ca_file: .*#ca_file: /run/foreign.crt#'")
    assert "not signed by a CA of /run/foreign.crt" in said
    for docker_host in DOCKER_HOSTS:
        assert f"docker host {docker_host}: last answered" in said
