"""A gateway gives a balancer the list of containers and events, and nothing else, whatever it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from asking import BALANCERS_OWN, Answer, Credentials, ask, request
from cluster import BALANCERS, DOCKER_HOSTS, containers, host
from endpoints import ALLOWED, ENDPOINTS, QUERIES, TRICKS

DOCKER_HOST = DOCKER_HOSTS[0]
"""The engine of this host logs every request."""

CREATE = '{"Image": "local/nodeapp"}'
JSON = ("Content-Type: application/json", f"Content-Length: {len(CREATE)}")


def _with_body(method: str, path: str) -> str:
    return request(method, path, *JSON, body=CREATE) if method in ("POST", "PUT") else request(method, path)


def _raw(*lines: str) -> str:
    return "\r\n".join([*lines, "", ""])


HIDDEN = _raw("POST /containers/create?name=intruder HTTP/1.1", "Host: docker", *JSON) + CREATE
LENGTH = f"Content-Length: {len(HIDDEN)}"
CHUNKS = f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"

SMUGGLED = {
    "both lengths": _raw("GET /version HTTP/1.1", "Host: docker", CHUNKED, LENGTH) + "0\r\n\r\n" + HIDDEN,
    "both lengths, the other first": _raw("GET /version HTTP/1.1", "Host: docker", LENGTH, CHUNKED) + CHUNKS,
    "chunked, identity": _raw("GET /version HTTP/1.1", "Host: docker", f"{CHUNKED}, identity", LENGTH) + HIDDEN,
    "identity, then chunked": _raw("GET /version HTTP/1.1", "Host: docker", "Transfer-Encoding: identity, chunked")
    + CHUNKS,
    "xchunked": _raw("GET /version HTTP/1.1", "Host: docker", "Transfer-Encoding: xchunked", LENGTH) + HIDDEN,
    "a tab before chunked": _raw("GET /version HTTP/1.1", "Host: docker", "Transfer-Encoding:\x0bchunked", LENGTH)
    + HIDDEN,
    "a space before the colon": _raw("GET /version HTTP/1.1", "Host: docker", "Transfer-Encoding : chunked", LENGTH)
    + HIDDEN,
    "a folded header": _raw("GET /version HTTP/1.1", "Host: docker", "X-One: 1", f" {CHUNKED}", LENGTH) + HIDDEN,
    "two lengths": _raw("GET /version HTTP/1.1", "Host: docker", "Content-Length: 0", LENGTH) + HIDDEN,
    "a list of lengths": _raw("GET /version HTTP/1.1", "Host: docker", f"Content-Length: {len(HIDDEN)}, 0") + HIDDEN,
    "a signed length": _raw("GET /version HTTP/1.1", "Host: docker", f"Content-Length: +{len(HIDDEN)}") + HIDDEN,
    "a hexadecimal length": _raw("GET /version HTTP/1.1", "Host: docker", "Content-Length: 0x10") + HIDDEN,
    "a negative length": _raw("GET /version HTTP/1.1", "Host: docker", "Content-Length: -1") + HIDDEN,
    "chunked by HTTP/1.0": _raw("GET /version HTTP/1.0", CHUNKED, LENGTH) + CHUNKS,
    "a bare carriage return": _raw("GET /version HTTP/1.1\rPOST /containers/create HTTP/1.1", "Host: docker"),
    "NUL in a header": _raw("GET /info HTTP/1.1", "Host: docker", "X-One: \x001"),
    "no colon": _raw("GET /version HTTP/1.1", "Host: docker", "POST /containers/create HTTP/1.1"),
}

FORMS = {
    **{f"{method} {path}": request(method, path, *headers, body=body)
       for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "GETS", "PRI", "M-SEARCH")
       for path in ("/containers/json", "/events", "/version")
       for headers, body in (((), ""),)},
    "a body": request("GET", "/version", "Content-Length: 4", body="body"),
    "a body in chunks": request("GET", "/containers/json", CHUNKED, body="4\r\nbody\r\n0\r\n\r\n"),
    "a body for events": request("GET", "/events", *JSON, body=CREATE),
    "a body announced": request("GET", "/version", "Expect: 100-continue", "Content-Length: 4"),
    "upgrade to tcp": _raw("GET /events HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: tcp"),
    "upgrade to a websocket": _raw(
        "GET /containers/json HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ),
    "upgrade to HTTP/2": _raw(
        "GET /version HTTP/1.1", "Host: docker", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ),
    "attach, taken over": _raw("POST /containers/ID/attach?stream=1&stdin=1 HTTP/1.1", "Host: docker",
                               "Connection: Upgrade", "Upgrade: tcp"),
    "exec, taken over": _raw("POST /exec/ID/start HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: tcp",
                             *JSON) + CREATE,
    "HTTP/0.9": "GET /version\r\n\r\n",
    "HTTP/0.9, not allowed": "GET /info\r\n",
    "HTTP/2 by knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\0" * 9,
    "HTTP/3.0": _raw("GET /info HTTP/3.0", "Host: docker"),
    "not allowed by HTTP/1.0": _raw("GET /info HTTP/1.0"),
    "not allowed, without a host": _raw("GET /info HTTP/1.1"),
    "not allowed, for the host of another path": _raw("GET /info HTTP/1.1", "Host: docker/version"),
    "not allowed, by another header": _raw("GET /info HTTP/1.1", "Host: docker", "X-Original-URL: /version",
                                           "X-Rewrite-URL: /version", "X-HTTP-Method-Override: GET"),
    "line feeds": "GET /info HTTP/1.1\nHost: docker\n\n",
    "spaces": _raw("GET  /info  HTTP/1.1", "Host: docker"),
    "a tab": _raw("GET\t/info\tHTTP/1.1", "Host: docker"),
    "a large header": _raw("GET /version HTTP/1.1", "Host: docker", f"X-One: {'x' * 70000}"),
    "many headers": _raw("GET /version HTTP/1.1", "Host: docker", *(f"X-{number}: 1" for number in range(500))),
    "no HTTP at all": "\x16\x03\x01\x00\x05hello",
    "nothing but a line": "\r\n",
}  # fmt: skip

PIPELINED = {
    "create behind a version": (_raw("GET /version HTTP/1.1", "Host: docker") + HIDDEN, [200]),
    "create in a header": (
        _raw("GET /version HTTP/1.1", "Host: docker", "X-One: 1\n\nPOST /containers/create HTTP/1.1"),
        [200],
    ),
    "a version behind a create": (HIDDEN + _raw("GET /version HTTP/1.1", "Host: docker"), []),
    "info between two lists": (
        "".join(_raw(f"GET {path} HTTP/1.1", "Host: docker") for path in ("/_ping", "/info", "/_ping")),
        [200],
    ),
}

EVERYTHING: dict[str, str] = {
    **{f"{method} {path}": _with_body(method, path) for method, path in ENDPOINTS},
    **{f"{method} {path}, by version": _with_body(method, f"/v1.41{path}") for method, path in ENDPOINTS},
    **{f"trick {path}": request("GET", path) for path in TRICKS},
    **{f"trick, create by {path}": request("POST", path, *JSON, body=CREATE) for path in TRICKS},
    **{f"query {path[:60]}": request("GET", path) for path in QUERIES},
    **{f"smuggled: {name}": text for name, text in SMUGGLED.items()},
    **{f"form: {name}": text for name, text in FORMS.items()},
}


@pytest.fixture(scope="module")
def answers() -> Iterator[Mapping[str, Answer]]:
    """Send every request from a balancer, and return the answers. Check that the engine's state did not change."""
    before = _state()
    since = host(DOCKER_HOST).check_output("date +%s.%6N")
    [container, *_] = containers(DOCKER_HOST)
    texts = [
        text.replace("/ID/", f"/{container}/").replace("/ID?", f"/{container}?").replace("IMAGE", "local/nodeapp")
        for text in [*EVERYTHING.values(), *(text for text, _ in PIPELINED.values())]
    ]
    asked = ask(BALANCERS[0], DOCKER_HOST, texts, BALANCERS_OWN)
    reached = _reached(since)
    yield {
        **dict(zip([*EVERYTHING, *PIPELINED], asked, strict=True)),
        "reached": Answer([], "\n".join(sorted(reached)), ""),
    }
    assert _state() == before


