"""The file of what was last known, read by a process that asks often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockmaster.config.parse import parse
from dockmaster.config.settings import Service
from dockmaster.model.endpoint import Endpoint
from dockmaster.state import last_known
from dockmaster.state.last_known import LastKnown, LastKnownFile, selection


def endpoint(host: str, number: int) -> Endpoint:
    return Endpoint(host, f"{number:x}" * 64, "127.0.0.1", 49000 + number)


def service(**discovery: Any) -> Service:
    asked = {"container_port": 8000, "image_name": "local/nodeapp", **discovery}
    return parse({"services": {"web": {"discovery": asked}}}, "test").services[0]


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "last_known.json"
    file = LastKnownFile(path)
    assert file.read() == LastKnown()
    known = LastKnown({"web": [endpoint("one", 1)]}, {"web": {"a": 2.5}}, {"web": "abc"}, {"two": 1.5})
    last_known.save(path, known)
    assert file.read() == known
    assert file.read() is file.read()
    last_known.save(path, LastKnown({"web": [endpoint("one", 2)]}))
    assert file.read().endpoints == {"web": [endpoint("one", 2)]}
    path.unlink()
    assert file.read() == LastKnown()


def test_container_is_remembered_only_for_the_selection_that_found_it() -> None:
    before = service()
    known = LastKnown({"web": [endpoint("one", 1), endpoint("two", 2)]}, selections={"web": selection(before)})
    assert known.attributed("one", [before]) == {"web": {"1" * 64}}
    for other in ({"image_name": "local/other"}, {"allowed_images": ["local/nodeapp"]}, {"network": "shop"}):
        assert known.attributed("one", [service(**other)]) == {}
    # Settings that do not select containers may change.
    assert known.attributed("two", [service(container_port=8001)]) == {"web": {"2" * 64}}


def test_container_that_left_its_service_is_not_remembered_for_it() -> None:
    wanted, one = service(), endpoint("one", 1)
    left = {"web": {one.server_name(with_host=True): 1.0}}
    assert LastKnown({"web": [one]}, left, {"web": selection(wanted)}).attributed("one", [wanted]) == {}
