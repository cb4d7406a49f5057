"""Servers at run time, with the HAProxy of each Debian: the same as from the file, and gone when they are gone."""

from __future__ import annotations

from functools import partial

from ask import within
from server_values import Values, server_values
from testinfra.host import Host
from watched import agrees, in_haproxy, start, started, tell, worker


def values(host: Host, container: str) -> Values:
    """What HAProxy says of a container's server."""
    [found] = [row for (_, server), row in server_values(partial(tell, host)).items() if container in server]
    return found


def test_a_server_is_the_same_at_run_time_as_from_the_file(host: Host) -> None:
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


def test_what_is_gone_is_deleted_where_haproxy_does_that_safely(host: Host) -> None:
    deletes = "wait " in tell(host, "help")
    before = worker(host)
    with started(host) as container:
        pass
    if deletes:
        within(20, lambda: container not in tell(host, "show stat nodesrv 4 -1"))
    else:
        assert container in tell(host, "show stat nodesrv 4 -1")
        assert in_haproxy(host, container) == ""
    # Either way the file has it no more, and nothing was reloaded for it.
    within(10, lambda: container not in host.file("/etc/haproxy/haproxy.cfg").content_string)
    assert worker(host) == before


def test_the_version_of_debian_tells_which_way_it_was(host: Host) -> None:
    assert ("wait " in tell(host, "help")) == (int(host.system_info.release.split(".")[0]) >= 13)
