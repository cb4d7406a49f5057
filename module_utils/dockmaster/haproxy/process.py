"""HAProxy as a program: checking a file, telling the running one to take it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ..config.settings import HAProxySettings
from ..errors import ConfigRefused, ReloadFailed, RuntimeApiError
from .runtime import Runtime

CHECK_TIMEOUT = 60.0
"""Seconds that a check may take: ten thousand servers take two."""

RELOAD_TIMEOUT = 30.0
"""Seconds within which a new worker has to answer."""

SIGNAL_AGAIN = 1.0
"""Seconds after which the master is told again: one that is just starting drops the signal."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def installed() -> str | None:
    """Path of the program, or None. cron's PATH has no sbin, so that is looked into as well."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}")


def check(settings: HAProxySettings, candidate: Path) -> None:
    """Have HAProxy judge a file; raises ConfigRefused with its own words."""
    if settings.check_command:
        command = [*shlex.split(settings.check_command), str(candidate)]
    else:
        command = [installed() or "haproxy", "-c", "-f", str(candidate)]
    status, output = _run(command, CHECK_TIMEOUT)
    if status != 0:
        said = output.replace(str(candidate), str(settings.config_file_path)).strip()
        raise ConfigRefused(
            f"HAProxy refuses the new configuration, so {settings.config_file_path} stays as it was: {said}", said
        )


def running(settings: HAProxySettings) -> bool:
    """Whether the master process of the pid file is alive."""
    pid = _pid(settings.pid_file)
    return pid is not None and Path(f"/proc/{pid}").exists()


def reload(settings: HAProxySettings) -> None:
    """Have HAProxy take its configuration anew, and see that a new worker did; raises ReloadFailed.

    Without a runtime socket it is the reload command's word, or the master's staying alive.
    """
    runtime = Runtime(settings.socket_file_path) if settings.socket_file_path else None
    before = _worker(runtime)
    _tell(settings)
    if runtime is None:
        return
    told = begun = time.monotonic()
    while _worker(runtime) in (None, before):
        now = time.monotonic()
        if now - begun > RELOAD_TIMEOUT:
            raise ReloadFailed(f"no new worker answers on {runtime.path} within {RELOAD_TIMEOUT:g} s of the reload")
        if now - told > SIGNAL_AGAIN and not settings.reload_command:
            _tell(settings)
            told = now
        time.sleep(0.005)


def _tell(settings: HAProxySettings) -> None:
    if not settings.reload_command:
        _signal_master(settings.pid_file)
        return
    status, output = _run(shlex.split(settings.reload_command), RELOAD_TIMEOUT)
    if status != 0:
        raise ReloadFailed(f"{settings.reload_command!r} ended with status {status}: {output.strip()}")


def _worker(runtime: Runtime | None) -> str | None:
    """Process id of the worker that answers, or None where none does."""
    try:
        return runtime.info().get("Pid") if runtime else None
    except RuntimeApiError:
        return None


def _signal_master(pid_file: Path) -> None:
    pid = _pid(pid_file)
    if pid is None:
        raise ReloadFailed(f"{pid_file} names no process")
    try:
        # The signal ends most programs, and a file that was left behind may name somebody else's.
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        if not name.startswith("haproxy"):
            raise ReloadFailed(f"process {pid} of {pid_file} is {name}, and not HAProxy")
        os.kill(pid, signal.SIGUSR2)
    except OSError as error:
        raise ReloadFailed(f"process {pid} of {pid_file}: {error.strerror}") from error


def _pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _run(command: Sequence[str], timeout: float) -> tuple[int, str]:
    """Exit status and output: as in a shell, 127 where it cannot run, and 124 where it does not end."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} has not ended after {timeout:g} s"
    return done.returncode, done.stdout + done.stderr
