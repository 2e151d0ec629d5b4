"""Time-stamp tokens (RFC 3161): the request for one, and what one proves.

asn1crypto reads them; rfc3161-client checks signature and certificates at the time of the stamp, with OpenSSL.  What that
leaves open is checked here, so that whatever is accepted is accepted by ``openssl ts -verify`` too.  Both packages, which
the extra ``evidence`` brings, are loaded only where a token is requested or checked.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import importlib.util
import re
import secrets
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from minewatch.core.errors import EvidenceError, TimestampError
from minewatch.core.text import format_day, format_time, show

LARGEST_TOKEN = 2**17
"""Bytes of an answer of an authority; with the certificates of a chain it has some five thousand."""

LARGEST_CHAIN = 2**20
"""Bytes of a file of certificates; the list of all authorities of an operating system has some 200,000."""

MOST_CERTIFICATES = 500
"""In such a file."""

LONGEST_CHAIN = 20
"""Certificates that may come with a token; chains have three or four."""

TSA_PURPOSE = "time_stamping"
"""The extended key usage that the certificate of an authority must have, alone and marked critical (RFC 3161, 2.3)."""

SIGNING_USAGES = {"digital_signature", "non_repudiation"}
"""The only key usages that such a certificate may have."""

GRANTED = "granted"
"""Status of an answer with a token."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")


@dataclass(frozen=True)
class TimestampCheck:
    """What a token proves: that a hash existed before a time, as an authority says."""

    time: dt.datetime
    """The latest moment, UTC: the authority's time and the inaccuracy that it admits, rounded up to a second."""

    authority: str
    """The name in the authority's certificate, made safe to show."""

    is_named: bool
    """True if its certificates lead to one that the user trusts; False where they are only consistent with themselves."""

    certificates: tuple[bytes, ...]
    """Its certificates from its own to the root, DER."""

    def describe(self) -> str:
        """Return what is proven as the end of a sentence."""
        doubt = "" if self.is_named else ", an authority that you did not name: give its root certificate as --tsa-ca"
        return f"existed before {format_day(self.time)}, {self.time:%H:%M:%S} UTC, says {self.authority}{doubt}"


@dataclass(frozen=True)
class Token:
    """An answer of an authority that could be read; nothing of it was checked."""

    info: Any
    """Its TSTInfo, of asn1crypto."""

    signer: Any
    """The certificate that signed it, of asn1crypto."""

    signed: Any
    """What was signed besides the TSTInfo: the signed attributes, of asn1crypto."""

    certificates: tuple[bytes, ...]
    """The certificates that came with it, DER, its own first."""

    data: bytes
    """The answer, with its certificates in the order that DER demands."""


def make_request(digest: bytes, policy: str = "") -> tuple[bytes, int]:
    """Return the request for a token over a SHA-256, and its nonce; the certificates are asked for.

    Raises EvidenceError where the packages are not installed.
    """
    nonce = secrets.randbits(63) | 1 << 62
    fields = {
        "version": 1,
        "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest},
        "nonce": nonce,
        "cert_req": True,
    }
    request = _load("asn1crypto.tsp").TimeStampReq(fields | ({"req_policy": policy} if policy else {}))
    return bytes(request.dump()), nonce


def check_timestamp(manifest: bytes, tsr: bytes, chain: bytes, trusted_ca: bytes | None) -> TimestampCheck:
    """Check a token over the SHA-256 of ``manifest``; see check_digest_timestamp."""
    return check_digest_timestamp(hashlib.sha256(manifest).digest(), tsr, chain, trusted_ca)


def check_digest_timestamp(digest: bytes, tsr: bytes, chain: bytes, trusted_ca: bytes | None) -> TimestampCheck:
    """Return what an answer of an authority proves of a SHA-256.

    ``chain`` holds certificates (PEM) that came with it and are not trusted; ``trusted_ca`` the roots that the user trusts.
    Raises TimestampError where it proves nothing, and EvidenceError where that cannot be known.
    """
    with _reading("it cannot be read as a time stamp"):
        token = read_token(tsr)
        _check_imprint(token, digest)
        _check_signer(token)
        return _find_root(token, chain, trusted_ca)


