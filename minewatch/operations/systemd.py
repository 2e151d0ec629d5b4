"""Files that let the system start the watch: units for systemd, a line for cron.  Nothing is started here."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import WorkspaceError
from minewatch.core.workspace import Workspace, check_name
from minewatch.operations.heartbeat import find_heartbeat
from minewatch.settings.cron import EVERY_MINUTES
from minewatch.settings.document import read_settings

SYSTEM_UNITS, USER_UNITS = Path("/etc/systemd/system"), Path("~/.config/systemd/user")
"""Where units belong."""

SYSTEM_SECRETS, USER_SECRETS = Path("/etc/minewatch"), Path("~/.config/minewatch")
"""Where the files with environment variables belong."""

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  named, so that a workspace in them is not hidden from its service
"""A system service gets private ones, unless the workspace is inside."""

HARDENING = """\
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictNamespaces=yes
SystemCallArchitectures=native
"""
"""For every service; needs no privileges."""

SYSTEM_HARDENING = """\
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp={private}
CacheDirectory={name}
Environment=XDG_CACHE_HOME=%C/{name} MPLCONFIGDIR=%C/{name} NUMBA_CACHE_DIR=%C/{name}
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
CapabilityBoundingSet=
"""
"""For a system service; a user's own manager cannot apply these."""

SERVICE = """\
# Written by minewatch schedule install; made anew by the same command.
[Unit]
Description=minewatch: scan what is due in {title}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
{user}# Secrets, one NAME=VALUE a line, mode 0600; the file may be missing.
EnvironmentFile=-{secrets}
# 3: done, but something needs attention; minewatch status says what.  143: stopped; the next one goes on from there.
SuccessExitStatus=3 143
TimeoutStartSec=24h
TimeoutStopSec=2min
UMask=0077
Nice=10
{hardening}"""

TIMER = """\
# Written by minewatch schedule install; made anew by the same command.
[Unit]
Description=minewatch: check every {every} minutes what is due in {title}

[Timer]
# minewatch.toml sets what is due when; this is how often that is checked, and how often waiting messages are tried.
OnCalendar={calendar}
# After downtime it starts at once, and scans what was missed, once.
Persistent=true
RandomizedDelaySec=60
AccuracySec=30

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Installation:
    """Files that let the system start the watch, and what to do with them."""

    files: dict[Path, str]
    """Path to text."""

    steps: tuple[str, ...]
    """Commands to run, in their order."""

    secrets: Path | None
    """The file for environment variables."""

    variables: tuple[str, ...]
    """Environment variables that the settings name."""


@dataclass(frozen=True)
class UnitOptions:
    """Options of the installation."""

    user: bool = False
    """For this person's own service manager, in place of the system's."""

    folder: Path | None = None
    """Where the files go; None = where they belong."""

    name: str | None = None
    """Of the units; None = after the workspace's folder."""

    every: int = EVERY_MINUTES
    """Minutes."""


def make_units(workspace: Workspace, options: UnitOptions) -> Installation:
    """Make a service and its timer; raises WorkspaceError where a path cannot stand in a unit."""
    name = check_name("units", options.name) if options.name else name_units(workspace)
    root = check_path(workspace.root)
    secrets = (USER_SECRETS if options.user else SYSTEM_SECRETS).expanduser() / f"{name}.env"
    folder = (options.folder or (USER_UNITS if options.user else SYSTEM_UNITS)).expanduser()
    command = " ".join(quote_word(word) for word in make_command(workspace))
    hardening = HARDENING + ("" if options.user else _harden(list_writable(workspace), name))
    service = SERVICE.format(
        title=escape_percent(root),
        command=command.replace("$", "$$"),
        user="" if options.user else f"User={find_owner(workspace.root)}\n",
        secrets=escape_percent(check_path(secrets)),
        hardening=hardening,
    )
    calendar = f"*:0/{options.every}" if options.every < 60 else "hourly"
    timer = TIMER.format(title=escape_percent(root), every=options.every, calendar=calendar)
    files = {folder / f"{name}.service": service, folder / f"{name}.timer": timer}
    return Installation(files, _list_steps(options, name, folder), secrets, list_variables(workspace))


