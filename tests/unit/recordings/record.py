"""Record the answers of this machine's Docker engine for containers of every kind.

    python tests/unit/recordings/record.py IMAGE

IMAGE is any image that has ``sleep``. The machine needs IPv6, at least on its loopback. The recording is written
beside this file and named after the engine's version.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import docker

LABELS = {"dockmaster.test": "recording"}
HEALTHY = {"test": ["CMD", "true"], "interval": 500_000_000}
UNHEALTHY = {"test": ["CMD", "false"], "interval": 500_000_000, "retries": 1}
KINDS: dict[str, dict[str, Any]] = {
    "published": {"ports": {"8000/tcp": None}},
    "published-loopback": {"ports": {"8000/tcp": ("127.0.0.1", None)}},
    "published-fixed": {"ports": {"8000/tcp": ("127.0.0.2", 18000)}},
    "published-twice": {"ports": {"8000/tcp": [18001, 18002]}},
    "published-other": {"ports": {"9000/tcp": None}},
    "published-udp": {"ports": {"8000/udp": None}},
    "not-published": {},
    "host-network": {"network_mode": "host"},
    "healthy": {"ports": {"8000/tcp": None}, "healthcheck": HEALTHY},
    "unhealthy": {"ports": {"8000/tcp": None}, "healthcheck": UNHEALTHY},
    "starting": {"ports": {"8000/tcp": None}, "healthcheck": {**HEALTHY, "interval": 3_600_000_000_000}},
    "paused": {"ports": {"8000/tcp": None}},
    "exited": {"ports": {"8000/tcp": None}},
    "labelled": {"ports": {"8000/tcp": None}, "labels": {**LABELS, "dockmaster.service": "nodesrv"}},
    "labelled-other": {"ports": {"8000/tcp": None}, "labels": {**LABELS, "dockmaster.service": "another"}},
    "newline-label": {"ports": {"8000/tcp": None}, "labels": {**LABELS, "evil": "a\nserver x 1.2.3.4:80 \"'#${}"}},
}


def main(image: str) -> None:
    """Start the containers, record the list, and remove them."""
    client = docker.from_env()
    client.images.get(image).tag("local/nodeapp")
    client.images.get(image).tag("local/other")
    made: list[Any] = []
    run: Any = client.containers.run
    try:
        for name, options in KINDS.items():
            made.append(
                run(
                    "local/nodeapp",
                    ["sleep", "600"],
                    name=f"recording-{name}",
                    detach=True,
                    init=True,
                    **{"labels": LABELS, **options},
                )
            )
        made.append(run("local/other", ["sleep", "600"], name="recording-other-image", detach=True, labels=LABELS))
        client.containers.get("recording-paused").pause()
        client.containers.get("recording-exited").kill()
        settled = {"recording-healthy": "healthy", "recording-unhealthy": "unhealthy"}
        deadline = time.monotonic() + 30
        while any(client.containers.get(name).health != state for name, state in settled.items()):
            if time.monotonic() > deadline:
                sys.exit("the containers with a HEALTHCHECK do not settle")
            time.sleep(0.1)
        # The tag moves on, so Docker shows the container of the old image by the image's id.
        made.append(
            run(
                client.images.get(image).id,
                ["sleep", "600"],
                name="recording-by-id",
                detach=True,
                labels=LABELS,
                ports={"8000/tcp": None},
            )
        )
        version = client.api.version()
        answer = client.api.containers(all=True, filters={"label": "dockmaster.test=recording"})
        path = Path(__file__).with_name(f"docker-{version['Version'].split('+')[0]}.json")
        path.write_text(json.dumps({"version": version, "containers": answer}, indent=1, sort_keys=True) + "\n")
        print(f"{path}: {len(answer)} containers")
    finally:
        for container in made:
            container.remove(force=True, v=True)
        client.images.remove("local/nodeapp")
        client.images.remove("local/other")


if __name__ == "__main__":
    main(*sys.argv[1:])
