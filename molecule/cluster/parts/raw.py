"""Ask a gateway whatever one likes, run on a test host: raw.py FILE.

FILE is JSON: "address" and "port"; "tls": null for none, or "ca", "certificate", "key" (paths, or null), "name" (the
server's) and "protocols" (for ALPN); "requests": what is sent, each on a connection of its own, a byte a character.
To standard output, for each: "statuses" (of every answer), "text" (the beginning of what came), "error".
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
    """Who the client is, and whom it trusts: everybody where there is no authority."""
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
    """What comes, until it is closed or silent."""
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
    """One connection."""
    data, error = b"", ""
    try:
        with socket.create_connection(address, timeout=SILENT) as connection:
            secured = context(tls).wrap_socket(connection, server_hostname=str(tls["name"])) if tls else connection
            # It may refuse before it has heard all of it; its answer is there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                secured.sendall(request.encode("latin-1"))
            data = received(secured)
    except OSError as problem:
        error = repr(problem)
    statuses = [int(status) for status in STATUS.findall(data)]
    return {"statuses": statuses, "text": data[:400].decode("latin-1"), "error": error}


def main() -> None:
    """Do what the file says."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    address = (plan["address"], plan["port"])
    print(json.dumps([ask(address, plan["tls"], request) for request in plan["requests"]]))


if __name__ == "__main__":
    main()
