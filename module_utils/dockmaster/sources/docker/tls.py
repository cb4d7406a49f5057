"""TLS towards a Docker host: who we are, whom we believe, and in plain words why it failed."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ...config.settings import TLS
from ...errors import SourceError

HANDSHAKE = 5.0
"""Seconds for each of the peer's answers in a handshake: it needs its processor for those, unlike for a connection."""

_NOT_YET_VALID, _EXPIRED, _REVOKED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 23, 62, 64
"""OpenSSL's X509_V_ERR_*."""

_REFUSALS = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it is revoked",
    "UNKNOWN_CA": "the host does not know its CA",
    "CERTIFICATE_REQUIRED": "the host got none",
    "BAD_CERTIFICATE": "the host holds it for damaged",
    "CERTIFICATE_UNKNOWN": "the host does not accept it",
    "UNSUPPORTED_CERTIFICATE": "it is not made for clients",
    "HANDSHAKE_FAILURE": "the host ended the handshake",
    "ACCESS_DENIED": "the host denies access",
}
"""What the peer's alert says of our certificate."""


class Context(ssl.SSLContext):
    """What connections are made by; it gives the handshake more time than the connection had."""

    def wrap_socket(self, sock, *arguments, **options):  # type: ignore[no-untyped-def]
        """What urllib3 calls for a new connection."""
        sock.settimeout(HANDSHAKE)
        return super().wrap_socket(sock, *arguments, **options)


def context(tls: TLS) -> Context:
    """For connections that only this identity's CAs vouch for, whatever the system and the environment trust.

    Raises:
        SourceError: one of the files cannot be used; it is named.
    """
    identity = tls.identity
    made = Context(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.hostname_checks_common_name = False
    try:
        made.load_verify_locations(identity.ca_file)
    except OSError as error:
        raise SourceError(f"{identity.ca_file} cannot be used: {_said(error)}") from None
    for path in (identity.certificate_file, identity.key_file):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SourceError(f"{path} cannot be used: {error.strerror}") from None
    try:
        # A key with a passphrase would have it asked for on the terminal.
        made.load_cert_chain(identity.certificate_file, identity.key_file, password="")
    except OSError as error:
        raise SourceError(
            f"{identity.certificate_file} and its key {identity.key_file} cannot be used: {_said(error)}"
        ) from None
    return made


def days_left(tls: TLS) -> float | None:
    """Days until our own certificate ends; None where nobody can tell: that takes the package python3-cryptography."""
    try:
        from cryptography import x509

        found = x509.load_pem_x509_certificate(tls.identity.certificate_file.read_bytes())
    except (ImportError, OSError, ValueError):
        return None
    # Debian 12's cryptography has only the one without a time zone, and the newest only the one with it.
    ends = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=UTC)
    left: timedelta = ends - datetime.now(UTC)
    return round(left / timedelta(days=1), 1)


def state_of(tls: TLS) -> tuple[tuple[int, int, int], ...]:
    """What changes when one of the files is replaced."""
    found = []
    for path in (tls.identity.ca_file, tls.identity.certificate_file, tls.identity.key_file):
        with suppress(OSError):
            there = path.stat()
            found.append((there.st_ino, there.st_mtime_ns, there.st_size))
    return tuple(found)


def reason(tls: TLS, error: BaseException) -> str | None:
    """Why a connection failed, in plain words; None where that has nothing to do with TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            return "its certificate has expired"
        if error.verify_code == _NOT_YET_VALID:
            return "its certificate is not valid yet; one of the clocks may be wrong"
        if error.verify_code == _REVOKED:
            return "its certificate is revoked"
        if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
            return f"its certificate does not have the name {tls.name}"
        return f"its certificate is not signed by a CA of {tls.identity.ca_file} ({error.verify_message})"
    ours = f"it refuses our certificate {tls.identity.certificate_file}"
    if isinstance(error, ssl.SSLError):
        said = (error.reason or "").upper().replace(" ", "_")
        if "ALERT" in said:
            why = next((words for name, words in _REFUSALS.items() if said.endswith(name)), said)
            return f"{ours}: {why}"
        if "WRONG_VERSION_NUMBER" in said or "HTTP_REQUEST" in said:
            return "it does not speak TLS"
        if not isinstance(error, ssl.SSLEOFError) and "UNEXPECTED_EOF" not in said:
            return _said(error)
    elif not isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return None
    # A peer that refuses and closes at once overtakes what it says of that.
    return f"it ended the connection without a word; perhaps {ours}"


def _said(error: OSError) -> str:
    """What the system or OpenSSL says, without the line of its source."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
