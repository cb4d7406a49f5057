"""Synapse's keys that are not taken over, and what to use instead of each."""

from __future__ import annotations

TOP = {
    "statsd": "use HAProxy's Prometheus endpoint (haproxy.stats_bind)",
}
SERVICE = {
    "leader_election": "run the balancers side by side; each finds the same servers",
    "discovery_multi": "use discovery.servers, which takes several Docker hosts",
}
DISCOVERY = dict.fromkeys(
    [
        "hosts",
        "path",
        "decode",
        "retry_policy",
        "generator_config_path",
        "discovery_jitter",
        "polling_interval_sec",
        "nameserver",
        "tag_name",
        "tag_value",
        "aws_region",
        "marathon_api_url",
        "application_name",
        "port_index",
        "watchers",
        "resolver",
    ],
    "use method docker, or method base with default_servers",
)
HAPROXY = {
    "do_socket": "use socket_file_path: where it is set, the socket is used",
    "candidate_config_file_path": "leave it out: the candidate is made beside the file, and is gone afterwards",
    "restart_interval": "leave it out: a reload loses no connection, and one without need is not made",
    "restart_jitter": "leave it out: a reload loses no connection, and one without need is not made",
    "state_file_path": "use state_file",
    "state_file_ttl": "leave it out: what was last known of a Docker host stays until it answers",
    "server_order_seed": "use backend_order of the service",
    "max_server_id": "leave it out: a server is known by its name",
    "use_nerve_weights": "use the label dockmaster.weight",
}
SERVICE_HAPROXY = {
    "haproxy_server_options": "use server_options",
}
