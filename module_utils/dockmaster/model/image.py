"""Image references, as Docker understands them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DEFAULT_REGISTRY = "docker.io"
_REFERENCE = re.compile(
    r"(?P<path>[A-Za-z0-9][A-Za-z0-9._:/-]*?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?\Z"
)


@dataclass(frozen=True)
class Reference:
    """An image reference in full: ``nodeapp`` is ``docker.io/library/nodeapp``."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: object) -> Reference:
        """Read a reference; raises ValueError for what is none (an image shown by id, say)."""
        found = _REFERENCE.match(text) if isinstance(text, str) and len(text) <= 512 else None
        if not found or found["path"].endswith("/") or "//" in found["path"]:
            raise ValueError("expected an image reference such as local/nodeapp or registry:5000/team/app:1.2")
        if re.match(r"(sha256:)?[0-9a-f]{64}\Z", str(text)):
            raise ValueError("expected an image reference, not an image's id")
        first, slash, rest = found["path"].partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, repository = first, rest
        else:
            registry, repository = _DEFAULT_REGISTRY, found["path"]
        if registry == "index.docker.io":
            registry = _DEFAULT_REGISTRY
        if registry == _DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        if ":" in repository:
            raise ValueError("expected at most one tag, after the last colon")
        return cls(registry, repository, found["tag"], found["digest"])

    def covers(self, other: Reference) -> bool:
        """Whether other is this image: any tag and digest unless this one names its own."""
        return (
            (self.registry, self.repository) == (other.registry, other.repository)
            and self.tag in (None, other.tag)
            and self.digest in (None, other.digest)
        )
