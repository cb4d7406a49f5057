"""What was last known, for somebody who asks often."""

from __future__ import annotations

from pathlib import Path

from dockmaster.model.endpoint import Endpoint
from dockmaster.state import last_known as state


def backend(host: str, number: int) -> Endpoint:
    return Endpoint(host, f"{number:x}" * 64, "127.0.0.1", 49000 + number)


def test_what_changed_in_the_file_is_read_again_and_told_by_host(tmp_path: Path) -> None:
    path = tmp_path / "backends.json"
    known = state.LastKnown(path)
    assert known.backends() == {}
    state.save(path, {"web": [backend("one", 1), backend("other", 2)]})
    assert known.of_host("one") == {"web": [backend("one", 1)]}
    assert known.backends() is known.backends()
    state.save(path, {"web": [backend("other", 2)], "api": [backend("other", 3)]})
    assert known.of_host("one") == {}
    assert known.of_host("other") == {"web": [backend("other", 2)], "api": [backend("other", 3)]}
    path.unlink()
    assert known.of_host("other") == {}
