"""Reads and writes files on a disk or in an object store; every write is atomic.

Everything below ``output/`` is confidential (coordinates of a case): files have mode 0600, folders 0700.  Access to an
object store is controlled by the store itself.  Its credentials and endpoint come only from the environment and never
appear in an error.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from minewatch.core.errors import WorkspaceError
from minewatch.core.file_lock import NoLocksError, lock_handle
from minewatch.core.plain_file import NotPlainError, check_folder, open_plain, open_plain_handle
from minewatch.core.temp_files import TEMPORARY_PREFIX, clean_stale, make_temp_name
from minewatch.core.text import render_json

if TYPE_CHECKING:
    from upath import UPath

T = TypeVar("T")

AnyPath: TypeAlias = "Path | UPath"
"""A file or folder: Path on a disk, UPath in an object store."""

STORE_OPTIONS: Mapping[str, Any] = {
    "use_listings_cache": False,  # this process must see files that workers write
    "config_kwargs": {"max_pool_connections": 32, "connect_timeout": 15},
}
"""For the S3 client; everything else comes from the environment."""

LARGEST_GAP = 16 * 2**10
"""The largest gap, in bytes, that is read to join two requests."""

_BUCKET = re.compile(r"s3://[\w.-]+(/.*)?", re.DOTALL)

STORE_LIBRARIES = ("botocore", "aiobotocore", "aiohttp")

STORE_ERRORS = {
    "NoCredentialsError": "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "PermissionError": "access is denied; check the credentials in the environment, and what they may do in the bucket",
    "FileNotFoundError": "there is no such bucket; make it first, or check the name",
    "EndpointConnectionError": "there is no connection; check AWS_ENDPOINT_URL and the network",
    "ConnectTimeoutError": "there is no connection; check AWS_ENDPOINT_URL and the network",
}
"""Exception name to what it means for the user."""

DISK_ERRORS: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full; free some room, for instance with minewatch prune",
    errno.EDQUOT: "the quota of this user is used up; free some room, for instance with minewatch prune",
    errno.EFBIG: "files may not grow so large here; lift the limit (ulimit -f)",
    errno.EROFS: "the disk is read-only; make it writable",
    errno.EACCES: "permission is denied; check the owner and the permissions",
    errno.EPERM: "this is not permitted; check the owner and the permissions",
    errno.EIO: "the disk fails; check its health",
}
"""Error number of the system to what it means for the user."""

SMALL_FILE_BYTES = 2**16
"""Free space below which a disk counts as full."""

# --- where -----------------------------------------------------------------------------------------------------------


def parse_path(text: str, root: Path) -> AnyPath:
    """Return the path that a setting names: ``s3://bucket/prefix``, or a folder relative to ``root``.

    Raises WorkspaceError where it cannot be used; the message leaves the text out, since it may hold secrets.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return root / Path(text).expanduser()
    if scheme != "s3":
        raise WorkspaceError("an address of this kind cannot be used; give a folder, or s3://bucket/prefix")
    if not _BUCKET.fullmatch(text):
        raise WorkspaceError("the address names no bucket, or more than one; give s3://bucket/prefix and nothing else")
    if importlib.util.find_spec("s3fs") is None:
        raise WorkspaceError("s3:// needs a package that is not installed; pip install 'minewatch[s3]'")
    from upath import UPath  # noqa: PLC0415  its file systems take a quarter of a second to load

    path: UPath = UPath(text.rstrip("/"), **STORE_OPTIONS)
    return path


@contextlib.contextmanager
def wrap_store_errors(path: AnyPath) -> Iterator[None]:
    """Raise WorkspaceError, with a one-line message, for errors of an object store; errors of a disk pass unchanged.

    The client's message is left out: it may hold addresses and account names.
    """
    try:
        yield
    except Exception as error:
        is_from_store = isinstance(error, OSError) or type(error).__module__.split(".")[0] in STORE_LIBRARIES
        if isinstance(path, Path) or not is_from_store:
            raise
        raise make_store_error(path, error) from error


def make_store_error(path: AnyPath, error: Exception) -> WorkspaceError:
    """Return the error that says why an object store cannot be used."""
    kind = type(error).__name__
    return WorkspaceError(f"cannot use {path}: {STORE_ERRORS.get(kind, f'the store answered with {kind}; try again later')}")


