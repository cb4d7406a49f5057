"""Which containers serve, by image, label, name, network and compose project."""

from __future__ import annotations

from typing import Any

import pytest
from dockmaster.config.parse import parse
from dockmaster.model.endpoint import Endpoint, Rejection
from dockmaster.sources.docker.discovery import endpoints_of


def container(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an entry of the engine's list with changes."""
    return {
        "Id": f"{number:064x}",
        "Names": [f"/app-{number}"],
        "Image": "local/nodeapp",
        "ImageID": "sha256:" + "1" * 64,
        "State": "running",
        "Status": "Up 5 seconds",
        "Labels": {},
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 32000 + number, "Type": "tcp"}],
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": f"172.17.0.{number}"}}},
        **changes,
    }


def found(
    listed: list[Any], more: dict[str, Any] | None = None, **options: Any
) -> tuple[list[Endpoint], list[Rejection]]:
    discovery = {"container_port": 8000, **(more or {})}
    services = parse({"services": {"web": {"discovery": discovery}}}, "test").services
    answer = endpoints_of(services, "localhost", "127.0.0.1", listed, **options)
    return list(answer.endpoints["web"]), list(answer.rejected)


def serves(entry: dict[str, Any], **discovery: Any) -> bool:
    return bool(found([entry], discovery)[0])


def networks(*names: str) -> dict[str, Any]:
    return {"Networks": {name: {"IPAddress": "10.1.2.3", "GlobalIPv6Address": ""} for name in names}}


@pytest.mark.parametrize(
    ("change", "discovery", "expected"),
    [
        ({}, {"image_name": "local/nodeapp"}, True),
        ({}, {"image_name": "local/other"}, False),
        ({"Image": "nodeapp"}, {"image_name": "docker.io/library/nodeapp"}, True),
        ({}, {"container_name": "app-1"}, True),
        ({}, {"container_name": "app-*"}, True),
        ({}, {"container_name": "db-*"}, False),
        ({}, {"container_name": "app-*", "image_name": "local/other"}, False),
        ({"NetworkSettings": networks("web")}, {"network": "web"}, True),
        ({}, {"network": "web", "image_name": "local/nodeapp"}, False),
        ({"Labels": {"com.docker.compose.project": "shop"}}, {"compose_project": "shop"}, True),
        ({"Labels": {"com.docker.compose.project": "shop"}}, {"compose_project": "other"}, False),
        ({"Labels": {"tier": "web"}}, {"label_filters": [{"label": "tier", "value": "web"}]}, True),
        ({}, {"label_filters": [{"label": "tier", "value": "web"}]}, False),
        (
            {"Labels": {"tier": "db"}},
            {
                "image_name": "local/nodeapp",
                "label_filters": [{"label": "tier", "value": "db", "condition": "not-equals"}],
            },
            False,
        ),
        ({"Labels": {"dockmaster.service": "web"}}, {}, True),
        ({"Labels": {"dockmaster.service": "web"}}, {"image_name": "local/other"}, True),
        ({"Labels": {"dockmaster.service": "web"}}, {"image_name": "local/other", "labels": []}, False),
        ({"Labels": {"dockmaster.service": "web"}}, {"allowed_images": ["local/other"]}, False),
        ({"Labels": {"dockmaster.service": "web"}}, {"network": "inner"}, False),
        ({"Labels": {"dockmaster.service": "another"}}, {"image_name": "local/nodeapp"}, False),
        ({}, {}, False),
        ({"State": "created"}, {"image_name": "local/nodeapp"}, False),
        ({"State": "paused"}, {"image_name": "local/nodeapp"}, False),
        ({"State": "restarting"}, {"image_name": "local/nodeapp"}, False),
        ({"State": "removing"}, {"image_name": "local/nodeapp"}, False),
        ({"Status": "Up 1 second (health: starting)"}, {"image_name": "local/nodeapp"}, False),
        ({"Status": "Up 1 second (unhealthy)"}, {"image_name": "local/nodeapp"}, False),
        ({"Status": "Up 1 second (healthy)"}, {"image_name": "local/nodeapp"}, True),
    ],
)
def test_container_is_selected_only_if_everything_configured_matches(
    change: dict[str, Any], discovery: dict[str, Any], expected: bool
) -> None:
    assert serves(container(**change), **discovery) is expected


BY_ID = container(Image="sha256:" + "1" * 64)


def test_container_stays_in_its_service_though_its_image_tag_moved() -> None:
    endpoints, rejected = found([BY_ID], {"image_name": "local/nodeapp"}, known={"web": {BY_ID["Id"]}})
    assert len(endpoints) == 1
    assert rejected == []


def test_image_shown_by_id_is_resolved_by_the_host() -> None:
    asked: list[str] = []

    def resolve(container_id: str) -> str:
        asked.append(container_id)
        return "local/nodeapp:1"

    endpoints, rejected = found([BY_ID], {"image_name": "local/nodeapp"}, resolve=resolve)
    assert (len(endpoints), rejected, asked) == (1, [], [BY_ID["Id"]])


def test_image_shown_by_id_is_rejected_if_it_cannot_be_resolved() -> None:
    endpoints, rejected = found([BY_ID], {"image_name": "local/nodeapp"}, resolve=lambda _: None)
    assert endpoints == []
    assert [one.reason for one in rejected] == [
        "Docker shows its image by id, and it was not seen before: label it dockmaster.service"
    ]


