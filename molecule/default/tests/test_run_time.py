"""Servers that are added and deleted at run time, with the HAProxy of each Debian release."""

from __future__ import annotations

from functools import partial

from ask import within
from server_values import Values, server_values
from testinfra.host import Host
from watched import agrees, in_haproxy, runtime_api, start, started, worker


def values(host: Host, container: str) -> Values:
    """Return what HAProxy reports about the server of a container."""
    [found] = [row for (_, server), row in server_values(partial(runtime_api, host)).items() if container in server]
    return found


def test_server_is_the_same_added_at_run_time_or_read_from_the_file(host: Host) -> None:
    container = start(host)
    within(20, lambda: in_haproxy(host, container) == "UP")
    within(10, lambda: container in host.file("/etc/haproxy/haproxy.cfg").content_string)
    at_run_time, before = values(host, container), worker(host)
    host.check_output("systemctl reload haproxy")
    within(20, lambda: worker(host) != before)
    within(20, lambda: values(host, container)["check_status"] == "L7OK")
    assert values(host, container) == at_run_time
    host.check_output("docker rm --force %s", container)
    within(20, lambda: agrees(host))


def test_gone_server_is_deleted_if_haproxy_can_do_so_safely(host: Host) -> None:
    deletes = "wait " in runtime_api(host, "help")
    before = worker(host)
    with started(host) as container:
        pass
    if deletes:
        within(20, lambda: container not in runtime_api(host, "show stat nodesrv 4 -1"))
    else:
        assert container in runtime_api(host, "show stat nodesrv 4 -1")
        assert in_haproxy(host, container) == ""
    # Either way, it leaves the file, and nothing is reloaded.
    within(10, lambda: container not in host.file("/etc/haproxy/haproxy.cfg").content_string)
    assert worker(host) == before


def test_haproxy_can_delete_safely_from_debian_13_on(host: Host) -> None:
    assert ("wait " in runtime_api(host, "help")) == (int(host.system_info.release.split(".")[0]) >= 13)