def _state() -> list[list[str]]:
    commands = [
        "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'",
        "docker image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'",
        "docker network ls --no-trunc --quiet",
        "docker volume ls --quiet",
        "docker info --format '{{.Swarm.LocalNodeState}}'",
    ]
    return [sorted(host(DOCKER_HOST).check_output(command).splitlines()) for command in commands]


def _reached(since: str) -> set[str]:
    """What reached the engine, by its own log, in the form "GET /path"."""
    log = host(DOCKER_HOST).check_output(
        "journalctl --sync; journalctl --unit docker --output cat --since %s | grep -o 'Calling [A-Z]* [^ \"]*'",
        f"@{since}",
    )
    return {line.removeprefix("Calling ").partition("?")[0] for line in log.splitlines()}


@pytest.mark.parametrize("name", EVERYTHING)
def test_is_refused(answers: Mapping[str, Answer], name: str) -> None:
    assert answers[name].refused, answers[name]


@pytest.mark.parametrize("name", PIPELINED)
def test_pipelined_requests_are_judged_one_by_one(answers: Mapping[str, Answer], name: str) -> None:
    _, expected = PIPELINED[name]
    statuses = list(answers[name].statuses)
    assert statuses[: len(expected)] == expected, answers[name]
    # An allowed request that follows a refused one on the same connection may still be answered.
    rest = [status for status in statuses[len(expected) :] if status != 200]
    assert rest or name == "create behind a version", answers[name]
    assert all(400 <= status < 500 for status in rest), answers[name]


