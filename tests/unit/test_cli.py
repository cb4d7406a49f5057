"""The command as operators call it: a zip application, run by the Python of the system."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runs import play
from conftest import ROOT, TEMPLATE, Run
from docker_api import SimulatedDocker, simulated_docker
from dockmaster.config.parse import parse
from dockmaster.haproxy.servers import by_service
from dockmaster.haproxy.template import context, render
from dockmaster.snapshot import Snapshot

SEED = Path(__file__).parent / "data" / "synapse.json.conf"


@pytest.fixture
def api() -> Iterator[SimulatedDocker]:
    with simulated_docker() as served:
        yield served


@pytest.fixture
def config(plain: dict[str, Any], api: SimulatedDocker, folder: Path, recorded: list[dict[str, Any]]) -> Path:
    """Write a configuration with a simulated Docker API, which answers like the recorded engine."""
    api.containers = recorded
    plain["services"]["web"]["discovery"]["servers"][0]["port"] = api.port
    path = folder / "dockmaster.yml"
    path.write_text(yaml.safe_dump(plain))
    return path


def test_second_sync_changes_nothing(run: Run, config: Path, template: str, folder: Path) -> None:
    first = run("sync", "--config", config, "--template", TEMPLATE)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("dockmaster: wrote the file; added ")
    second = run("sync", "--config", config, "--template", TEMPLATE)
    assert second.stdout == "dockmaster: nothing to do\n"
    settings = parse(yaml.safe_load(config.read_text()), "test")
    engine = render(template, context(settings, by_service(settings, Snapshot.taken(settings).serving), template))
    assert (folder / "haproxy.cfg").read_bytes() == engine.encode()


def test_check_and_diff_show_the_change_without_making_it(run: Run, config: Path, folder: Path) -> None:
    done = run("sync", "--config", config, "--template", TEMPLATE, "--check", "--diff")
    assert done.returncode == 0
    assert "would write the file" in done.stdout
    assert "+    server " in done.stdout
    assert not (folder / "haproxy.cfg").exists()


def test_json_output_says_what_was_done(run: Run, config: Path) -> None:
    done = run("sync", "--config", config, "--template", TEMPLATE, "--json")
    report = json.loads(done.stdout)
    assert (report["action"], report["changed"], report["unreachable_sources"]) == ("write", True, {})
    assert {one["container_name"] for one in report["endpoints"]["web"]} >= {"recording-published"}
    assert len(report["rejected"]) == 6


def test_sync_without_any_answer_fails_and_changes_nothing(
    run: Run, config: Path, api: SimulatedDocker, folder: Path
) -> None:
    run("sync", "--config", config, "--template", TEMPLATE)
    before = (folder / "haproxy.cfg").read_bytes()
    api.status = 500
    done = run("sync", "--config", config, "--template", TEMPLATE)
    assert done.returncode == 1
    assert "Docker host localhost" in done.stderr
    assert "status 500. Nothing was changed" in done.stderr
    assert (folder / "haproxy.cfg").read_bytes() == before


def test_sync_applies_an_empty_answer(run: Run, config: Path, api: SimulatedDocker, folder: Path) -> None:
    run("sync", "--config", config, "--template", TEMPLATE)
    api.containers = []
    done = run("sync", "--config", config, "--template", TEMPLATE)
    assert "removed " in done.stdout
    assert "    server " not in (folder / "haproxy.cfg").read_text()


def test_wrong_configuration_is_one_sentence_and_status_2(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("image_name", "image_nam"))
    done = run("sync", "--config", config, "--template", TEMPLATE)
    assert done.returncode == 2
    assert done.stderr == (
        f"dockmaster: {config}: services.web.discovery.image_nam: is not a key of this section; "
        "did you mean image_name?\n"
    )


def test_unknown_option_is_status_2(run: Run) -> None:
    assert run("sync", "--no-such-option").returncode == 2
    assert run().returncode == 2


def test_check_reads_a_file_of_synapse_and_notes_translated_keywords(run: Run) -> None:
    done = run("check", "--config", SEED)
    assert done.returncode == 0, done.stderr
    assert "services: nodesrv" in done.stdout
    assert "written as 'timeout connect 5000'" in done.stdout


def test_status_is_a_table_and_status_5_while_haproxy_is_stopped(run: Run, config: Path) -> None:
    done = run("status", "--config", config)
    assert done.returncode == 5
    assert done.stdout.splitlines()[0].split()[:3] == ["SERVICE", "SERVER", "ADDRESS"]
    assert "recording-published" in done.stdout
    assert "problem: HAProxy: stopped" in done.stdout


def test_status_reports_no_problem_after_a_sync_with_a_real_haproxy(
    run: Run, config: Path, api: SimulatedDocker, start_haproxy: Callable[[], None]
) -> None:
    api.containers = []
    run("sync", "--config", config, "--template", TEMPLATE)
    start_haproxy()
    status = json.loads(run("status", "--config", config, "--json").stdout)
    assert status["haproxy"] == "running"
    assert status["problems"] == ["web: HAProxy has no usable server"]


def test_periodic_syncs_print_only_changes_and_each_failure_once(
    config: Path, api: SimulatedDocker, command: Path
) -> None:
    config.write_text(
        config.read_text().replace("container_port: 8000", "container_port: 8000\n      check_interval: 1")
    )
    arguments: list[str | Path] = [command, "sync", "--config", config, "--template", TEMPLATE, "--every"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout
            assert "wrote the file" in process.stdout.readline()
            api.status = 500
            assert "status 500" in process.stdout.readline()
            seen = len(api.requests)
            while len(api.requests) < seen + 4:
                assert process.poll() is None
            api.status, api.containers = 200, []
            assert "removed" in process.stdout.readline()
        finally:
            process.terminate()


def test_archive_of_the_command_is_reproducible(command: Path, tmp_path: Path) -> None:
    assert command.read_bytes().startswith(b"#!/usr/bin/python3 -I\n")
    assert os.access(command, os.X_OK)
    with zipfile.ZipFile(command) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        engine = ROOT / "module_utils"
        there = {str(path.relative_to(engine)) for path in engine.rglob("*.py")}
        assert set(names) == there | {"__main__.py"}
    before = command.stat().st_mtime_ns
    sources = {name: zipfile.ZipFile(command).read(name).decode() for name in names}
    output = play([{"zip_application": {"dest": str(command), "sources": sources}}], tmp_path)
    assert "changed=0" in output
    assert command.stat().st_mtime_ns == before
