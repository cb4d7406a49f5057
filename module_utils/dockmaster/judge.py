"""An inventory, judged before anything is changed, and again when everything is: pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .config.parse import parse
from .config.settings import Service
from .errors import SettingsError
from .model.image import Reference
from .model.labels import SERVICE_LABEL
from .sources.docker.discovery import endpoints_of

_ORIGIN = "the inventory"
_VARIABLES = {"services": "dockmaster_services", "discovery.servers": "dockmaster_docker_servers"}
"""What the inventory calls the sections of the configuration that it has one variable for."""
_PUBLISHED = re.compile(r"(?:.*:)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/tcp)?\Z")
"""A port in the form of ``docker run -p``; what is captured is inside the container."""
_USABLE = ("UP", "no check", "unknown")
"""What HAProxy's word for a server that gets requests begins with; it is unknown where HAProxy has no socket."""


@dataclass(frozen=True)
class Wanted:
    """A container of the inventory that has to serve a service: its Docker host and its name."""

    docker_host: str
    container: str

    def __str__(self) -> str:
        return f"{self.docker_host}/{self.container}"


@dataclass(frozen=True)
class Verdict:
    """What there is to say about an inventory.

    Attributes:
        problems: sentences; with one of them, nothing may be changed.
        warnings: sentences on what works, and is hardly meant so.
        wanted: the containers that are meant to serve each service; a service that none is meant for is not in there.
    """

    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    wanted: Mapping[str, Sequence[Wanted]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        wanted = {name: [asdict(one) for one in some] for name, some in self.wanted.items()}
        return {"problems": list(self.problems), "warnings": list(self.warnings), "wanted": wanted}


@dataclass(frozen=True)
class _Application:
    """An application on one Docker host, as the role app_containers runs it; that role judges its values."""

    docker_host: str
    name: str
    values: Mapping[str, Any]

    @property
    def image(self) -> str:
        return str(self.values.get("image", ""))

    @property
    def containers(self) -> list[str]:
        """The names of its containers."""
        count = str(self.values.get("count", 1))
        return [f"{self.name}-{number}" for number in range(1, int(count) + 1 if count.isdecimal() else 1)]

    def listed(self) -> dict[str, dict[str, Any]]:
        """Its containers in Docker's list once they run, by name; one where the inventory wants none for now."""
        networks = [str(name) for name in self.values.get("networks") or ["bridge"]]
        labels = {str(label): str(value) for label, value in (self.values.get("labels") or {}).items()}
        same = {
            "Image": self.image,
            "State": "running",
            "Labels": {**labels, SERVICE_LABEL: self.name},
            "Ports": [{"PrivatePort": port, "PublicPort": port, "Type": "tcp"} for port in self._ports()],
            "NetworkSettings": {"Networks": {name: {"IPAddress": "192.0.2.1"} for name in networks}},
            "HostConfig": {"NetworkMode": networks[0]},
        }
        names = self.containers or [f"{self.name}-1"]
        return {name: {"Id": f"{number:012x}", "Names": [f"/{name}"], **same} for number, name in enumerate(names)}

    def _ports(self) -> Iterator[int]:
        port = [self.values["port"]] if "port" in self.values else []
        for published in self.values.get("published") or port:
            found = _PUBLISHED.match(str(published))
            if found:
                yield from range(int(found[1]), int(found[2] or found[1]) + 1)


def inventory(data: Mapping[str, Any], applications: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Judge what an inventory says of one balancer.

    Args:
        data: the configuration that the balancer is going to have.
        applications: the value of ``app_containers`` by Docker host.
    """
    try:
        settings = parse(data, _ORIGIN)
    except SettingsError as error:
        return Verdict(problems=_problems(data, error))
    there = [
        _Application(docker_host, name, values)
        for docker_host, some in applications.items()
        for name, values in some.items()
    ]
    warnings: list[str] = []
    wanted: dict[str, list[Wanted]] = {}
    for service in settings.services:
        # With the method base no container serves.
        meant, rejected = _meant(service, there) if service.discovery.container_port else ([], [])
        if meant:
            wanted[service.name] = [
                Wanted(one.docker_host, name) for one, names in meant for name in one.containers if name in names
            ]
        warnings += rejected
        if there:
            warnings += _image_warning(service, str(_image_name(data, service)), there, meant=bool(meant))
    return Verdict(warnings=tuple(dict.fromkeys(warnings)), wanted=wanted)


def _problems(data: Mapping[str, Any], whole: SettingsError) -> list[str]:
    """The first problem of each service, so that one run names them all; where each is sound by itself, the whole's."""
    services = data.get("services")
    errors = []
    for name, service in services.items() if isinstance(services, dict) else ():
        try:
            parse({**data, "services": {name: service}}, _ORIGIN)
        except SettingsError as error:
            errors.append(error)
    return list(dict.fromkeys(_in_variables(error) for error in errors or [whole]))


def _in_variables(error: SettingsError) -> str:
    """An error with the variable of the inventory in the place of the section of the file."""
    message = str(error).removeprefix(f"{_ORIGIN}: ")
    for section, variable in _VARIABLES.items():
        if re.match(rf"{re.escape(section)}\b", message):
            return variable + message.removeprefix(section)
    return message


def _meant(
    service: Service, applications: Sequence[_Application]
) -> tuple[list[tuple[_Application, set[str]]], list[str]]:
    """The applications that are meant for a service, by the rule of discovery, with the names of their containers that
    are; and a sentence for each application whose containers cannot serve."""
    asked = {server.name for server in service.discovery.servers}
    meant: list[tuple[_Application, set[str]]] = []
    rejected = []
    for one in applications:
        if asked and one.docker_host not in asked:
            continue
        containers = one.listed()
        listed = endpoints_of([service], one.docker_host, one.docker_host, containers.values())
        # A label that names another service is said of the application, and not once for each service.
        of_service = [rejection for rejection in listed.rejected if rejection.service]
        rejected_ids = {rejection.container for rejection in of_service}
        names = {one.container_name for one in listed.endpoints[service.name]}
        names |= {name for name, container in containers.items() if container["Id"] in rejected_ids}
        if names:
            meant.append((one, names))
        rejected += [
            f"dockmaster_services.{service.name}: the containers of {one.name} on {one.docker_host} cannot serve: "
            f"{rejection.reason}"
            for rejection in of_service
        ]
    return meant, rejected


def _image_name(data: Mapping[str, Any], service: Service) -> object:
    """The image as the operator writes it."""
    return (data["services"][service.name].get("discovery") or {}).get("image_name")


def _image_warning(
    service: Service, written: str, applications: Sequence[_Application], *, meant: bool
) -> Iterator[str]:
    """What to say of an image that selects nothing of the inventory's own."""
    image = service.discovery.image
    if image is None:
        return
    place = f"dockmaster_services.{service.name}"
    covered = sorted({one.name for one in applications if _covers(image, one.image)})
    if covered:
        if not meant:
            yield (
                f"{place}: no application can serve it: {', '.join(covered)} has its image, but runs on a Docker host "
                "that is not asked, has the label dockmaster.service of another service, or does not pass the filters"
            )
        return
    images = sorted({one.image for one in applications})
    near = difflib.get_close_matches(written, images, n=1)
    # Containers that the label alone selects serve too; an image that is almost theirs is a typo all the same.
    if near or not meant:
        hint = f"did you mean {near[0]}?" if near else f"they have {', '.join(images)}"
        yield f"{place}.discovery.image_name: {written!r} is the image of no application; {hint}"


def _covers(image: Reference, text: str) -> bool:
    try:
        return image.covers(Reference.parse(text))
    except ValueError:
        return False


def outcome(wanted: Mapping[str, Sequence[Wanted]], status: Mapping[str, Any]) -> list[str]:
    """What is missing of what the inventory wants: a sentence for each service, with a reason for each container.

    Args:
        wanted: the containers that have to serve each service.
        status: what ``dockmaster status --json`` says on a balancer.
    """
    if status["haproxy"] != "running":
        return [f"HAProxy: {status['haproxy']}"]
    return [
        sentence
        for service, containers in wanted.items()
        if (sentence := _missing(service, [one for one in containers if not _drained(one, service, status)], status))
    ]


def _missing(service: str, wanted: Sequence[Wanted], status: Mapping[str, Any]) -> str:
    """The sentence for one service; empty where all that is wanted serves."""
    usable = {
        (row["docker_host"], row["container"])
        for row in status.get("servers", ())
        if row["service"] == service and str(row["haproxy"]).startswith(_USABLE)
    }
    missing = [one for one in wanted if (one.docker_host, one.container) not in usable]
    if not missing:
        return ""
    some = len(wanted) - len(missing)
    count = f"only {some} of {len(wanted)} containers serve" if some else "no usable server"
    reasons: dict[str, list[str]] = {}
    for container, reason in _reasons(service, missing, status):
        reasons.setdefault(reason, []).append(container)
    return f"{service}: {count}: " + "; ".join(f"{', '.join(some)}: {reason}" for reason, some in reasons.items())


def _reasons(service: str, missing: Sequence[Wanted], status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Why containers do not serve, one by one."""
    unreachable = {row["docker_host"]: row["error"] for row in status.get("sources", ()) if not row["answers"]}
    rows = {
        (row["docker_host"], row["container"]): row for row in status.get("servers", ()) if row["service"] == service
    }
    rejected = {
        (row["docker_host"], row["container"]): row["reason"]
        for row in status.get("rejected", ())
        if row["service"] == service
    }
    for one in missing:
        row = rows.get((one.docker_host, one.container))
        if one.docker_host in unreachable:
            yield str(one), f"{one.docker_host} is unreachable ({unreachable[one.docker_host]})"
        elif row:
            yield str(one), row.get("reason") or f"HAProxy says {row['haproxy']}"
        else:
            yield str(one), rejected.pop((one.docker_host, one.container), "it does not run, or is not healthy yet")
    # Docker's list may show a rejected container by its id alone.
    hosts = {one.docker_host for one in missing if (one.docker_host, one.container) not in rows}
    yield from (
        (f"{host}/{container}", reason)
        for (host, container), reason in rejected.items()
        if host in hosts - {*unreachable}
    )


def _drained(one: Wanted, service: str, status: Mapping[str, Any]) -> bool:
    """Whether the operator wants no requests for it, by name, by its host, or by the state of its server."""
    return any(
        mark["docker_host"] == one.docker_host and mark["container"] in ("", one.container)
        for mark in status.get("drained", ())
    ) or any(
        row.get("state") == "drained"
        for row in status.get("servers", ())
        if (row["service"], row["docker_host"], row["container"]) == (service, one.docker_host, one.container)
    )
