"""A real time-stamping authority on this machine: ``openssl ts`` behind a small HTTP server, with certificates of its own.

What it answers can be spoilt, so that tests see what a bad authority does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from minewatch.core.workspace import Workspace

CONFIG = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
signer_cert = {folder}/{name}.pem
certs = {folder}/chain.pem
signer_key = {folder}/{name}.key
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""

STAMPING = [ExtendedKeyUsageOID.TIME_STAMPING]

FIRST, LAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2046, 1, 1, tzinfo=dt.UTC)
"""Between them the certificates are valid."""


def explain_missing_openssl() -> str | None:
    return None if shutil.which("openssl") else "openssl is not installed"


def run_openssl(*words: str | Path, cwd: Path | None = None) -> str:
    """Run openssl; raises RuntimeError with what it said where it fails."""
    done = subprocess.run(["openssl", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Authority:
    """The files of an authority: a root, a certificate between, and its own."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def chain(self) -> Path:
        return self.folder / "chain.pem"

    def certify(
        self,
        name: str,
        issuer: str = "inter",
        purposes: Sequence[ObjectIdentifier] = STAMPING,
        last: dt.datetime = LAST,
        *,
        is_critical: bool = True,
        is_ca: bool = False,
    ) -> None:
        """Make another certificate, ``name``.pem, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = self._read_key(issuer) if issuer != name else key
        usage = x509.KeyUsage(not is_ca, *[False] * 4, is_ca, *[False] * 3)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_make_name(name))
            .issuer_name(_make_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(FIRST)
            .not_valid_after(last)
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(usage, critical=True)
        )
        if purposes and not is_ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=is_critical)
        pem = builder.sign(own, hashes.SHA256()).public_bytes(Encoding.PEM)
        (self.folder / f"{name}.pem").write_bytes(pem)
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def _read_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def answer(self, request: bytes, name: str = "tsa") -> bytes:
        """Return the answer to a request, signed with the certificate ``name``."""
        config, query, reply = (self.folder / f"{name}.{end}" for end in ("cnf", "tsq", "tsr"))
        config.write_text(CONFIG.format(folder=self.folder, name=name))
        query.write_bytes(request)
        run_openssl("ts", "-reply", "-config", config, "-queryfile", query, "-out", reply)
        return reply.read_bytes()

    def stamp(self, data: bytes, name: str = "tsa", *words: str) -> bytes:
        """Return an answer over the SHA-256 of data, asked for by openssl itself."""
        (self.folder / "data").write_bytes(data)
        options = words or ("-cert", "-sha256")
        run_openssl("ts", "-query", "-data", self.folder / "data", *options, "-out", self.folder / "own.tsq")
        return self.answer((self.folder / "own.tsq").read_bytes(), name)

    def forge(self, data: bytes, name: str, when: dt.datetime | None = None, *, has_ess: bool = True) -> bytes:
        """Return an answer that openssl would not give: of any certificate, at any time, without the hash of it."""
        answer = tsp.TimeStampResp.load(self.stamp(data))
        content = answer["time_stamp_token"]["content"]
        certificate = pem_to_der(self.folder / f"{name}.pem")
        info = content["encap_content_info"]["content"].parsed
        if when:
            info["gen_time"] = when
        info["tsa"] = asn1.GeneralName("directory_name", asn1.Certificate.load(certificate).subject)
        ess = tsp.SigningCertificateV2({"certs": [{"cert_hash": hashlib.sha256(certificate).digest()}]})
        attributes = [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(info.dump()).digest()]},
        ]
        attributes += [{"type": "signing_certificate_v2", "values": [ess]}] if has_ess else []
        signed = cms.CMSAttributes(attributes)
        loaded = asn1.Certificate.load(certificate)
        sid = cms.IssuerAndSerialNumber({"issuer": loaded.issuer, "serial_number": loaded.serial_number})
        forged = {
            "version": "v1",
            "sid": cms.SignerIdentifier("issuer_and_serial_number", sid),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": signed,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self._read_key(name).sign(signed.dump(), ec.ECDSA(hashes.SHA256())),
        }
        inner = [asn1.Certificate.load(pem_to_der(self.folder / "inter.pem")), loaded]
        content["signer_infos"] = cms.SignerInfos([forged])
        content["certificates"] = cms.CertificateSet([cms.CertificateChoices("certificate", one) for one in inner])
        content["encap_content_info"] = {"content_type": "tst_info", "content": cms.ParsableOctetString(info.dump())}
        return bytes(answer.dump(force=True))


def pem_to_der(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def _make_name(name: str) -> x509.Name:
    parts = (NameOID.ORGANIZATION_NAME, "Test"), (NameOID.COMMON_NAME, f"Test {name}")
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def make_authority(folder: Path) -> Authority:
    """Make root, intermediate and the certificate of the authority."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Authority(folder)
    found.certify("root", "root", is_ca=True)
    found.certify("inter", "root", is_ca=True)
    shutil.copy(folder / "inter.pem", found.chain)
    found.certify("tsa")
    (folder / "serial").write_text("01\n")
    return found


def accepts(data: bytes, tsr: bytes, root: Path, folder: Path, chain: bytes = b"", *more: str) -> bool:
    """True if ``openssl ts -verify`` accepts an answer."""
    (folder / "checked").write_bytes(data)
    (folder / "checked.tsr").write_bytes(tsr)
    (folder / "checked.pem").write_bytes(chain)
    others = ("-untrusted", folder / "checked.pem") if chain else ()
    try:
        run_openssl("ts", "-verify", "-data", folder / "checked", "-in", folder / "checked.tsr", "-CAfile", root, *others, *more)
    except RuntimeError:
        return False
    return True


# --- over HTTP -------------------------------------------------------------------------------------------------------


@dataclass
class AuthorityServer:
    """A server of an authority, and how it answers."""

    authority: Authority

    url: str = ""

    requests: list[bytes] = field(default_factory=list)
    """The bodies that came."""

    logins: list[str | None] = field(default_factory=list)
    """The Authorization headers that came."""

    spoil: Callable[[bytes], bytes] = lambda answer: answer
    """What becomes of a good answer."""

    status: int = 200

    stall: float = 0
    """Seconds before the answer; with ``trickle`` before each byte of it."""

    trickle: bool = False

    endless: bool = False
    """True to send a gigabyte."""

    def name_in(self, workspace: Workspace, more: str = "") -> None:
        """Name it in the settings of a workspace."""
        text = workspace.settings.read_text("utf-8")
        table = f'\n[timestamps]\nurl = "{self.url}"\nca = "{self.authority.root}"\n{more}'
        workspace.settings.write_text(text + table, "utf-8")


@contextmanager
def serve_authority(authority: Authority) -> Iterator[AuthorityServer]:
    """Run a server until the block ends."""
    box = AuthorityServer(authority)
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            box.requests.append(request)
            box.logins.append(self.headers.get("Authorization"))
            if not box.trickle:
                ended.wait(box.stall)
            answer = box.spoil(box.authority.answer(request)) if box.status == 200 else b"no"
            try:
                self.send_response(box.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(2**30 if box.endless else len(answer)))
                self.end_headers()
                self._send(answer)
            except OSError:  # nobody listens any more
                pass

        def _send(self, answer: bytes) -> None:
            if box.endless:
                for _ in range(1024):
                    self.wfile.write(bytes(2**20))
            elif box.trickle:
                for byte in answer:
                    self.wfile.write(bytes([byte]))
                    ended.wait(box.stall)
            else:
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.url = f"http://127.0.0.1:{server.server_port}/tsr"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
