"""The configuration file, YAML or JSON."""

from __future__ import annotations

from pathlib import Path

import yaml

from .errors import SettingsError
from .settings import Settings, parse


def load(path: Path) -> Settings:
    """Read a configuration file, and the folder of services that it names; raises SettingsError."""
    data = _read(path)
    folder = data.get("service_conf_dir") if isinstance(data, dict) else None
    return parse(data, str(path), _services(path, folder) if isinstance(folder, str) else None)


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