def test_only_allowed_requests_reach_the_engine(answers: Mapping[str, Answer]) -> None:
    reached = answers["reached"].text.splitlines()
    versions = {line for line in reached if line.split()[1].startswith("/v1.")}
    plain = {f"{line.split()[0]} /{line.split('/', 2)[2]}" if line in versions else line for line in reached}
    assert plain <= {"GET /_ping", "HEAD /_ping", "GET /version", "GET /containers/json", "GET /events"}
    # The log works.
    assert "GET /version" in plain


def test_allowed_requests_are_answered() -> None:
    requests = [request(method, path) for method, path in ALLOWED]
    for (method, path), answer in zip(ALLOWED, ask(BALANCERS[0], DOCKER_HOST, requests, BALANCERS_OWN), strict=True):
        assert answer.statuses == [200], (method, path, answer)


def test_list_comes_from_the_engine() -> None:
    [answer] = ask(BALANCERS[1], DOCKER_HOST, [request("GET", "/containers/json")], BALANCERS_OWN)
    [container, *_] = containers(DOCKER_HOST)
    assert f'"Id":"{container}' in answer.text


def test_gateway_does_not_speak_http_2() -> None:
    credentials = Credentials(
        BALANCERS_OWN.ca, BALANCERS_OWN.certificate, BALANCERS_OWN.key, protocols=("h2", "http/1.1")
    )
    info = request("GET", "/info")
    [answer] = ask(BALANCERS[0], DOCKER_HOST, [info], credentials)
    assert answer.refused, answer


def test_engine_listens_on_loopback_only() -> None:
    for docker_host in DOCKER_HOSTS:
        listening = host(docker_host).check_output("ss --no-header --listening --tcp --numeric --processes")
        of_engine = [line.split()[3] for line in listening.splitlines() if '"dockerd"' in line or '"systemd"' in line]
        assert of_engine
        assert all(one.startswith("127.0.0.1:") for one in of_engine), listening


def test_key_of_a_balancer_is_not_readable_by_others() -> None:
    for balancer in BALANCERS:
        key = host(balancer).file(BALANCERS_OWN.key)
        assert key.mode & 0o007 == 0
        assert host(balancer).run("runuser -u nobody -- cat %s", BALANCERS_OWN.key).rc != 0
