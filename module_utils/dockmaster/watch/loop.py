"""The watcher: a loop over what the sources say, one session for each configuration."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..config.settings import Settings
from ..errors import Busy, RuntimeApiError, SettingsError
from ..haproxy.commands import Change
from ..lock import folder_locked
from ..report.logfmt import logline
from ..report.metrics import WatchMetrics
from ..sources.protocol import Message, Messages
from ..state import alive, history
from .session import AGAIN, Journal, Session
from .systemd import Notifier
from .timers import Timers

IDLE = 1.0
"""Seconds after which the loop goes round even if nothing happens."""
SAVE = 15.0
"""Seconds after which what only ages is written."""
LOCK_TIMEOUT = 60.0


class Watcher(Journal):
    """Keeps HAProxy's servers in step with what the sources say.

    Args:
        settings: the configuration.
        changed: gives the configuration anew if its file has changed, else None; raises SettingsError.
        log: prints a line.
        notifier: the service manager.
    """

    def __init__(
        self,
        settings: Settings,
        changed: Callable[[], Settings | None],
        log: Callable[[str], None],
        notifier: Notifier,
    ) -> None:
        self._changed = changed
        self._log = log
        self._notifier = notifier
        self._metrics = WatchMetrics(settings.watch.metrics_directory)
        # When a source that is unreachable now last answered, an earlier watcher may know.
        self._history = history.load(settings.haproxy.run_directory, ("watch",))
        for host in settings.docker_hosts.keys() & self._history.answers.keys():
            self._metrics.last_answer.labels(host).set(self._history.answers[host])
        self._timers = Timers()
        self._ended = threading.Event()
        self._held: Message | None = None
        self._begin(settings)

    def end(self) -> None:
        """Have ``run`` return, soon."""
        self._ended.set()

    def run(self) -> None:
        """Watch until ``end`` is called. What goes wrong is logged and tried again; nothing of it ends the loop."""
        while not self._ended.is_set():
            # Before anything that may take long.
            self._show_life()
            if self._held is None:
                with suppress(queue.Empty):
                    longest = self._timers.wait(IDLE)
                    self._held = self._messages.get(timeout=self._session.timers.wait(longest))
            try:
                with folder_locked(self._folder, LOCK_TIMEOUT):
                    message, self._held = self._held, None
                    self._session.step(message)
                self._save()
                if self._timers.due("configuration", IDLE):
                    self._take_configuration()
            except RuntimeApiError as error:
                self._session.haproxy_answers = False
                self._session.failed(error)
            except (Busy, OSError) as error:
                self._session.failed(error)
                # Nothing was done: without a pause this would go round at full speed.
                self._ended.wait(AGAIN)
        self._session.end()

    @property
    def _folder(self) -> Path:
        return self._session.settings.haproxy.run_directory

    def _begin(self, settings: Settings) -> None:
        self._messages: Messages = queue.SimpleQueue()
        self._session = Session(settings, self, self._messages)

    def _show_life(self) -> None:
        """Tell the service manager, and the periodic syncs, that the loop goes round."""
        interval = self._notifier.interval
        if interval is not None and self._timers.due("alive", interval):
            self._notifier.alive()
        if self._session.began and self._session.haproxy_answers and self._timers.due("touch", alive.INTERVAL):
            alive.touch(self._folder)

    def _save(self) -> None:
        if self._timers.due("save"):
            history.save(self._folder, "watch", self._history)
            self._metrics.save()

    def _take_configuration(self) -> None:
        before = self._session.settings
        try:
            settings = self._changed()
        except SettingsError as error:
            self.say(logline(error=error, configuration="as before"))
            return
        if settings is None:
            return
        if settings.haproxy.socket_file_path is None:
            self.say(logline(error="haproxy.socket_file_path is missing", configuration="as before"))
        elif before.docker_hosts and not settings.docker_hosts:
            # Playbooks ask from now on, and are about to end this: until then no containers are gone.
            self.say(logline(error="no Docker host to follow", configuration="as before"))
        else:
            self.say(logline(configuration="changed", services=len(settings.services)))
            self._finish()
            for gone in before.docker_hosts.keys() - settings.docker_hosts.keys():
                with suppress(KeyError):
                    self._metrics.last_answer.remove(gone)
            self._begin(settings)
            # Root's sync makes the structure so.
            self._session.timers.soon("follow")

    def _finish(self) -> None:
        """End a session; what waits is taken first, for nobody says again which containers were sent a signal."""
        self._session.end()
        with suppress(queue.Empty, RuntimeApiError, Busy, OSError), folder_locked(self._folder, LOCK_TIMEOUT):
            while True:
                self._session.take(self._messages.get_nowait())

    # What a session tells

    def say(self, line: str) -> None:
        """A line of the log."""
        self._log(line)

    def changed(self, change: Change, cause: str, seconds: float | None) -> None:
        """A change of a server: it is counted and remembered."""
        self._metrics.changes.labels(change.kind).inc()
        if seconds is not None:
            self._metrics.applied.observe(seconds)
        self._history.changed("/".join(change.server), change.kind, cause)
        self._timers.soon("save", AGAIN)

    def answered(self, source: str) -> None:
        """A source has answered."""
        self._history.answered(source)
        self._metrics.last_answer.labels(source).set_to_current_time()
        self._timers.soon("save", SAVE)

    def ready(self) -> None:
        """Everything was looked at once."""
        self._notifier.ready()
