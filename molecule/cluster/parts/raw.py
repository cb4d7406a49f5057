"""Send raw requests to a gateway. Runs on a test host: raw.py FILE.

FILE is JSON: "address" and "port"; "tls": null for none, or "ca", "certificate", "key" (paths, or null), "name" (of the
server) and "protocols" (for ALPN); "requests": texts that are sent byte by byte, each on its own connection.
For each request it prints "statuses" (of every answer), "text" (the first part of what was received) and "error".
"""

import contextlib
import json
import re
import socket
import ssl
import sys
import time
from pathlib import Path

SILENT = 3.0
AFTERWARDS = 0.3
LONGEST = 15.0
MOST = 1 << 20
STATUS = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})")


def context(tls: dict[str, object]) -> ssl.SSLContext:
    """Return the TLS context of the client. Without a CA, it trusts every server."""
    made = ssl.create_default_context(cafile=str(tls["ca"])) if tls["ca"] else ssl.create_default_context()
    if not tls["ca"]:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if tls["certificate"]:
        made.load_cert_chain(str(tls["certificate"]), str(tls["key"]))
    protocols = tls.get("protocols")
    if isinstance(protocols, list):
        made.set_alpn_protocols(protocols)
    return made


def received(connection: socket.socket) -> bytes:
    """Receive until the connection is closed or silent."""
    data, deadline = b"", time.monotonic() + LONGEST
    while len(data) < MOST and time.monotonic() < deadline:
        connection.settimeout(AFTERWARDS if data else SILENT)
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            break
        if not piece:
            break
        data += piece
    return data


def ask(address: tuple[str, int], tls: dict[str, object] | None, request: str) -> dict[str, object]:
    """Send one request on a new connection."""
    data, error = b"", ""
    try:
        with socket.create_connection(address, timeout=SILENT) as connection:
            secured = context(tls).wrap_socket(connection, server_hostname=str(tls["name"])) if tls else connection
            # The gateway may answer and close before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                secured.sendall(request.encode("latin-1"))
            data = received(secured)
    except OSError as problem:
        error = repr(problem)
    statuses = [int(status) for status in STATUS.findall(data)]
    return {"statuses": statuses, "text": data[:400].decode("latin-1"), "error": error}


def main() -> None:
    """Send all requests of the file."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    address = (plan["address"], plan["port"])
    print(json.dumps([ask(address, plan["tls"], request) for request in plan["requests"]]))


if __name__ == "__main__":
    main()
