"""Which of the recorded containers become endpoints, and at which address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from dockmaster.config.parse import parse
from dockmaster.config.settings import Service
from dockmaster.model.container import Container, PublishedPort
from dockmaster.model.ports import published
from dockmaster.sources.docker.discovery import endpoints_of


def service(name: str = "nodesrv", image: str | None = "local/nodeapp") -> Service:
    discovery = {"container_port": 8000, **({"image_name": image} if image else {})}
    return parse({"services": {name: {"discovery": discovery}}}, "test").services[0]


def names(endpoints: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, int]]:
    return {one.container_name.removeprefix("recording-"): (one.host, one.port) for one in endpoints["nodesrv"]}


def public(recorded: list[dict[str, Any]], name: str, ip: str) -> int:
    entry = next(one for one in recorded if one["Names"] == [f"/recording-{name}"])
    return min(int(port["PublicPort"]) for port in entry["Ports"] if port["IP"] == ip)


def test_running_containers_of_the_image_serve_at_their_ipv4_port(recorded: list[dict[str, Any]]) -> None:
    found = endpoints_of([service()], "localhost", "localhost", recorded).endpoints
    here = names(found)
    assert set(here) == {
        "published",
        "published-loopback",
        "published-fixed",
        "published-twice",
        "host-network",
        "healthy",
        "labelled",
        "newline-label",
    }
    assert here["healthy"] == ("127.0.0.1", public(recorded, "healthy", "0.0.0.0"))
    assert here["host-network"] == ("127.0.0.1", 8000)
    assert here["published-twice"] == ("127.0.0.1", 18001)
    assert here["published-fixed"] == ("127.0.0.2", 18000)


def test_host_with_an_ipv6_address_is_dialled_at_the_ipv6_port(recorded: list[dict[str, Any]]) -> None:
    found = endpoints_of([service()], "web1", "2001:db8::1", recorded).endpoints
    assert names(found)["healthy"] == ("2001:db8::1", public(recorded, "healthy", "::"))


def test_port_on_the_loopback_of_another_machine_is_rejected(recorded: list[dict[str, Any]]) -> None:
    answer = endpoints_of([service()], "web1", "192.0.2.7", recorded)
    found, rejected = answer.endpoints, answer.rejected
    assert "published-loopback" not in names(found)
    assert "published-fixed" not in names(found)
    assert "port 8000/tcp is not published on an address that 192.0.2.7 reaches" in {one.reason for one in rejected}


def test_container_without_a_published_port_is_rejected_by_name(recorded: list[dict[str, Any]]) -> None:
    rejected = endpoints_of([service()], "localhost", "127.0.0.1", recorded).rejected
    without = {"published-other", "published-udp", "not-published"}
    ids = {one["Id"][:12] for one in recorded if one["Names"][0].removeprefix("/recording-") in without}
    assert {one.container for one in rejected if "is not published" in one.reason} == ids


def test_label_names_the_service_whatever_the_image(recorded: list[dict[str, Any]]) -> None:
    found = endpoints_of([service(image=None)], "localhost", "127.0.0.1", recorded).endpoints
    assert set(names(found)) == {"labelled"}


def test_order_of_the_list_does_not_matter(recorded: list[dict[str, Any]]) -> None:
    one = endpoints_of([service()], "localhost", "127.0.0.1", recorded).endpoints
    other = endpoints_of([service()], "localhost", "127.0.0.1", list(reversed(recorded))).endpoints
    assert one == other


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"Id": "x\nserver evil 1.2.3.4:80"},
        {"Id": 5},
        {"Id": "a" * 64, "Labels": ["x"]},
        {"Id": "a" * 64, "Ports": [{"Type": "tcp", "PrivatePort": 8000, "PublicPort": 99999}]},
        {"Id": "a" * 64, "Ports": [None]},
        {"Id": "a" * 64, "Image": {}},
    ],
)
def test_bad_entry_is_rejected_without_affecting_others(recorded: list[Any], broken: Any) -> None:
    answer = endpoints_of([service()], "localhost", "127.0.0.1", recorded)
    good, rejected = answer.endpoints, answer.rejected
    answer = endpoints_of([service()], "localhost", "127.0.0.1", [broken, *recorded])
    found, with_broken = answer.endpoints, answer.rejected
    assert found == good
    assert len(with_broken) == len(rejected) + 1
    assert with_broken[0].container == "entry 0 of the list"


def test_health_is_read_from_the_status(recorded: list[dict[str, Any]]) -> None:
    health = {one.name.removeprefix("recording-"): one.health for one in map(Container.parse, recorded)}
    assert (health["healthy"], health["unhealthy"], health["starting"], health["published"]) == (
        "healthy",
        "unhealthy",
        "starting",
        None,
    )


def test_port_published_on_one_address_is_dialled_there() -> None:
    assert published((PublishedPort("192.0.2.9", 80, 8080),), 80, "192.0.2.7") == ("192.0.2.9", 8080)


def test_port_published_on_the_dialled_address_is_preferred() -> None:
    ports = (PublishedPort("192.0.2.9", 80, 1000), PublishedPort("0.0.0.0", 80, 2000))
    assert published(ports, 80, "192.0.2.7") == ("192.0.2.7", 2000)
