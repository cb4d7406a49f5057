"""What can go wrong, as types: each message is one sentence that an operator can act on."""

from __future__ import annotations


class DockmasterError(Exception):
    """Base of every error that the engine raises on purpose."""


class SettingsError(DockmasterError):
    """A value in the configuration is wrong: file, key, value and what was expected."""


class SourceError(DockmasterError):
    """A source could not answer. It never means that there are no containers.

    Attributes:
        why: the same without what was asked.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class TemplateError(DockmasterError):
    """The template cannot be rendered with these settings."""


class ConfigRefused(DockmasterError):
    """HAProxy refuses the new configuration; the running one stays.

    Attributes:
        output: what HAProxy said, word for word.
    """

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class ReloadFailed(DockmasterError):
    """HAProxy did not take the new configuration; the one before is in place again."""


class RuntimeApiError(DockmasterError):
    """HAProxy's runtime socket does not answer, or refuses a command."""


class RuntimeApiSilent(RuntimeApiError):
    """Nobody answers on HAProxy's runtime socket."""


class Busy(DockmasterError):
    """Another sync holds the lock for longer than a sync may take."""
