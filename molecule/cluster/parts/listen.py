"""Follow the events of a Docker host through its gateway. Runs on a balancer: listen.py FILE ADDRESS PORT NAME.

FILE gets a line for each chunk ({"after": seconds, "text"}), and one for the end of the stream.
"""

import http.client
import json
import ssl
import sys
import time
from pathlib import Path

FOLDER = "/etc/dockmaster/tls"
LONGEST = 900.0


class Named(http.client.HTTPSConnection):
    """A connection to an address that checks the certificate for a name."""

    name = ""

    def connect(self) -> None:
        """Connect, and check the name."""
        http.client.HTTPConnection.connect(self)
        context = ssl.create_default_context(cafile=f"{FOLDER}/ca.crt")
        context.load_cert_chain(f"{FOLDER}/client.crt", f"{FOLDER}/client.key")
        self.sock = context.wrap_socket(self.sock, server_hostname=self.name)


def main() -> None:
    """Follow the stream until it ends."""
    file, address, port, name = sys.argv[1:]
    began = time.monotonic()
    connection = Named(address, int(port), timeout=LONGEST)
    connection.name = name
    with Path(file).open("w", buffering=1) as out:
        try:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            out.write(json.dumps({"after": 0.0, "text": f"status {answer.status}"}) + "\n")
            while piece := answer.read1(65536):
                out.write(json.dumps({"after": time.monotonic() - began, "text": piece.decode()}) + "\n")
            out.write(json.dumps({"after": time.monotonic() - began, "text": "end"}) + "\n")
        except (OSError, http.client.HTTPException) as error:
            out.write(json.dumps({"after": time.monotonic() - began, "text": f"end: {error!r}"}) + "\n")


if __name__ == "__main__":
    main()