def _find_root(token: Token, chain: bytes, trusted_ca: bytes | None) -> TimestampCheck:
    """Find the root that a token leads to: first among those that the user trusts."""
    given = [_read_certificate(der) for der in split_certificates(chain)]
    if len(given) + len(token.certificates) > LONGEST_CHAIN:
        raise TimestampError(f"more than {LONGEST_CHAIN} certificates came with it")
    own = [_read_certificate(der) for der in token.certificates]
    others = [one.dump() for one in (*own, *given) if not _is_root(one)]
    issuers = {one.issuer.hashable for one in (*own, *given)}
    trusted = [der for der in split_certificates(trusted_ca or b"") if _read_certificate(der).subject.hashable in issuers]
    found = _make_check(token)
    for root in trusted:
        if _leads_to(token, root, others):
            return replace(found, is_named=True, certificates=(*token.certificates, root))
    roots = dict.fromkeys(one.dump() for one in (*own, *given) if _is_root(one))
    for root in roots:
        if _leads_to(token, root, others):
            return replace(found, certificates=tuple(dict.fromkeys((*token.certificates, root))))
    if roots or trusted:
        raise TimestampError("its signature or the certificates of its authority did not hold at its time")
    raise EvidenceError("it cannot be checked without the root certificate of its authority; give it as --tsa-ca")


def _make_check(token: Token) -> TimestampCheck:
    time, accuracy = token.info["gen_time"].native, token.info["accuracy"].native or {}
    seconds, parts = accuracy.get("seconds") or 0, (accuracy.get("millis") or 0) * 1000 + (accuracy.get("micros") or 0)
    subject = token.signer.subject.native
    name = subject.get("common_name") or subject.get("organization_name") or "an authority without a name"
    latest = time.astimezone(dt.UTC) + dt.timedelta(seconds=seconds, microseconds=parts + 999_999)
    return TimestampCheck(latest.replace(microsecond=0), show(name, 80), is_named=False, certificates=token.certificates)


# --- certificates ----------------------------------------------------------------------------------------------------


def split_certificates(data: bytes) -> list[bytes]:
    """Return the certificates of a file, DER; raises TimestampError where one cannot be read."""
    blocks = _PEM.findall(data)
    try:
        found = (
            [base64.b64decode(block, validate=False) for block in blocks] if blocks or not data.startswith(b"\x30") else [data]
        )
        for der in found:
            _read_certificate(der)
    except ValueError:
        raise TimestampError("its certificates cannot be read") from None
    if len(found) > MOST_CERTIFICATES:
        raise TimestampError(f"there are more than {MOST_CERTIFICATES} certificates with it")
    return found


