"""The configuration file, YAML or JSON."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import yaml

from ..errors import SettingsError
from .parse import parse
from .settings import Settings


def load(path: Path) -> Settings:
    """Read a configuration file, and the folder of services that it names; raises SettingsError."""
    data = _read(path)
    folder = data.get("service_conf_dir") if isinstance(data, dict) else None
    return parse(data, str(path), _services(path, folder) if isinstance(folder, str) else None)


class SettingsFile:
    """A configuration file that somebody may change at any time.

    Args:
        path: of the file.

    Attributes:
        settings: as last read.

    Raises:
        SettingsError: it is wrong now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.settings = load(path)
        # Looked at before it is read the next time: a change in between is seen then.
        self._seen: list[tuple[str, int, int, int]] = []

    def changed(self) -> Settings | None:
        """The configuration where it has changed since; raises SettingsError."""
        seen = self._look()
        if seen == self._seen:
            return None
        # A wrong file is complained of once, not at each look.
        self._seen = seen
        before, self.settings = self.settings, load(self._path)
        return None if self.settings == before else self.settings

    def _look(self) -> list[tuple[str, int, int, int]]:
        folder = self.settings.service_conf_dir
        found = []
        for path in [self._path, *(sorted(folder.iterdir()) if folder and folder.is_dir() else ())]:
            with suppress(FileNotFoundError):
                there = path.stat()
                found.append((str(path), there.st_ino, there.st_mtime_ns, there.st_size))
        return found


def _services(path: Path, folder: str) -> dict[str, tuple[str, object]]:
    """The services of a folder: every file there is one, named after it."""
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise SettingsError(f"{path}: service_conf_dir: {folder}: cannot be read: {error.strerror}") from None
    return {file.stem: (str(file), _read(file)) for file in files}


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise SettingsError(f"{path}: {place}neither YAML nor JSON: {getattr(error, 'problem', error)}") from None
