"""The command: ``dockmaster sync``, ``watch``, ``check``, ``status``, ``explain``, ``drain`` and ``ready``."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from . import __version__
from .config.file import SettingsFile, load
from .config.settings import DEFAULT_INTERVAL
from .errors import DockmasterError, SettingsError
from .state import sync_request

CONFIG = "/etc/dockmaster/dockmaster.yml"
TEMPLATE = "/etc/dockmaster/haproxy.cfg.j2"

FAILED = 1
"""Exit status: it failed, and nothing was changed."""
WRONG = 2
"""Exit status: the call or the configuration is wrong."""
PARTLY = 3
"""Exit status: applied, but some sources are unreachable."""
LATE = 4
"""Exit status: applied, but what ``--wait`` waited for did not happen in time."""
LOOK = 5
"""Exit status of ``status`` and ``explain``: somebody has to look."""

STATUSES = (
    "Exit status: 0 all is well; 1 failed, nothing was changed; 2 wrong call or configuration; 3 applied, but some "
    "sources are unreachable; 4 applied, but what --wait waited for did not happen in time; 5 (status, explain) "
    "somebody has to look."
)

LONGEST_WAIT = 86400
"""Seconds."""

CLEAR = "\x1b[H\x1b[2J"
"""What empties a terminal's screen."""
AS_CONFIGURED = 0.0
_MINUTE = 58.0
"""Seconds that repeated passes go on: cron starts the next process at the full minute."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SettingsError as error:
        print(f"dockmaster: {error}", file=sys.stderr)
        return WRONG
    except DockmasterError as error:
        print(f"dockmaster: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 0
    except PermissionError as error:
        print(f"dockmaster: {error.filename}: {error.strerror}; run it as root", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dockmaster",
        description="Keeps HAProxy in step with the containers that Docker runs.",
        epilog=STATUSES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    one = commands.add_parser("sync", help="ask the Docker hosts once, write haproxy.cfg, and change HAProxy's servers")
    _common(one)
    _with_template(one)
    one.add_argument("--check", action="store_true", help="change nothing, tell what would be changed")
    one.add_argument("--diff", action="store_true", help="show the change of haproxy.cfg")
    one.add_argument(
        "--every",
        type=_seconds,
        nargs="?",
        const=AS_CONFIGURED,
        metavar="SECONDS",
        help="sync again and again until the minute is over, every so many seconds (by default the shortest "
        "check_interval of the configuration), and print changes and failures only: for cron",
    )
    one.add_argument(
        "--for",
        type=_wait,
        default=_MINUTE,
        dest="length",
        metavar="SECONDS",
        help="with --every: go on for so many seconds instead of a minute; 0 is one sync",
    )
    one.add_argument(
        "--requested",
        type=Path,
        metavar="DIRECTORY",
        help="make the sync that the watcher has asked for in its run directory: for its path unit",
    )
    one.set_defaults(run=_sync)

    follow = commands.add_parser("watch", help="follow Docker's events, and change HAProxy's servers as they happen")
    _common(follow)
    follow.set_defaults(run=_watch)

    check = commands.add_parser("check", help="say whether the configuration is right, and change nothing")
    _common(check)
    check.set_defaults(run=_check)

    look = commands.add_parser("status", help="show each server as Docker and as HAProxy see it")
    _common(look)
    look.add_argument(
        "--watch",
        type=_seconds,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="show it again and again, until interrupted",
    )
    look.set_defaults(run=_status)

    why = commands.add_parser("explain", help="say why a server gets traffic, or none, rule by rule")
    _common(why)
    why.add_argument(
        "name", help="a container, a server, a service, a Docker host or an address (HOST:PORT); also HOST/CONTAINER"
    )
    why.set_defaults(run=_explain)

    for name, help_text, wait_text in (
        (
            "drain",
            "send no new requests to a Docker host or a container; without a name, list what is drained",
            "wait up to this long until no sessions are left",
        ),
        ("ready", "send requests again to what is drained", "wait up to this long until its servers are usable"),
    ):
        one = commands.add_parser(name, help=help_text)
        _common(one)
        _with_template(one)
        one.add_argument("kind", nargs="?", choices=("host", "container"), help="what is meant")
        one.add_argument("name", nargs="?", help="its name; of a container also HOST/NAME, or the beginning of its id")
        one.add_argument("--wait", type=_wait, default=0.0, metavar="SECONDS", help=wait_text)
        one.set_defaults(run=_drain, command=name)
    return parser


def _with_template(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--template", type=Path, default=Path(TEMPLATE), help="the template of haproxy.cfg (default: %(default)s)"
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=Path(CONFIG), help="the configuration, YAML or JSON (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = STATUSES


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= _MINUTE:
        raise argparse.ArgumentTypeError(f"{text}: expected seconds from 0.1 to {_MINUTE:g}")
    return value


def _wait(text: str) -> float:
    value = float(text)
    if not 0 <= value <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text}: expected seconds from 0 to {LONGEST_WAIT}")
    return value


def _sync(options: argparse.Namespace) -> int:
    if options.every is None:
        # One sync is over before looking for what it needs no more would pay.
        gc.disable()
        # First of all: what is asked for is off the list also where the configuration turns out to be wrong.
        return _once(options, renew=options.requested is not None and sync_request.take(options.requested))
    interval = options.every
    if interval == AS_CONFIGURED:
        services = load(options.config).services
        interval = min((service.discovery.check_interval for service in services), default=DEFAULT_INTERVAL)
    end = time.monotonic() + options.length
    said = ""
    while True:
        begun = time.monotonic()
        try:
            status = _once(options, quiet=True)
            said = ""
        except DockmasterError as error:
            status = WRONG if isinstance(error, SettingsError) else FAILED
            if str(error) != said:
                said = str(error)
                print(f"dockmaster: {said}", file=sys.stderr, flush=True)
        following = begun + interval
        if following >= end:
            return status
        time.sleep(max(0.0, following - time.monotonic()))


def _once(options: argparse.Namespace, quiet: bool = False, renew: bool = False) -> int:
    # What renders is imported where it is needed: the watcher, which always runs, is small without it.
    from . import sync
    from .report import summary
    from .report.metrics import SyncMetrics

    settings = load(options.config)
    figures = None if options.check else settings.watch.metrics_directory
    # A periodic sync does what the watcher has asked for as well.
    renew = not options.check and (sync_request.take(settings.haproxy.run_directory) or renew)
    try:
        report = sync.run(settings, _template(options.template), check_mode=options.check, renew=renew)
    except DockmasterError:
        metrics = SyncMetrics(figures, settings.docker_hosts)
        metrics.runs.labels("failed").inc()
        metrics.save()
        raise
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    elif not quiet or report.changed:
        print(f"dockmaster: {summary.line(report, options.check)}", flush=True)
        for note in report.notes:
            print(f"dockmaster: note: {note}")
    if options.diff:
        print(summary.difference(report.applied, settings.haproxy.config_file_path), end="")
    # Read only now: other passes may have counted meanwhile.
    metrics = SyncMetrics(figures, settings.docker_hosts)
    metrics.runs.labels("partly" if report.unreachable else "done").inc()
    for name in settings.docker_hosts:
        if name not in report.unreachable:
            metrics.last_answer.labels(name).set_to_current_time()
    for change in report.applied.changes:
        metrics.changes.labels(change.kind).inc()
    if report.applied.action == "reload":
        metrics.reloads.inc()
    metrics.last_success.set_to_current_time()
    metrics.save()
    return PARTLY if report.unreachable else 0


def _watch(options: argparse.Namespace) -> int:
    from .watch.loop import Watcher
    from .watch.systemd import Notifier

    file = SettingsFile(options.config)
    if file.settings.haproxy.socket_file_path is None:
        raise SettingsError(
            f"{options.config}: haproxy.socket_file_path: is missing; the watcher changes servers there"
        )
    threading.excepthook = _end
    watcher = Watcher(file.settings, file.changed, _say, Notifier())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.end())
    watcher.run()
    return 0


def _end(died: threading.ExceptHookArgs) -> None:
    """End with the thread, for a Docker host that nobody follows would not be missed; the watcher is started anew."""
    sys.excepthook(died.exc_type, died.exc_value or died.exc_type(), died.exc_traceback)
    os._exit(FAILED)


def _say(line: str) -> None:
    """Print a line; a log that is full or gone is no reason to stop watching."""
    with suppress(OSError):
        print(line, flush=True)


def _check(options: argparse.Namespace) -> int:
    settings = load(options.config)
    notes = list(settings.notes)
    names = [service.name for service in settings.services]
    if options.json:
        print(json.dumps({"services": names, "notes": notes}, indent=2))
    else:
        print(f"dockmaster: {options.config} is right; services: {', '.join(names) or 'none'}")
        print(*(f"dockmaster: note: {note}" for note in notes), sep="\n", end="\n" if notes else "")
    return 0


def _status(options: argparse.Namespace) -> int:
    from . import status
    from .report.status_table import table

    settings = load(options.config)
    while True:
        current = status.of(settings)
        text = json.dumps(current.as_dict(), indent=2) if options.json else table(current)
        print(f"{CLEAR}{text}" if options.watch and not options.json else text, flush=True)
        if not options.watch:
            return 0 if current.healthy else LOOK
        time.sleep(options.watch)


def _explain(options: argparse.Namespace) -> int:
    from . import explain
    from .report.explanation import text

    explained = explain.of(load(options.config), options.name)
    print(json.dumps(explained.as_dict(), indent=2) if options.json else text(explained))
    return 0 if explained.all_serve else LOOK


def _drain(options: argparse.Namespace) -> int:
    from . import drain
    from .report.status_table import drain_line
    from .state import drains

    settings = load(options.config)
    if options.kind is None:
        drained = drains.load(drains.file_of(settings.haproxy))
        if options.json:
            print(json.dumps({"drained": [asdict(one) for one in drained]}, indent=2))
        else:
            print(*map(drain_line, drained), sep="\n", end="\n" if drained else "")
        return 0
    if not options.name:
        raise SettingsError(f"{options.command} {options.kind}: expected a name")
    change = drain.drain if options.command == "drain" else drain.ready
    target = drain.Target.named(options.kind, options.name)
    outcome = change(settings, _template(options.template), target, wait=options.wait)
    print(json.dumps(outcome.as_dict(), indent=2) if options.json else f"dockmaster: {outcome.message}")
    return 0 if outcome.done else LATE


def _template(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise SettingsError(f"{path}: the template cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} of the template is not UTF-8 text") from None
