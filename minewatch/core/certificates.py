"""Whose certificates are trusted: those of the machine, or of the files that the environment names.

Every request of minewatch goes by these, and the libraries that send requests of their own are told by
:func:`share_network_settings`.
"""

from __future__ import annotations

import atexit
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

import certifi

OWN_VARIABLE = "MINEWATCH_CA_BUNDLE"
"""Environment variable with a file (PEM) or folder of certificates that are trusted besides all others."""

COMMON_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Those that requests, curl and OpenSSL read: their files are trusted in place of those of the machine.  Where several are
set, all count, since each of these programs reads another one."""


class CertificateError(OSError):
    """An environment variable names no file of certificates; the message says which."""


def name_certificates() -> tuple[str, ...]:
    """Return the files and folders of certificates that the environment names, each once; () = those of the machine.

    Raises CertificateError where one is not there.
    """
    found: dict[str, None] = {}
    for variable in (OWN_VARIABLE, *COMMON_VARIABLES):
        path = os.environ.get(variable, "").strip()
        if path and not Path(path).exists():
            raise CertificateError(f"{variable} names {path}, which is not there; name a file of certificates, or unset it")
        if path:
            found[path] = None
    return tuple(found)


def load_certificates(context: ssl.SSLContext, named: tuple[str, ...]) -> None:
    """Let a context trust the named files and folders, and those of the machine unless a common variable replaces them.

    Raises CertificateError.
    """
    if not _is_replaced():
        context.load_default_certs()
        context.load_verify_locations(cafile=certifi.where())  # a container may have none of its own
    for path in named:
        try:
            is_folder = Path(path).is_dir()
            context.load_verify_locations(cafile=None if is_folder else path, capath=path if is_folder else None)
        except (ssl.SSLError, OSError):
            variable = next(name for name in (OWN_VARIABLE, *COMMON_VARIABLES) if os.environ.get(name, "").strip() == path)
            raise CertificateError(f"{variable} names {path}, which holds no certificates (PEM)") from None


def find_ca_bundle() -> str:
    """Return one file with all certificates that are trusted, for other libraries; '' where the environment names none.

    Raises CertificateError.
    """
    files = [path for path in name_certificates() if Path(path).is_file()]
    if files and not _is_replaced():
        files += [path for path in (certifi.where(), ssl.get_default_verify_paths().cafile) if path]
    return files[0] if len(files) == 1 else _join(tuple(files)) if files else ""


def share_network_settings() -> None:
    """Tell libraries that send requests of their own: the bundle in force, and the proxy under the name that GDAL reads.

    For a program, whose environment is its own.
    """
    if (proxy := os.environ.get("HTTP_PROXY")) and not os.environ.get("http_proxy"):
        os.environ["http_proxy"] = proxy
    try:
        bundle = find_ca_bundle()
    except CertificateError:  # said by the first request
        return
    for variable in COMMON_VARIABLES if bundle else ():
        os.environ[variable] = bundle


def _is_replaced() -> bool:
    return any(os.environ.get(variable, "").strip() for variable in COMMON_VARIABLES)


@cache
def _join(files: tuple[str, ...]) -> str:
    """Return a temporary file with the certificates of several, which is deleted with the process."""
    handle, name = tempfile.mkstemp(prefix="minewatch-certificates-", suffix=".pem")
    with os.fdopen(handle, "wb") as joined:
        for path in files:
            joined.write(Path(path).read_bytes() + b"\n")
    atexit.register(_delete, name, os.getpid())
    return name


def _delete(name: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child ends earlier
        Path(name).unlink(missing_ok=True)
