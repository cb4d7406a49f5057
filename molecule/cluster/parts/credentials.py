"""Keys and certificates that an attacker may have."""

from __future__ import annotations

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster import certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class CA:
    """A certificate authority.

    Attributes:
        certificate: the CA's certificate.
        key: the CA's private key, of any kind.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(
        self, name: str, key: CertificatePublicKeyTypes, *, days_ago: int = 0, server: bool = False
    ) -> x509.Certificate:
        """Sign a certificate for a name that is valid now, or that expired some days ago."""
        now = datetime.datetime.now(datetime.UTC) - days_ago * DAY
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now if days_ago else now + DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def real() -> CA:
    """Return the CA of the cluster with its decrypted key."""
    decrypt = ["ansible-vault", "decrypt", "--output", "-", str(certificates() / "ca.key")]
    text = subprocess.run(decrypt, capture_output=True, check=True).stdout
    key = serialization.load_pem_private_key(text, None)
    return CA(read(certificates() / "ca.crt"), key)  # type: ignore[arg-type]  # Every kind of key can sign.


def foreign() -> CA:
    """Return another CA with the same name."""
    key = new_key()
    subject = read(certificates() / "ca.crt").subject
    now = datetime.datetime.now(datetime.UTC)
    own = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return CA(own, key)


def read(path: Path) -> x509.Certificate:
    """Read a certificate from a file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(what: x509.Certificate | ec.EllipticCurvePrivateKey) -> str:
    """Return a certificate or a key as PEM text."""
    if isinstance(what, x509.Certificate):
        return what.public_bytes(serialization.Encoding.PEM).decode()
    return what.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
