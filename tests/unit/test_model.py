"""Valid names, hosts and ports."""

from __future__ import annotations

import pytest
from dockmaster.model.endpoint import Endpoint, joined, valid_host, valid_name, valid_port

ID = "3796ab3f5b76" + "0" * 52


def test_server_is_named_after_its_container_and_port() -> None:
    endpoint = Endpoint("web1", ID, "10.0.0.1", 49153)
    assert endpoint.server_name(with_host=False) == "3796ab3f5b76_49153"
    assert endpoint.server_name(with_host=True) == "web1_3796ab3f5b76_49153"


def test_endpoint_survives_plain_data_and_back() -> None:
    endpoint = Endpoint("web1", ID, "::1", 80, "app-1", "local/nodeapp")
    assert Endpoint.from_dict(endpoint.as_dict()) == endpoint
    assert endpoint.address == "[::1]:80"


@pytest.mark.parametrize("name", ["", "a b", "a\nserver x", "-a", "a#", 'a"', "ä", "a" * 200, None, 5])
def test_name_that_haproxy_would_misread_is_an_error(name: object) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        valid_name(name)


@pytest.mark.parametrize("host", ["", "a b", "1.2.3.4:80", "a\n", "[::1]", "x" * 300, None, "$(id)"])
def test_host_that_is_neither_address_nor_name_is_an_error(host: object) -> None:
    with pytest.raises(ValueError, match="expected an IP address or a host name"):
        valid_host(host)


@pytest.mark.parametrize("port", [0, -1, 65536, "80", 80.0, True, None])
def test_port_is_a_whole_number_in_range(port: object) -> None:
    with pytest.raises(ValueError, match="from 1 to 65535"):
        valid_port(port)


@pytest.mark.parametrize("data", [None, [], {"docker_host": "a"}, {"docker_host": "a b", "container_id": ID}])
def test_data_that_is_no_endpoint_is_an_error(data: object) -> None:
    with pytest.raises(ValueError, match=r"endpoint|expected"):
        Endpoint.from_dict(data)


def test_ipv6_address_is_written_in_brackets() -> None:
    assert joined("2001:db8::1", 80) == "[2001:db8::1]:80"
