"""A port that another program uses is an error of one sentence, before anything is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import yaml
from testinfra.host import Host

SHIPPED = Path(__file__).parents[3] / "inventories" / "local" / "group_vars" / "all.yml"


def test_port_of_nginx_is_an_error_before_any_change(host: Host, play: Callable[..., str]) -> None:
    services = yaml.safe_load(SHIPPED.read_text())["dockmaster_services"]
    output = play("site.yml", "--extra-vars", json.dumps({"dockmaster_services": services}), fails=True)
    assert re.search(
        r"dockmaster_services.nodesrv.haproxy.port: 8080 is taken by nginx \(process [0-9]+\) on dockmaster-test-used",
        " ".join(output.split()),
    )
    assert re.search(r"changed=0 .* failed=1", output)
    assert not host.file("/var/lib/dockmaster").exists
