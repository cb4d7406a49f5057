"""Every endpoint of Docker's API as (method, path), and paths that try to disguise one.

ID stands for the id of a container, IMAGE for the name of an image.
"""

from __future__ import annotations

_ENDPOINTS = """
GET /containers/ID/json /containers/ID/top /containers/ID/logs?stdout=1 /containers/ID/changes /containers/ID/export
GET /containers/ID/stats?stream=0 /containers/ID/attach/ws?logs=1 /containers/ID/archive?path=/etc/passwd
HEAD /containers/ID/archive?path=/etc/passwd /containers/ID/json
PUT /containers/ID/archive?path=/
POST /containers/create /containers/create?name=intruder /containers/prune
POST /containers/ID/start /containers/ID/stop /containers/ID/restart /containers/ID/kill /containers/ID/update
POST /containers/ID/rename?name=renamed /containers/ID/pause /containers/ID/unpause /containers/ID/attach?stream=1
POST /containers/ID/resize?h=1&w=1 /containers/ID/wait /containers/ID/exec
DELETE /containers/ID?force=1 /containers/ID?v=1&force=1
POST /exec/ID/start /exec/ID/resize?h=1&w=1
GET /exec/ID/json
GET /images/json /images/IMAGE/json /images/IMAGE/history /images/IMAGE/get /images/get?names=IMAGE
GET /images/search?term=a
POST /build /build/prune /build/cancel?id=1 /images/create?fromImage=a /images/IMAGE/push
POST /images/IMAGE/tag?repo=intruder /images/prune /images/load /commit?container=ID /commit
DELETE /images/IMAGE?force=1
GET /networks /networks/bridge
POST /networks/create /networks/bridge/connect /networks/bridge/disconnect /networks/prune
DELETE /networks/bridge
GET /volumes /volumes/one
POST /volumes/create /volumes/prune
PUT /volumes/one
DELETE /volumes/one
GET /swarm /swarm/unlockkey
POST /swarm/init /swarm/join /swarm/leave /swarm/update /swarm/unlock
GET /nodes /nodes/one
POST /nodes/one/update
DELETE /nodes/one
GET /services /services/one /services/one/logs
POST /services/create /services/one/update
DELETE /services/one
GET /tasks /tasks/one /tasks/one/logs
GET /secrets /secrets/one
POST /secrets/create /secrets/one/update
DELETE /secrets/one
GET /configs /configs/one
POST /configs/create /configs/one/update
DELETE /configs/one
GET /plugins /plugins/privileges?remote=a /plugins/one/json
POST /plugins/pull?remote=a /plugins/create?name=a /plugins/one/enable /plugins/one/disable
POST /plugins/one/upgrade?remote=a /plugins/one/push /plugins/one/set
DELETE /plugins/one
GET /info /system/df /distribution/IMAGE/json /metrics /debug/vars /debug/pprof/ /
POST /auth /session /grpc /system/prune
"""

ENDPOINTS = [(line.split()[0], path) for line in _ENDPOINTS.strip().splitlines() for path in line.split()[1:]]

TRICKS = [
    # Not allowed, but these may be normalized to an allowed path, or from one.
    "//containers/json",
    "/containers//json",
    "/v1.41//containers/json",
    "/./containers/json",
    "/containers/./json",
    "/containers/json/",
    "/containers/json/.",
    "/containers/../containers/json",
    "/containers/json/../ID/json",
    "/events/../info",
    "/version/../info",
    "/_ping/../containers/ID/json",
    "/..//info",
    "/containers/json/%2e%2e/ID/json",
    "/events/%2e%2e/info",
    "/events%2f..%2finfo",
    "/events/..%2finfo",
    "/version%2f%2e%2e%2finfo",
    "/containers/%6ason",
    "/%63ontainers/json",
    "/containers%2fjson",
    "/containers/ID%2fjson",
    "/containers/json;x",
    "/containers;x/json",
    "/events;/../info",
    "/containers/json%3b",
    "/containers/json%00",
    "/containers/json%20",
    "/containers/json%23",
    "/containers/json%3fsize=1",
    "/containers/json%0d%0aX-Other:%20header",
    "/version%0d%0a%0d%0aPOST%20/containers/create%20HTTP/1.1",
    "/info%0aversion",
    "/info%0a/version",
    "/info#/version",
    "/info?/version",
    "/info?x=/version",
    "\\containers\\json",
    "/containers\\json",
    "/Containers/json",
    "/containers/JSON",
    "/CONTAINERS/JSON",
    "/INFO",
    "/_PING",
    "/versions",
    "/version.json",
    "/eventsx",
    "/xversion",
    "/containers/jsonx",
    "/containers",
    "/containers/",
    "containers/json",
    "info",
    "?/version",
    "*",
    "http://docker/info",
    "http://docker/containers/ID/json",
    "http://docker//containers/json",
    "http://docker/version/../info",
    "https://docker:2376/images/json",
    "unix:///var/run/docker.sock/info",
    "/v1.41/info",
    "/v1.41/containers/ID/json",
    "/v1.41/v1.41/version",
    "/v1.41/../info",
    "/v1.411/version",
    "/v1./version",
    "/v1/version",
    "/v2.0/version",
    "/v01.41/version",
    "/v1.4x/version",
    "/v-1.41/version",
    "/V1.41/version",
    "/v1.41version",
    "/v1,41/version",
    "/1.41/version",
    "/v1.41/",
    "/v1.41",
    "/v%31.41/version",
]

QUERIES = [
    # With size, the engine walks through the files of every container. Dockmaster's own filters are never this long.
    "/containers/json?size=1",
    "/containers/json?size=true",
    "/containers/json?size=T",
    "/containers/json?all=1&size=1",
    "/containers/json?%73ize=1",
    "/containers/json?s%69z%65=1",
    "/containers/json?all=1&%73%69%7a%65=1",
    "/v1.41/containers/json?size=1",
    "/containers/json?filters=" + "x" * 20000,
    "/events?filters=" + "x" * 20000,
    "/version?" + "x" * 70000,
    "/events?" + "a=b&" * 10000,
]

ALLOWED = [
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", "/v1.24/version"),
    ("GET", "/containers/json"),
    ("GET", "/v1.24/containers/json"),
    ("GET", "/v1.41/containers/json?all=1"),
    ("GET", "/v1.24/containers/json?filters=%7B%22status%22%3A%5B%22running%22%5D%7D"),
    ("GET", "/events?since=1&until=2"),
    ("GET", "/v1.24/events?since=1&until=2"),
]
