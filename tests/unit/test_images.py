"""Image references match as in Docker."""

from __future__ import annotations

import pytest
from dockmaster.model.image import Reference

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("local/nodeapp", "local/nodeapp"),
        ("local/nodeapp", "local/nodeapp:latest"),
        ("local/nodeapp", "local/nodeapp:1.2"),
        ("local/nodeapp", "local/nodeapp" + DIGEST),
        ("local/nodeapp", "docker.io/local/nodeapp"),
        ("nginx", "docker.io/library/nginx:1"),
        ("library/nginx", "nginx"),
        ("registry:5000/app", "registry:5000/app:2"),
        ("localhost/app", "localhost/app"),
        ("app:1", "app:1"),
        ("app:1", "app:1" + DIGEST),
    ],
)
def test_reference_matches_images_that_docker_calls_the_same(wanted: str, shown: str) -> None:
    assert Reference.parse(wanted).covers(Reference.parse(shown))


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("local/nodeapp", "local/nodeapp2"),
        ("local/nodeapp", "other/nodeapp"),
        ("local/nodeapp:1", "local/nodeapp:2"),
        ("local/nodeapp:1", "local/nodeapp"),
        ("app", "registry:5000/app"),
        ("app", "evil.example/library/app"),
    ],
)
def test_reference_does_not_match_other_images(wanted: str, shown: str) -> None:
    assert not Reference.parse(wanted).covers(Reference.parse(shown))


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "/a", "a/", "a//b", "sha256:" + "a" * 64, "a" * 64, None, 1])
def test_text_that_is_no_reference_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="expected an image reference"):
        Reference.parse(text)