def check_writable(folder: AnyPath) -> None:
    """Write and delete a small file in an object store before hours of work depend on it; does nothing for a disk.

    Raises WorkspaceError where that fails.
    """
    if isinstance(folder, Path):
        return
    probe = folder / f"{TEMPORARY_PREFIX}check"
    with wrap_store_errors(folder):
        probe.fs.pipe_file(probe.path, b"")
        with contextlib.suppress(PermissionError):  # minewatch itself never has to delete results
            probe.fs.rm_file(probe.path)


@contextlib.contextmanager
def wrap_disk_errors() -> Iterator[None]:
    """Raise WorkspaceError, with a one-line message, for an OSError of a disk."""
    try:
        yield
    except NotPlainError as error:
        text = f"cannot use {error.filename}: {error.strerror}; delete it, or put a plain file in its place"
        raise WorkspaceError(text) from error
    except NoLocksError as error:
        raise WorkspaceError(f"cannot lock {error.filename}: {error.strerror}") from error
    except OSError as error:
        if (reason := DISK_ERRORS.get(error.errno or 0)) is None:
            raise
        where = f" {error.filename}" if error.filename else ""
        raise WorkspaceError(
            f"cannot write{where}: {reason}, and run the same command again; what was finished is kept"
        ) from error


def is_full(folder: Path) -> bool:
    """True if a disk has no room for another small file."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < SMALL_FILE_BYTES
    return False


# --- writing ---------------------------------------------------------------------------------------------------------


def make_private_folder(folder: Path) -> Path:
    """Create ``folder`` and its missing parents with mode 0700.

    Raises WorkspaceError where that is not allowed, or where a link in the workspace leads out of it.
    """
    check_folder(folder)
    try:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"cannot make the folder {folder}: {error.strerror}; check its permissions") from error
    return folder


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` and rename it to ``path`` when the block succeeds.

    The file is flushed to disk before the rename, so a crash leaves the old file or the complete new one.
    """
    make_private_folder(path.parent)
    clean_stale(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=make_temp_name(), suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        temporary.chmod(0o600)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_private(path: Path | str, data: bytes) -> None:
    """Write a new file of mode 0600 into a folder of one's own that is renamed when it is whole; it is not synced."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while data:
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a local file; they are on the disk when this returns.

    Writers wait for each other.  A line that an earlier crash left incomplete is terminated first.  Raises OSError, also
    where the file is a link or no plain file, and WorkspaceError where the folder cannot be used.
    """
    make_private_folder(path.parent)
    handle = open_plain_handle(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        lock_handle(handle, path)
        size = os.fstat(handle).st_size
        is_incomplete = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" * is_incomplete + "".join(f"{line}\n" for line in lines).encode("utf-8")
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    sync(path.parent)


def read_lines(path: Path, parse: Callable[[Any], T]) -> tuple[list[T], tuple[int, ...]]:
    """Read a file of JSON lines: the parsed records, and the numbers of the lines that ``parse`` rejects.

    Both are empty where there is no file.  Raises OSError where it cannot be read.
    """
    records: list[T] = []
    damaged = []
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError), open_plain(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                records.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(number)
    return records, tuple(damaged)


def publish_bytes(path: AnyPath, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    if isinstance(path, Path):
        with publishing(path) as temporary:
            temporary.write_bytes(data)
        return
    with wrap_store_errors(path):
        path.fs.pipe_file(path.path, data)


def publish_json(path: AnyPath, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically."""
    publish_bytes(path, (render_json(value) + "\n").encode())


def upload(files: Mapping[Path, UPath]) -> None:
    """Copy local files to an object store, concurrently; each write is atomic."""
    targets = list(files.values())
    with wrap_store_errors(targets[0]):
        targets[0].fs.put([str(path) for path in files], [target.path for target in targets])


# --- reading ---------------------------------------------------------------------------------------------------------


def list_names(folder: AnyPath) -> set[str]:
    """Return the names in a folder; empty where there is no such folder."""
    try:
        if isinstance(folder, Path):
            return {path.name for path in folder.iterdir()}
        with wrap_store_errors(folder):
            return {str(name).rsplit("/", 1)[-1] for name in _list_store(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise WorkspaceError(f"cannot read the folder {folder}: {error.strerror}; check its permissions") from error


def _list_store(folder: UPath, *, detail: bool = False) -> list[Any]:
    try:
        names: list[Any] = folder.fs.ls(folder.path, detail=detail, refresh=True)
    except FileNotFoundError:  # a prefix without objects; a missing bucket shows at the first write
        return []
    return names


class Stamp(NamedTuple):
    """Size and version of a file as its folder lists them."""

    size: int
    """Bytes."""

    state: str
    """Changes with the content: size and time of change on a disk, the ETag of an object store."""


def list_stamps(folder: AnyPath) -> dict[str, Stamp]:
    """Return size and state of the files in a folder, by name; empty where there is no such folder."""
    try:
        if isinstance(folder, Path):
            with os.scandir(folder) as entries:
                stats = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
            return {name: Stamp(stat.st_size, f"{stat.st_size} {stat.st_ctime_ns}") for name, stat in stats.items()}
        with wrap_store_errors(folder):
            listed = [found for found in _list_store(folder, detail=True) if found["type"] == "file"]
            return {str(f["name"]).rsplit("/", 1)[-1]: Stamp(int(f["size"]), str(f.get("ETag", ""))) for f in listed}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise WorkspaceError(f"cannot read the folder {folder}: {error.strerror}; check its permissions") from error


def read_files(paths: Sequence[AnyPath]) -> list[bytes]:
    """Read small files, those of an object store concurrently.  Raises OSError for a disk, else WorkspaceError."""
    stored = [path for path in paths if not isinstance(path, Path)]
    found: dict[str, bytes] = {}
    if stored:
        with wrap_store_errors(stored[0]):
            names = [path.path for path in stored]
            found = dict(zip(names, stored[0].fs.cat_ranges(names, None, None, on_error="raise"), strict=True))
    return [path.read_bytes() if isinstance(path, Path) else found[path.path] for path in paths]


def join_ranges(ranges: Iterable[tuple[int, int, T]], longest: float = math.inf) -> list[tuple[int, int, list[T]]]:
    """Join nearby byte ranges of a file, in its order: first byte, byte after the last, and the joined names.

    A joined range is at most ``longest`` bytes long.
    """
    joined: list[tuple[int, int, list[T]]] = []
    for start, stop, name in sorted(ranges):
        if joined and start - joined[-1][1] <= LARGEST_GAP and max(joined[-1][1], stop) - joined[-1][0] <= longest:
            first, end, names = joined[-1]
            names.append(name)
            joined[-1] = first, max(end, stop), names
        else:
            joined.append((start, stop, [name]))
    return joined


def read_ranges(ranges: Sequence[tuple[UPath, int, int]]) -> list[bytes]:
    """Read byte ranges (file, first byte, byte after the last) of an object store concurrently.

    A range is shorter where the file ends, empty where it is missing.  Raises WorkspaceError.
    """
    if not ranges:
        return []
    paths, starts, stops = ([*column] for column in zip(*ranges, strict=True))
    answers = paths[0].fs.cat_ranges([path.path for path in paths], starts, stops, on_error="return")
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, Exception) and not _is_absence(answer):
            raise make_store_error(path, answer) from answer
    return [answer if isinstance(answer, bytes) else b"" for answer in answers]


def _is_absence(error: Exception) -> bool:
    """True if a file is missing or shorter than the range, False if the store fails."""
    # Each store's library has its own error for a range beyond the end, some a plain OSError; all quote the HTTP status text.
    return isinstance(error, FileNotFoundError) or "not satisfiable" in str(error).lower()


def rename(path: AnyPath, target: AnyPath) -> None:
    """Rename a file within its folder, replacing an existing one; raises WorkspaceError where that is not allowed."""
    try:
        if isinstance(path, Path):
            path.replace(str(target))
            return
        with wrap_store_errors(path):
            path.fs.mv(path.path, path.with_name(target.name).path)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error


def delete_files(paths: Iterable[AnyPath]) -> None:
    """Delete files; those that do not exist are ignored."""
    for path in paths:
        if isinstance(path, Path):
            check_folder(path.parent)
            path.unlink(missing_ok=True)
        else:
            with wrap_store_errors(path), contextlib.suppress(FileNotFoundError):
                path.fs.rm_file(path.path)
