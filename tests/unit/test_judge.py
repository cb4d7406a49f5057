"""An inventory is judged before anything is changed, and what it wants is compared with what serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import play
from conftest import ROOT
from dockmaster.judge import Verdict, Wanted, inventory, outcome

APPLICATION = {"image": "local/nodeapp", "port": 8000, "count": 2}


def service(discovery: dict[str, Any] | None = None, **more: object) -> dict[str, Any]:
    found = {"image_name": "local/nodeapp", "container_port": 8000, **(discovery or {})}
    return {"discovery": found, "haproxy": {"port": 8080, "listen": []}, **more}


def judged(
    services: object, applications: dict[str, Any] | None = None, servers: tuple[str, ...] = ("app1",)
) -> Verdict:
    data = {"services": services, "discovery": {"servers": [{"name": name, "host": "10.0.0.1"} for name in servers]}}
    return inventory(data, {"app1": {"nodesrv": APPLICATION}} if applications is None else applications)


def names(verdict: Verdict, of: str = "nodesrv") -> list[str]:
    return [str(one) for one in verdict.wanted.get(of, ())]


def test_a_sound_inventory_has_no_problem_and_no_warning() -> None:
    verdict = judged({"nodesrv": service()})
    assert not verdict.problems
    assert not verdict.warnings
    assert verdict.as_dict()["wanted"] == {
        "nodesrv": [
            {"docker_host": "app1", "container": "nodesrv-1"},
            {"docker_host": "app1", "container": "nodesrv-2"},
        ]
    }


@pytest.mark.parametrize(
    ("services", "sentence"),
    [
        (
            {"a": service({"image_nmae": "x"})},
            "dockmaster_services.a.discovery.image_nmae: is not a key of this section; did you mean image_name?",
        ),
        (
            {"a": {"discovery": {"container_prt": 8000}}},
            "dockmaster_services.a.discovery.container_prt: is not a key of this section; did you mean container_port?",
        ),
        ({"a": {"discovery": {"container_name": "x"}}}, "dockmaster_services.a.discovery.container_port: is missing"),
        (
            {"a": {**service(), "haproxy": {"port": "8080"}}},
            "dockmaster_services.a.haproxy.port: '8080': expected a whole number from 1 to 65535",
        ),
        (
            {"a": {**service(), "haproxy": {"port": 8080, "listen": "mode http"}}},
            "dockmaster_services.a.haproxy.listen: 'mode http': expected a list of lines",
        ),
        (
            {"a": service({"image_name": "local/node app"})},
            "dockmaster_services.a.discovery.image_name: 'local/node app': expected an image reference such as "
            "local/nodeapp or registry:5000/team/app:1.2",
        ),
        ({"a b": service()}, "dockmaster_services.a b: 'a b': expected a name"),
        ({"a": None}, "dockmaster_services.a.discovery.container_port: is missing"),
        ([], "dockmaster_services: []: expected keys with values"),
        (
            {"a": service(), "b": service()},
            "dockmaster_services.b.haproxy: localhost:8080 is also the address of services.a; expected the address to "
            "be of one service",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence_in_words_of_the_inventory(services: object, sentence: str) -> None:
    (problem,) = judged(services).problems
    assert problem.startswith(sentence)
    assert "\n" not in problem


def test_each_wrong_service_is_named_and_what_they_share_once() -> None:
    wrong = {"a": service({"image_nmae": "x"}), "b": service(), "c": {**service(), "haproxy": {"port": "1"}}}
    assert [problem.split(":")[0] for problem in judged(wrong).problems] == [
        "dockmaster_services.a.discovery.image_nmae",
        "dockmaster_services.c.haproxy.port",
    ]
    shared = inventory({"services": {"a": service(), "b": service()}, "haproxy": {"retries": "5"}}, {})
    assert shared.problems == ["haproxy.retries: '5': expected a whole number, 0 or more"]


def test_a_docker_host_is_named_by_its_variable() -> None:
    (problem,) = inventory({"discovery": {"servers": [{"host": "a b"}]}}, {}).problems
    assert problem.startswith("dockmaster_docker_servers[0].host: 'a b': expected")


def test_an_image_that_no_application_has_is_a_warning_with_the_nearest_one() -> None:
    verdict = judged({"web": service({"image_name": "local/nodeap"})})
    assert verdict.warnings == (
        "dockmaster_services.web.discovery.image_name: 'local/nodeap' is the image of no application; "
        "did you mean local/nodeapp?",
    )
    assert names(verdict, "web") == []


def test_a_typo_is_a_warning_where_the_label_selects_the_containers_too() -> None:
    verdict = judged({"nodesrv": service({"image_name": "local/nodeap"})})
    assert len(verdict.warnings) == 1
    assert names(verdict) == ["app1/nodesrv-1", "app1/nodesrv-2"]


def test_another_image_is_no_warning_where_the_label_selects_the_containers() -> None:
    assert not judged({"nodesrv": service({"image_name": "registry:5000/shop"})}).warnings


def test_an_application_with_the_image_and_another_label_is_a_warning() -> None:
    (warning,) = judged({"web": service()}).warnings
    assert warning.startswith("dockmaster_services.web: no application can serve it: nodesrv has its image, but")


def test_labels_that_do_not_count_leave_the_image_to_select() -> None:
    verdict = judged({"web": service({"labels": []})})
    assert not verdict.warnings
    assert names(verdict, "web") == ["app1/nodesrv-1", "app1/nodesrv-2"]


def test_a_port_that_the_application_does_not_publish_is_a_warning() -> None:
    verdict = judged({"nodesrv": service()}, {"app1": {"nodesrv": {"image": "local/nodeapp", "port": 9000}}})
    assert verdict.warnings == (
        "dockmaster_services.nodesrv: the containers of nodesrv on app1 cannot serve: "
        "port 8000/tcp is not published on an address that app1 reaches",
    )
    # It is meant for the service all the same, so the end of a run says that it does not serve.
    assert names(verdict) == ["app1/nodesrv-1"]


@pytest.mark.parametrize(
    "published", [["80:8000"], ["127.0.0.1:80:8000/tcp"], [8000], ["7000-7009:7995-8004"], ["53:53/udp", "[::1]::8000"]]
)
def test_ports_are_read_in_every_form_that_docker_run_takes(published: list[Any]) -> None:
    verdict = judged({"nodesrv": service()}, {"app1": {"nodesrv": {"image": "local/nodeapp", "published": published}}})
    assert names(verdict) == ["app1/nodesrv-1"]


def test_nobody_is_warned_without_applications_or_without_an_image() -> None:
    assert not judged({"web": service()}, {}).warnings
    assert not judged({"web": {"discovery": {"compose_project": "shop", "container_port": 80}}}).warnings


def test_no_container_is_wanted_where_only_default_servers_serve() -> None:
    alone = {"discovery": {"method": "base"}, "default_servers": [{"host": "10.0.0.9", "port": 80}]}
    assert judged({"nodesrv": alone}) == Verdict()


def test_only_docker_hosts_that_are_asked_count() -> None:
    both = {"app1": {"nodesrv": APPLICATION}, "app2": {"nodesrv": APPLICATION}}
    assert len(names(judged({"nodesrv": service()}, both))) == 2
    assert len(names(judged({"nodesrv": service()}, both, ("app1", "app2")))) == 4
    # Where playbooks alone ask, they ask all of them.
    assert len(names(judged({"nodesrv": service()}, both, ()))) == 4
    (warning,) = judged({"nodesrv": service()}, both, ("lb1",)).warnings
    assert "runs on a Docker host that is not asked" in warning


def test_containers_are_selected_one_by_one_and_none_may_be_wanted_for_now() -> None:
    assert names(judged({"nodesrv": service({"labels": [], "container_name": "*-2"})})) == ["app1/nodesrv-2"]
    none = judged({"nodesrv": service()}, {"app1": {"nodesrv": {**APPLICATION, "count": 0}}})
    assert names(none) == []
    assert not none.warnings


WANTED = {"nodesrv": [Wanted("app1", "nodesrv-1"), Wanted("app2", "nodesrv-1")]}


def row(host: str, **values: object) -> dict[str, Any]:
    usual = {"state": "healthy", "haproxy": "UP", "reason": "", "container": "nodesrv-1", "service": "nodesrv"}
    return {"docker_host": host, **usual, **values}


def status(*rows: dict[str, Any], **values: object) -> dict[str, Any]:
    return {"haproxy": "running", "servers": list(rows), **values}


def test_nothing_is_missing_while_every_wanted_container_serves() -> None:
    assert outcome(WANTED, status(row("app1"), row("app2", haproxy="no check"), row("app3"))) == []


def test_the_reason_of_each_container_is_told() -> None:
    assert outcome(WANTED, status(row("app1"), row("app2", haproxy="DOWN", reason="connection refused"))) == [
        "nodesrv: only 1 of 2 containers serve: app2/nodesrv-1: connection refused"
    ]
    assert outcome(WANTED, status(row("app1", haproxy="DOWN"))) == [
        "nodesrv: no usable server: app1/nodesrv-1: HAProxy says DOWN; "
        "app2/nodesrv-1: it does not run, or is not healthy yet"
    ]


def test_a_haproxy_that_does_not_run_is_the_only_reason() -> None:
    assert outcome(WANTED, status(haproxy="stopped")) == ["HAProxy: stopped"]


def test_who_is_rejected_by_name_or_by_id_is_told() -> None:
    by_name = {"service": "nodesrv", "docker_host": "app1", "container": "nodesrv-1", "reason": "no port"}
    by_id = {"service": "nodesrv", "docker_host": "app2", "container": "3796ab3f5b76", "reason": "no network"}
    other = {**by_id, "service": "other"}
    assert outcome(WANTED, status(rejected=[by_name, by_id, other])) == [
        "nodesrv: no usable server: app1/nodesrv-1: no port; app2/nodesrv-1: it does not run, or is not healthy yet; "
        "app2/3796ab3f5b76: no network"
    ]


def test_a_host_that_is_unreachable_is_the_reason_of_all_its_containers() -> None:
    wanted = {"nodesrv": [Wanted("app1", "nodesrv-1"), Wanted("app1", "nodesrv-2")]}
    sources = [{"docker_host": "app1", "answers": False, "error": "no route to host"}]
    assert outcome(wanted, status(sources=sources)) == [
        "nodesrv: no usable server: app1/nodesrv-1, app1/nodesrv-2: app1 is unreachable (no route to host)"
    ]
    # HAProxy goes on using what was last known.
    assert outcome(wanted, status(row("app1"), row("app1", container="nodesrv-2"), sources=sources)) == []


def test_what_is_drained_is_not_wanted() -> None:
    rest = row("app1")
    assert outcome(WANTED, status(rest, drained=[{"docker_host": "app2", "container": ""}])) == []
    assert outcome(WANTED, status(rest, drained=[{"docker_host": "app2", "container": "nodesrv-1"}])) == []
    assert outcome(WANTED, status(rest, row("app2", state="drained", haproxy="DRAIN"))) == []
    assert outcome(WANTED, status(rest, drained=[{"docker_host": "app3", "container": ""}])) != []


def test_it_runs_where_neither_docker_nor_jinja2_is_installed() -> None:
    program = "import sys; sys.modules.update(docker=None, jinja2=None, yaml=None); import dockmaster.judge"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT / "module_utils", timeout=60)


def check(*names: str, **discovery: object) -> dict[str, Any]:
    arguments = {
        "settings": {"services": {name: service(discovery) for name in names}},
        "applications": {"app1": {"nodesrv": APPLICATION}},
    }
    return {"dockmaster_settings_check": arguments, "register": "judged"}


def test_the_module_warns_and_returns_what_is_wanted(folder: Path) -> None:
    wanted = {"ansible.builtin.assert": {"that": "judged.wanted.nodesrv | map(attribute='container') | length == 2"}}
    output = play([check("nodesrv", image_name="local/nodeap"), wanted], folder, arguments=("--check",))
    assert "did you mean local/nodeapp?" in " ".join(output.split())
    assert "changed=0" in output


def test_the_module_fails_in_one_sentence(folder: Path) -> None:
    output = " ".join(play([check("a", "b")], folder, expect_failure=True).split())
    assert "dockmaster_services.b.haproxy: localhost:8080 is also the address of services.a; expected" in output
