"""A Docker host that answers wrongly is never taken for one without containers. The API is simulated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from docker_api import SimulatedDocker, simulated_docker
from dockmaster import snapshot
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import SourceError
from dockmaster.model.endpoint import Endpoint
from dockmaster.snapshot import Found
from dockmaster.sources.docker import client as docker
from dockmaster.sources.docker.client import DockerClient
from dockmaster.state.last_known import LastKnown


@pytest.fixture
def api() -> Iterator[SimulatedDocker]:
    with simulated_docker() as served:
        yield served


def listed(api: SimulatedDocker, timeout: int = 5) -> list[Any]:
    host = DockerClient("web1", f"tcp://127.0.0.1:{api.port}", timeout)
    try:
        return host.containers()
    finally:
        host.close()


def test_simulated_list_arrives_by_the_version_that_the_engine_speaks(
    api: SimulatedDocker, recorded: list[dict[str, Any]]
) -> None:
    api.containers = recorded
    assert listed(api) == recorded
    assert api.requests == ["/version", "/v1.41/containers/json"]


def test_empty_simulated_list_is_an_answer(api: SimulatedDocker) -> None:
    assert listed(api) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("truncated", "gave no usable answer"),
        ("not-json", "the answer is not JSON"),
        ("redirect", "status 302"),
        ("slow", "not finished after 1 s"),
        ("hung", "timed out|not finished after 1 s"),
        ("endless", "more than 1000000 bytes"),
    ],
)
def test_simulated_fault_is_an_error_in_bounded_time(
    api: SimulatedDocker, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "MAX_ANSWER", 1_000_000)
    api.fault = fault
    begun = time.monotonic()
    with pytest.raises(SourceError, match=words):
        listed(api, timeout=1)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(("status", "words"), [(500, "status 500"), (403, "status 403"), (204, "status 204")])
def test_simulated_error_status_is_an_error(api: SimulatedDocker, status: int, words: str) -> None:
    api.status = status
    with pytest.raises(SourceError, match=words):
        listed(api)


@pytest.mark.parametrize("containers", [{}, None, "text", 5])
def test_simulated_answer_that_is_no_list_is_an_error(api: SimulatedDocker, containers: object) -> None:
    api.containers = containers
    with pytest.raises(SourceError, match="expected a list of containers"):
        listed(api)


def test_refused_connection_is_an_error_with_the_name_and_address_of_the_host(free_port: Any) -> None:
    port = free_port()
    with pytest.raises(SourceError, match=rf"Docker host web1 \(tcp://127.0.0.1:{port}\).*Connection refused"):
        DockerClient("web1", f"tcp://127.0.0.1:{port}").containers()


def test_proxy_of_the_environment_is_ignored(api: SimulatedDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    assert listed(api) == []


def ask(settings: Settings, timeout: int = 5) -> Found:
    """Ask every source, without anything last known."""
    return snapshot.ask(settings, LastKnown(), timeout)


def endpoints(found: Found) -> list[Endpoint]:
    return [one for answer in found.answers.values() for one in answer.endpoints.get("web", ())]


def both(ports: list[int]) -> Any:
    servers = [{"name": f"web{number}", "host": "127.0.0.1", "port": port} for number, port in enumerate(ports)]
    discovery = {"image_name": "local/nodeapp", "container_port": 8000, "servers": servers}
    return parse({"services": {"web": {"discovery": discovery}}}, "test")


def test_unreachable_host_does_not_affect_a_simulated_one(
    api: SimulatedDocker, recorded: list[dict[str, Any]], free_port: Any
) -> None:
    api.containers = recorded
    found = ask(both([api.port, free_port()]))
    assert {endpoint.docker_host for endpoint in endpoints(found)} == {"web0"}
    assert list(found.unreachable) == ["web1"]


def test_hanging_simulated_host_does_not_delay_others(api: SimulatedDocker, recorded: list[dict[str, Any]]) -> None:
    with simulated_docker() as hung:
        hung.fault, api.containers = "hung", recorded
        begun = time.monotonic()
        found = ask(both([hung.port, api.port]), timeout=1)
    assert time.monotonic() - begun < 10
    assert list(found.unreachable) == ["web0"]
    assert endpoints(found)


def test_no_answer_from_any_host_is_an_error(free_port: Any) -> None:
    with pytest.raises(SourceError, match=r"web0.*web1.*Nothing was changed"):
        ask(both([free_port(), free_port()]))


def shown_by_id(api: SimulatedDocker, count: int, hesitation: float) -> None:
    """Simulate containers whose image tag has moved, on a host that is slow to resolve the images."""
    api.containers = [
        {
            "Id": f"{number:012x}{0:052x}",
            "Image": f"sha256:{0:064x}",
            "State": "running",
            "Ports": [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": number, "Type": "tcp"}],
        }
        for number in range(1, count + 1)
    ]
    api.images = {one["Id"]: "local/nodeapp" for one in api.containers}
    api.hesitation = hesitation


def test_image_ids_of_a_simulated_host_are_resolved(api: SimulatedDocker) -> None:
    shown_by_id(api, 200, 0)
    found = ask(both([api.port]))
    assert len(endpoints(found)) == 200
    assert found.rejected == []


@pytest.mark.parametrize(("hesitation", "least"), [(0.2, 1), (60, 0)])
def test_slow_simulated_host_has_one_time_out_for_all_images(
    api: SimulatedDocker, hesitation: float, least: int
) -> None:
    shown_by_id(api, 200, hesitation)
    begun = time.monotonic()
    found = ask(both([api.port]), timeout=1)
    assert time.monotonic() - begun < 15
    resolved = [endpoint.container_id[:12] for endpoint in endpoints(found)]
    assert least <= len(resolved) < 200
    assert sorted(resolved + [one.container for one in found.rejected]) == [one[:12] for one in api.images]
    assert all("did not say within 1 s" in one.reason for one in found.rejected)


def test_simulated_list_is_read_again_only_if_it_says_something_new(
    api: SimulatedDocker, recorded: list[dict[str, Any]]
) -> None:
    host = DockerClient("web1", f"tcp://127.0.0.1:{api.port}")
    first = {**recorded[0], "Status": "Up 2 minutes"}
    api.containers = [first]
    assert host.containers_unless_as_before() == [first]
    for same in ("Up 2 minutes", "Up 3 minutes", "Up About an hour"):
        api.containers = [{**first, "Status": same}]
        assert host.containers_unless_as_before() is None
    others: list[dict[str, Any]] = [
        {"Status": "Up 3 minutes (healthy)"},
        {"Status": "Up 4 minutes (unhealthy)"},
        {"Status": "Up 4 minutes (Paused)", "State": "paused"},
        {"Labels": {"dockmaster.weight": "7"}},
        {"Ports": []},
        # A label that looks like a changing part is still read.
        {"Labels": {"a": '"Status":"Up one'}},
        {"Labels": {"a": '"Status":"Up two'}},
    ]
    for other in others:
        api.containers = [{**first, **other}]
        assert host.containers_unless_as_before() == api.containers
        assert host.containers_unless_as_before() is None
    api.containers = []
    assert host.containers_unless_as_before() == []
    assert host.containers_unless_as_before() is None
    host.forget()
    assert host.containers_unless_as_before() == []
    api.fault = "not-json"
    with pytest.raises(SourceError):
        host.containers_unless_as_before()
    api.fault = None
    assert host.containers_unless_as_before() is None
    host.close()