def test_only_images_that_matter_are_resolved() -> None:
    def resolve(_: str) -> str:
        raise AssertionError

    assert found([BY_ID], {"container_name": "app-*"}, resolve=resolve)[0]


LABELS = ["service", "port", "weight", "backup", "maxconn"]


def one_with(labels: dict[str, str], allowed: list[str]) -> tuple[list[Endpoint], list[Rejection]]:
    return found([container(Labels=labels)], {"image_name": "local/nodeapp", "labels": allowed})


def test_labels_set_weight_backup_and_maxconn() -> None:
    labels = {"dockmaster.weight": "7", "dockmaster.backup": "true", "dockmaster.maxconn": "20"}
    (endpoint,), _ = one_with(labels, LABELS)
    assert endpoint.options() == "weight 7 maxconn 20 backup"


def test_label_that_the_operator_does_not_allow_does_nothing() -> None:
    (endpoint,), rejected = one_with({"dockmaster.weight": "7", "dockmaster.port": "9"}, ["service"])
    assert (endpoint.options(), endpoint.port, rejected) == ("", 32001, [])


@pytest.mark.parametrize(
    ("label", "value", "reason"),
    [
        ("weight", "257", "label dockmaster.weight: '257': expected a whole number from 0 to 256"),
        ("weight", "-1", "label dockmaster.weight: '-1': expected a whole number from 0 to 256"),
        ("weight", "1 disabled", "label dockmaster.weight: '1 disabled': expected a whole number"),
        ("weight", "٣", "label dockmaster.weight: '\\u0663': expected a whole number"),
        ("backup", "yes", "label dockmaster.backup: 'yes': expected true or false"),
        ("maxconn", "1\nserver x 1.2.3.4:1", "label dockmaster.maxconn: '1\\nserver x 1.2.3.4:1': expected"),
        ("port", "99999", "label dockmaster.port: '99999': expected a whole number from 0 to 65535"),
        ("port", "0", "expected a whole number from 1 to 65535"),
        ("port", "9000", "port 9000/tcp is not published"),
    ],
)
def test_label_with_a_wrong_value_is_rejected_with_the_reason(label: str, value: str, reason: str) -> None:
    endpoints, (rejection,) = one_with({f"dockmaster.{label}": value}, LABELS)
    assert endpoints == []
    assert reason in rejection.reason


def test_container_on_a_named_network_is_dialled_at_its_own_address() -> None:
    entry = container(NetworkSettings=networks("inner"), Ports=[])
    (endpoint,), _ = found([entry], {"image_name": "local/nodeapp", "container_network": "inner"})
    assert endpoint.address == "10.1.2.3:8000"


def test_container_that_is_not_on_the_network_is_rejected() -> None:
    endpoints, (rejection,) = found([container()], {"image_name": "local/nodeapp", "container_network": "inner"})
    assert endpoints == []
    assert rejection.reason == "it has no address on the network inner"


def test_invalid_address_is_never_dialled() -> None:
    evil = {"Networks": {"inner": {"IPAddress": "1.2.3.4:80 check\nserver x"}}}
    entry = container(NetworkSettings=evil)
    assert not found([entry], {"image_name": "local/nodeapp", "container_network": "inner"})[0]


def test_ipv6_address_is_dialled_if_there_is_no_other() -> None:
    only = {"Networks": {"inner": {"IPAddress": "", "GlobalIPv6Address": "2001:db8::5"}}}
    (endpoint,), _ = found(
        [container(NetworkSettings=only)], {"image_name": "local/nodeapp", "container_network": "inner"}
    )
    assert endpoint.address == "[2001:db8::5]:8000"


def test_container_on_the_host_network_is_dialled_at_the_host() -> None:
    entry = container(HostConfig={"NetworkMode": "host"}, Ports=[], NetworkSettings=networks("host"))
    (endpoint,), _ = found([entry], {"image_name": "local/nodeapp"})
    assert endpoint.address == "127.0.0.1:8000"


def test_duplicate_id_is_rejected_and_serves_once() -> None:
    endpoints, (rejection,) = found([container(), container()], {"image_name": "local/nodeapp"})
    assert len(endpoints) == 1
    assert "is in the list twice" in rejection.reason


def test_container_can_serve_several_services() -> None:
    discovery = {"image_name": "local/nodeapp", "container_port": 8000}
    services = parse({"services": {name: {"discovery": discovery} for name in ("a", "b")}}, "test").services
    endpoints = endpoints_of(services, "localhost", "127.0.0.1", [container()]).endpoints
    assert [len(endpoints[name]) for name in ("a", "b")] == [1, 1]


def test_container_with_a_range_of_ports_serves_at_the_configured_one() -> None:
    ports = [
        {"IP": "0.0.0.0", "PrivatePort": port, "PublicPort": port + 10000, "Type": "tcp"} for port in range(7990, 8011)
    ]
    (endpoint,), _ = found([container(Ports=ports)], {"image_name": "local/nodeapp"})
    assert endpoint.port == 18000


def test_huge_label_is_rejected_with_a_short_reason() -> None:
    labels = {"dockmaster.weight": "9" * 1_000_000, "x" * 1_000_000: "y"}
    _, (rejection,) = one_with(labels, LABELS)
    assert len(rejection.reason) < 200
