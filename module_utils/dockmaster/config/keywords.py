"""HAProxy's keywords that are gone, in today's words."""

from __future__ import annotations

# Removed in HAProxy 2.1, deprecated since 1.3.14: its manual, "timeout connect" and what follows there.
_TODAY = {
    "contimeout": "timeout connect",
    "clitimeout": "timeout client",
    "srvtimeout": "timeout server",
}


def modern(line: str) -> str:
    """The line as HAProxy takes it today; a line without a dropped keyword comes back as it is."""
    keyword, blank, rest = line.partition(" ")
    return f"{_TODAY[keyword]}{blank}{rest}" if keyword in _TODAY else line


# HAProxy's manual, "Proxy keywords matrix": what a backend does not take, and what a frontend does not.
_FRONTEND_ONLY = """
backlog; bind; capture cookie; capture request header; capture response header; clitcpka-cnt; clitcpka-idle;
clitcpka-intvl; declare capture; default_backend; error-log-format; log-format; log-format-sd; maxconn; monitor fail;
monitor-uri; option accept-invalid-http-request; option clitcpka; option contstats; option disable-h2-upgrade;
option dontlog-normal; option dontlognull; option h1-case-adjust-bogus-client; option http-ignore-probes;
option http-use-proxy-header; option httplog; option httpslog; option idle-close-on-response;
option log-separate-errors; option logasap; option socket-stats; option tcp-smart-accept; option tcplog;
rate-limit sessions; tcp-request connection; tcp-request session; timeout client; timeout client-fin;
unique-id-format; unique-id-header; use_backend
"""
_BACKEND_ONLY = """
balance; cookie; default-server; dispatch; external-check; force-persist; fullconn; hash-balance-factor; hash-type;
http-check; http-reuse; http-send-name-header; ignore-persist; load-server-state-from-file; max-keep-alive-queue;
option abortonclose; option accept-invalid-http-response; option allbackups; option checkcache; option external-check;
option h1-case-adjust-bogus-server; option http-pretend-keepalive; option httpchk; option ldap-check;
option log-health-checks; option mysql-check; option persist; option pgsql-check; option prefer-last-server;
option redispatch; option redis-check; option smtpchk; option spop-check; option srvtcpka; option ssl-hello-chk;
option tcp-check; option tcp-smart-connect; option transparent; persist; retries; retry-on; server;
server-state-file-name; server-template; source; srvtcpka-cnt; srvtcpka-idle; srvtcpka-intvl; stick; tcp-check;
tcp-response; timeout check; timeout connect; timeout queue; timeout server; timeout server-fin; timeout tunnel;
transparent; use-fcgi-app; use-server
"""


def _words(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(entry.split()) for entry in text.split(";"))


_ONLY_IN = {"frontend": _words(_FRONTEND_ONLY), "backend": _words(_BACKEND_ONLY)}


def for_section(lines: tuple[str, ...], section: str) -> tuple[str, ...]:
    """The lines of a ``listen`` section that go into its ``frontend`` or its ``backend``.

    A keyword of the other kind alone stays out, and everything else goes into both: no line is dropped.
    """
    other = _ONLY_IN["backend" if section == "frontend" else "frontend"]
    return tuple(line for line in lines if not any(tuple(line.split()[:size]) in other for size in (1, 2, 3)))
