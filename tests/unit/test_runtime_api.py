"""The runtime socket: commands, and the answers of HAProxy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from dockmaster import sync
from dockmaster.config.parse import parse
from dockmaster.errors import RuntimeApiError, RuntimeApiSilent
from dockmaster.haproxy.runtime import Runtime
from dockmaster.model.endpoint import Endpoint
from findings import finds
from scripted_haproxy import scripted_haproxy
from waiting import until

ONE = Endpoint("localhost", "a" * 64, "127.0.0.1", 49001)


def test_backend_is_found_beside_a_frontend_with_the_same_name(
    plain: dict[str, Any], template: str, start_haproxy: Callable[[], None]
) -> None:
    plain["services"]["web"]["haproxy"].update(frontend=["maxconn 100"], server_options="")
    settings = parse(plain, "test")
    sync.run(settings, template, finds(settings, {"web": [ONE]}))
    start_haproxy()
    runtime = Runtime(str(settings.haproxy.socket_file_path))
    assert runtime.usable_servers("web") == 1
    assert [state.name for state in runtime.servers("web")] == ["aaaaaaaaaaaa_49001"]


def test_missing_section_is_an_error_when_its_usable_servers_are_counted(
    plain: dict[str, Any], template: str, start_haproxy: Callable[[], None]
) -> None:
    settings = parse(plain, "test")
    sync.run(settings, template, finds(settings, {}))
    start_haproxy()
    runtime = Runtime(str(settings.haproxy.socket_file_path))
    with pytest.raises(RuntimeApiError, match="there is no section api"):
        runtime.usable_servers("api")
    assert runtime.usable_servers("web") == 0
    assert runtime.servers("api") == []


def test_socket_without_a_listener_is_no_answer(folder: Any) -> None:
    with pytest.raises(RuntimeApiSilent, match="no answer to 'show info'"):
        Runtime(str(folder / "none.sock")).info()


def test_endless_answer_of_a_scripted_haproxy_times_out(folder: Any) -> None:
    with scripted_haproxy(folder / "haproxy.sock") as haproxy:
        haproxy.hang = True
        begun = time.monotonic()
        with pytest.raises(RuntimeApiSilent):
            Runtime(str(haproxy.path), timeout=0.3).info()
        assert time.monotonic() - begun < 5
        until(lambda: haproxy.commands)


@pytest.mark.parametrize("answer", ["No such server.\n", "\n" * 60 + "Require 'backend/server'.\n", "\n \n?\n"])
def test_scripted_refusal_is_raised_with_the_words_of_haproxy(folder: Any, answer: str) -> None:
    with scripted_haproxy(folder / "haproxy.sock") as haproxy:
        haproxy.answers["set server"] = answer
        begun = time.monotonic()
        with pytest.raises(RuntimeApiError, match=rf"answer to 'set server .*': {re.escape(answer.split()[0])}"):
            Runtime(str(haproxy.path)).change(["set server web/a state ready"])
        assert time.monotonic() - begun < 5
