"""Reading one section of the configuration, key by key, so that each wrong value is named with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from ..errors import SettingsError
from ..model.endpoint import valid_port

T = TypeVar("T")
_REQUIRED: Any = object()
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DURATION = re.compile(r"[0-9]{1,10}(us|ms|s|m|h|d)?\Z")


class Section:
    """A dictionary of the configuration. Every key that is read is known; ``done`` refuses the others.

    Each reader takes a key and, where it need not be there, a default; a key that is null counts as
    not there. A wrong value raises SettingsError with file, key, value and what was expected.
    """

    def __init__(self, data: object, origin: str, where: str) -> None:
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise SettingsError(f"{origin}: {where or 'the whole'}: {_shown(data)}: expected keys with values")
        self._data: dict[Any, Any] = data
        self._origin = origin
        self._where = where
        self._known: set[str] = set()

    def place(self, key: str) -> str:
        """The key with those above it: ``services.web.haproxy.port``."""
        return ".".join(part for part in (self._where, key) if part)

    def wrong(self, key: str, value: object, expected: str) -> SettingsError:
        """The error for a value of this section."""
        return SettingsError(f"{self._origin}: {self.place(key)}: {_shown(value)}: {expected}")

    def has(self, key: str) -> bool:
        """Whether the key is there, be it null."""
        return key in self._data

    def names(self) -> list[str]:
        """The keys that are there, where the operator chooses them."""
        return [str(key) for key in self._data]

    def done(self, instead: Mapping[str, str] | None = None) -> None:
        """Refuse what nothing has read, and name what to use instead, or the nearest key that there is."""
        for key in self._data:
            if key in (instead or {}):
                raise SettingsError(f"{self._origin}: {self.place(str(key))}: is not supported; {(instead or {})[key]}")
            if key not in self._known:
                near = difflib.get_close_matches(str(key), sorted(self._known), n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(self._known))}"
                raise self._not_known(str(key), hint)

    def _take(self, key: str, default: Any) -> Any:
        self._known.add(key)
        value = self._data.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            # What nothing has read so far may be this key with a typo; the keys of a section are less alike than that.
            unread = [str(other) for other in self._data if other not in self._known]
            for typo in difflib.get_close_matches(key, unread, n=1, cutoff=0.8):
                raise self._not_known(typo, f"did you mean {key}?")
            raise SettingsError(f"{self._origin}: {self.place(key)}: is missing")
        return None

    def _not_known(self, key: str, hint: str) -> SettingsError:
        return SettingsError(f"{self._origin}: {self.place(key)}: is not a key of this section; {hint}")

    def section(self, key: str) -> Section:
        """A dictionary below this one; an absent one is empty."""
        return Section(self._take(key, None), self._origin, self.place(key))

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Every key of this section as a section of its own."""
        for key, value in self._data.items():
            if not isinstance(key, str):
                raise self.wrong(str(key), key, "expected a name in quotes")
            yield key, Section(value, self._origin, self.place(key))

    def entries(self, key: str) -> list[Section]:
        """A list of dictionaries; an absent one is empty."""
        value = self._take(key, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, value, "expected a list")
        return [Section(entry, self._origin, f"{self.place(key)}[{number}]") for number, entry in enumerate(value)]

    @overload
    def checked(self, key: str, check: Callable[[object], T]) -> T: ...
    @overload
    def checked(self, key: str, check: Callable[[object], T], default: None) -> T | None: ...
    @overload
    def checked(self, key: str, check: Callable[[object], T], default: T) -> T: ...
    def checked(self, key: str, check: Callable[[object], Any], default: Any = _REQUIRED) -> Any:
        """A value that check returns in its right form, or refuses by ValueError."""
        value = self._take(key, default)
        if value is None:
            return default
        try:
            return check(value)
        except ValueError as error:
            raise self.wrong(key, value, str(error)) from None

    def port(self, key: str, default: Any = _REQUIRED) -> Any:
        """A port: a whole number from 1 to 65535."""
        return self.checked(key, valid_port, default=default)

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """One line of text."""
        return self.checked(key, _one_line, default=default)

    def word(self, key: str, default: Any = _REQUIRED) -> Any:
        """Text without a blank, a quote or a comment sign: one word of HAProxy's language."""
        return self.checked(key, _word, default=default)

    def words(self, key: str) -> list[str]:
        """A list of words; an absent one is empty."""
        return self.each(key, _word)

    def lines(self, key: str) -> list[str]:
        """A list of lines; an absent one is empty."""
        return self.each(key, _one_line)

    def each(self, key: str, check: Callable[[object], T]) -> list[T]:
        """A list of values that check returns in their right form; an absent one is empty."""
        value = self._take(key, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, value, "expected a list of lines")
        checked = []
        for number, entry in enumerate(value):
            try:
                checked.append(check(entry))
            except ValueError as error:
                raise self.wrong(f"{key}[{number}]", entry, str(error)) from None
        return checked

    def options(self, key: str, default: str) -> str:
        """One line of text; a list of words makes one as well."""
        value = self._take(key, default)
        if isinstance(value, list):
            return " ".join(self.lines(key))
        return str(self.text(key, default=default))

    def head(self, name: str) -> str:
        """A key of the operator's own that is one line of text."""
        try:
            return _one_line(name)
        except ValueError as error:
            raise self.wrong("", name, str(error)) from None

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return self.checked(key, _flag, default=default)

    def whole(self, key: str, default: Any, minimum: int) -> Any:
        """A whole number, not under minimum."""

        def check(value: object) -> int:
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise ValueError(f"expected a whole number, {minimum} or more")
            return value

        return self.checked(key, check, default=default)

    def duration(self, key: str, default: Any = _REQUIRED) -> Any:
        """A time as HAProxy writes it: digits and a unit; milliseconds without one."""
        return self.checked(key, _duration, default=default)

    def path(self, key: str, default: Any = _REQUIRED) -> Any:
        """An absolute path."""
        value = self.checked(key, _absolute, default=default)
        return None if value is None else Path(value)

    def one_of(self, key: str, choices: Sequence[str], default: Any = _REQUIRED) -> Any:
        """One of a few words."""

        def check(value: object) -> str:
            if value not in choices:
                raise ValueError(f"expected one of {', '.join(choices)}")
            return str(value)

        return self.checked(key, check, default=default)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    if _CONTROL.search(value.replace("\t", " ")):
        raise ValueError("expected one line of text, without control characters")
    return value.strip()


def _word(value: object) -> str:
    text = _one_line(value)
    if not text or re.search(r"[\s\"'#\\]", text):
        raise ValueError("expected one word, without blanks, quotes, # and \\")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _duration(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _DURATION.match(text):
        raise ValueError("expected a time such as 500ms, 5s or 1h")
    return text


def _absolute(value: object) -> str:
    text = _one_line(value)
    if not text.startswith("/"):
        raise ValueError("expected an absolute path")
    return text