def _harden(places: Sequence[Path], name: str) -> str:
    """Return the directives that let a system service write into these folders only."""
    temporary = [folder for folder in TEMPORARY if any(folder in place.parents for place in places)]
    writable = " ".join(quote_word(check_path(place)) for place in (*places, *temporary))
    return SYSTEM_HARDENING.format(writable=writable, name=name, private="no" if temporary else "yes")


def _list_steps(options: UnitOptions, name: str, folder: Path) -> tuple[str, ...]:
    sudo, flag = ("", " --user") if options.user else ("sudo ", "")
    home = (USER_UNITS if options.user else SYSTEM_UNITS).expanduser()
    files = f"{shlex.quote(str(folder / name))}.service {shlex.quote(str(folder / name))}.timer"
    steps = [] if folder == home else [f"{sudo}install -D -m 644 -t {home} {files}"]
    steps += [f"{sudo}systemctl{flag} daemon-reload", f"{sudo}systemctl{flag} enable --now {name}.timer"]
    return (*steps, *(["loginctl enable-linger  # so that it keeps running when nobody is logged in"] if options.user else []))


def make_crontab(workspace: Workspace, options: UnitOptions) -> Installation:
    """Make a line for a person's crontab; raises WorkspaceError where a path cannot stand in one."""
    name = check_name("units", options.name) if options.name else name_units(workspace)
    check_path(workspace.root)
    folder = options.folder or workspace.timers
    secrets = USER_SECRETS.expanduser() / f"{name}.env"
    quoted = shlex.quote(check_path(secrets))
    lock = shlex.quote(str(workspace.cron_lock))
    command = f"set -a; [ -r {quoted} ] && . {quoted}; set +a; flock -n {lock} {shlex.join(make_command(workspace))}"
    minutes = f"*/{options.every}" if options.every < 60 else "0"
    text = (
        f"# minewatch in {workspace.root}: checks every {options.every} minutes what is due; minewatch.toml sets when.\n"
        "# What it prints is mailed by cron (MAILTO); it prints nothing where nothing was due.\n"
        f"{minutes} * * * * {command.replace('%', chr(92) + '%')}\n"
    )
    path = folder / f"{name}.crontab"
    steps = (f"(crontab -l 2>/dev/null; cat {shlex.quote(str(path))}) | crontab -",)
    return Installation({path: text}, steps, secrets, list_variables(workspace))


def make_command(workspace: Workspace) -> list[str]:
    """Return the command that the system runs; -P keeps Python from importing modules from the current folder."""
    return [sys.executable, "-P", "-m", "minewatch", "-w", str(workspace.root), "watch", "--once"]


def name_units(workspace: Workspace) -> str:
    """Return a name for the units, from the workspace's folder."""
    stem = re.sub(r"[^a-z0-9]+", "-", workspace.root.name.lower()).strip("-")[:40]
    return f"minewatch-{stem}" if stem else "minewatch"


def list_writable(workspace: Workspace) -> list[Path]:
    """Return the existing folders on a disk that scans write into; a missing one would stop the service."""
    output = workspace.root / "output"
    heartbeat = find_heartbeat(workspace, read_settings(workspace).watch).parent
    places = [output if output.is_dir() else workspace.root, workspace.archives, workspace.change_maps, heartbeat]
    paths = [place.absolute() for place in places if isinstance(place, Path)]
    return list(dict.fromkeys(path for path in paths if path.is_dir() and not any(other in path.parents for other in paths)))


def find_owner(folder: Path) -> str:
    """Return the user who owns a folder, as whom the service runs."""
    try:
        return folder.owner()
    except KeyError:
        return str(folder.stat().st_uid)


def list_variables(workspace: Workspace) -> tuple[str, ...]:
    """Return the environment variables that the settings name."""
    found: dict[str, None] = {}

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if str(name).endswith("_variable") and isinstance(inner, str) and inner:
                    found[inner] = None
                collect(inner)

    collect(read_settings(workspace).model_dump())
    return tuple(found)


def check_path(path: Path) -> str:
    """Return a path as text; raises WorkspaceError where a unit or a crontab cannot hold it."""
    text = str(path)
    if not text.isprintable():
        raise WorkspaceError(f"{text!r} has characters that cannot be used in a unit or a crontab; move the workspace")
    return text


def quote_word(text: str) -> str:
    """Quote a word for a unit (systemd.syntax(7))."""
    text = escape_percent(text)
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escape_percent(text: str) -> str:
    """Escape the specifiers of units in a text."""
    return text.replace("%", "%%")
