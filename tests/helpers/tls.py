"""An agency's own certificate authority, and servers on this machine whose certificate it signed."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.helpers.hosts import Host, serve_host


def make_authority(folder: Path) -> tuple[Path, Path]:
    """Write the certificate of an authority, and one file with certificate and key of a server on 127.0.0.1."""
    root_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    name = f"Agency Root {x509.random_serial_number()}"
    root = _sign(name, root_key, name, root_key, is_ca=True)
    leaf = _sign("localhost", key, name, root_key, is_ca=False)
    own, server = folder / "own-root.pem", folder / "server.pem"
    own.write_bytes(root.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server.write_bytes(leaf.public_bytes(Encoding.PEM) + private)
    return own, server


def _sign(
    name: str, key: EllipticCurvePrivateKey, issuer: str, issuer_key: EllipticCurvePrivateKey, *, is_ca: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(names, critical=False)
    )
    return builder.sign(issuer_key, SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@contextmanager
def serve_tls(files: dict[str, bytes], certificate: Path) -> Iterator[Host]:
    """Run a server of files over TLS until the block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve_host(files, context) as host:
        yield host