def join_certificates(certificates: Sequence[bytes]) -> bytes:
    """Return certificates as a PEM file."""
    blocks = []
    for der in certificates:
        text = base64.encodebytes(der).replace(b"\n", b"")
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        blocks += [b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----"]
    return b"\n".join(blocks) + b"\n"


def _read_certificate(der: bytes) -> Any:
    with _reading("its certificates cannot be read"):
        return _load("asn1crypto.x509").Certificate.load(der, strict=True)


def _is_root(certificate: Any) -> bool:
    return bool(certificate.subject == certificate.issuer)


def _leads_to(token: Token, root: bytes, others: Sequence[bytes]) -> bool:
    """True if a token is signed with a certificate that leads to ``root`` and was valid at the token's time."""
    library, x509 = _load("rfc3161_client"), import_module("cryptography.x509")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities of certificates that are accepted today
            load = x509.load_der_x509_certificate
            builder = library.VerifierBuilder(roots=[load(root)], intermediates=[load(der) for der in dict.fromkeys(others)])
            answer = library.decode_timestamp_response(token.data)
            digest = token.info["message_imprint"]["hashed_message"].native
            return bool(builder.build().verify(answer, digest))
    except (library.VerificationError, ValueError, TypeError, KeyError, AttributeError):
        return False


# --- the token -------------------------------------------------------------------------------------------------------


def read_token(tsr: bytes) -> Token:
    """Read an answer of an authority; raises TimestampError where it is none, or was refused."""
    if len(tsr) > LARGEST_TOKEN:
        raise TimestampError("it is larger than any answer of an authority")
    with _reading("it is no answer of a time-stamping authority"):
        library = _load("asn1crypto.tsp")
        # A refusal has no token, without which asn1crypto reads no answer: so its first part is read by itself.
        status = library.PKIStatusInfo.load(_load("asn1crypto.parser").parse(tsr, strict=True)[4])
        if status["status"].native != GRANTED:
            words = "; ".join(status["status_string"].native or ()) or ", ".join(sorted(status["fail_info"].native or ()))
            raise TimestampError(f"the authority refused it: {show(status['status'].native)} {show(words)}".strip())
        answer = library.TimeStampResp.load(tsr, strict=True)
        content = answer["time_stamp_token"]["content"]
        (signer,) = content["signer_infos"]
        if content["encap_content_info"]["content_type"].native != "tst_info" or signer["sid"].name != "issuer_and_serial_number":
            raise TimestampError("it is no time stamp")
        choices = {one.chosen.dump(): one.chosen for one in content["certificates"]}
        own = _find_signer(choices.values(), signer["sid"].chosen)
        ders = tuple(dict.fromkeys((own.dump(), *choices)))
        return Token(content["encap_content_info"]["content"].parsed, own, signer["signed_attrs"], ders, _sort_certificates(tsr))


def _sort_certificates(tsr: bytes) -> bytes:
    """Return an answer with its certificates in the order that DER demands of a SET; no signature covers them.

    rfc3161-client takes no other order, and OpenSSL's own authority keeps to none.
    """
    # Read anew: an object of which more was looked at takes a second to write.
    answer = _load("asn1crypto.tsp").TimeStampResp.load(tsr)
    content = answer["time_stamp_token"]["content"]
    certificates = [(one.dump(), one) for one in content["certificates"]]
    ordered = sorted(certificates, key=lambda pair: pair[0])
    if ordered == certificates:
        return tsr
    content["certificates"] = [one for _, one in ordered]
    return bytes(answer.dump())


def _find_signer(certificates: Iterable[Any], sid: Any) -> Any:
    for certificate in certificates:
        if certificate.issuer == sid["issuer"] and certificate.serial_number == sid["serial_number"].native:
            return certificate
    raise TimestampError("the certificate of its authority is missing in it")


def _check_imprint(token: Token, digest: bytes) -> None:
    with _reading("it is no time stamp"):
        imprint = token.info["message_imprint"]
        kind, hashed = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        version = token.info["version"].native
    if version != "v1" or kind != "sha256":
        raise TimestampError("it is over another kind of hash than SHA-256")
    if hashed != digest:
        raise TimestampError("it is over other data: their SHA-256 is another")


def _check_signer(token: Token) -> None:
    """Check what rfc3161-client does not: the purposes of the certificate, and that it is the one that was meant."""
    with _reading("the certificate of its authority cannot be read"):
        signer, tsa = token.signer, token.info["tsa"].native and token.info["tsa"].chosen
        purposes = list(signer.extended_key_usage_value.native) if signer.extended_key_usage_value else []
        usages = set(signer.key_usage_value.native) if signer.key_usage_value else SIGNING_USAGES
        is_critical = "extended_key_usage" in signer.critical_extensions
        validity = signer["tbs_certificate"]["validity"]
        first, last = validity["not_before"].native, validity["not_after"].native
        time, names = token.info["gen_time"].native, [signer.subject, *_list_names(signer)]
        is_meant = _is_meant(token)
    if purposes != [TSA_PURPOSE] or not is_critical or not usages or not usages <= SIGNING_USAGES:
        raise TimestampError("the certificate of its authority is not one for time stamps")
    if not first <= time <= last:
        raise TimestampError(f"the certificate of its authority was not valid then, {format_time(time)}")
    if tsa is not None and not any(tsa == name for name in names):
        raise TimestampError("it names another authority than its certificate")
    if not is_meant:
        raise TimestampError("it was signed with another certificate than the one that is with it")


def _list_names(certificate: Any) -> Iterator[Any]:
    for name in certificate.subject_alt_name_value or ():
        yield name.chosen


def _is_meant(token: Token) -> bool:
    """True if the signed attributes hold the hash of the certificate (ESSCertID; RFC 3161, 2.4.2, and RFC 5816)."""
    certificate, found = token.signer.dump(), []
    for attribute in token.signed:
        kind = attribute["type"].native
        if kind in ("signing_certificate", "signing_certificate_v2"):
            entry = attribute["values"][0]["certs"][0]
            name = entry["hash_algorithm"]["algorithm"].native if kind.endswith("v2") else "sha1"
            hashed = hashlib.new(name, certificate, usedforsecurity=False).digest()
            found.append(entry["cert_hash"].native == hashed)
    return bool(found) and all(found)


# --- packages --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(fault: str) -> Iterator[None]:
    """Raise TimestampError for whatever asn1crypto raises for a stranger's bytes."""
    try:
        yield
    except EvidenceError:
        raise
    except Exception as error:
        raise TimestampError(fault) from error


def _load(name: str) -> Any:
    """Return a module of the packages; raises EvidenceError where they are not installed."""
    if any(importlib.util.find_spec(package) is None for package in ("asn1crypto", "rfc3161_client")):
        raise EvidenceError("time stamps need packages that are not installed; pip install 'minewatch[evidence]'")
    return import_module(name)
