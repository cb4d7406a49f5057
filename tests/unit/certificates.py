"""A private CA and its certificates, as an operator's CA issues them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _put(path: Path, content: bytes) -> Path:
    """Replace a file atomically, as a renewal does."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    return beside.rename(path)


class Authority:
    """A CA.

    Args:
        folder: where its files are written.
        name: the name of the CA and of its files.

    Attributes:
        file: the certificate of the CA.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._begun(self._name, self._key.public_key(), timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = _put(folder / f"{name}.crt", certificate.public_bytes(Encoding.PEM))

    def issue(self, file: str, name: str = "", *, ends: timedelta = 5 * DAY) -> tuple[Path, Path]:
        """Issue a certificate for a server with this DNS name or IP address, or for a client without one.

        Returns:
            The files of the certificate and of its key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if name else ExtendedKeyUsageOID.CLIENT_AUTH
        begun = self._begun(_named(file), key.public_key(), ends)
        begun = begun.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if name:
            begun = begun.add_extension(x509.SubjectAlternativeName([_alternative(name)]), critical=False)
        certificate = begun.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (
            _put(self._folder / f"{file}.crt", certificate.public_bytes(Encoding.PEM)),
            _put(self._folder / f"{file}.key", private),
        )

    def revoked(self, *certificates: Path) -> Path:
        """Write the CRL with these certificates."""
        now = datetime.now(UTC)
        listed = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        listed = listed.last_update(now - DAY).next_update(now + DAY)
        for path in certificates:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build()
            listed = listed.add_revoked_certificate(one)
        return _put(self._folder / "ca.crl", listed.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ends: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 20 * DAY)
            .not_valid_after(now + ends)
        )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(
    files: tuple[Path, Path], clients: Path | None, revoked: Path | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return the TLS context of a server.

    Args:
        files: the certificate and the key of the server.
        clients: the CA of allowed clients; None allows everybody.
        revoked: the CRL of that CA.
        version: the only version of TLS that it speaks; None for all.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if revoked:
        context.load_verify_locations(revoked)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if version:
        context.minimum_version = context.maximum_version = version
    return context
