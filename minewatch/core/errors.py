"""The errors of minewatch; "no scenes" and "no change" are results, not errors."""

from __future__ import annotations

from typing import Self


class MinewatchError(Exception):
    """Something failed that the user can understand: the message says what, where, and what to do."""

    def detach(self) -> Self:
        """Return the same error without its causes: those of libraries often cannot be sent to another process."""
        alone = type(self)(*self.args)
        vars(alone).update(vars(self))
        return alone


class WorkspaceError(MinewatchError):
    """The folder is no workspace, cannot be written, or is busy."""


class BusyError(WorkspaceError):
    """Another operation holds the lock of the workspace."""


class AoiError(MinewatchError):
    """An area of interest is missing or its file cannot be used."""


class RunRecordError(MinewatchError):
    """The record of a scan is cut off or damaged."""


class PipelineError(MinewatchError):
    """A pipeline file has an unknown key, a value out of range, or is missing."""


class SourceError(MinewatchError):
    """A source of scenes does not exist, is not STAC, or has nothing that can be used."""


class SwitchError(MinewatchError):
    """A scan would read again, from another source, what the archive has."""


class ModelError(MinewatchError):
    """The weights behind the likeness are damaged or gone."""


class SceneError(MinewatchError):
    """One scene cannot be read or was refused; the scan goes on without it."""

    def __init__(self, text: str = "", *, scene_id: str = "") -> None:
        super().__init__(text)
        self.scene_id = scene_id
        """Id of the scene; '' where it is not known."""


class ArchiveError(MinewatchError):
    """A file of the archive is missing or differs from what its item says."""


class PrunedError(ArchiveError):
    """A window needs pruned observations."""


class AlertsError(MinewatchError):
    """The alerts table is locked, damaged, or does not hold what was asked for."""


class MapFileError(MinewatchError):
    """A map file leads elsewhere, has no end, or cannot be read."""


class ContextError(MinewatchError):
    """A context layer is wrongly declared, or its file cannot be used."""


class ExternalAlertError(MinewatchError):
    """A file of another system's alerts cannot be used."""


class ImageError(MinewatchError):
    """The requested image does not exist."""


class ReportError(MinewatchError):
    """A report, or its PDF, cannot be made."""


class ImpactError(MinewatchError):
    """What mining cost the land cannot be computed: an assumption is missing, or an alert does not stand for it."""


class EvidenceError(MinewatchError):
    """Evidence cannot be written, found, signed, packed or read."""


class TimestampError(EvidenceError):
    """A time stamp proves nothing: it is damaged, of other data, or of an authority whose certificates do not hold."""


class PackError(EvidenceError):
    """A ZIP holds what no pack has, and is refused before anything in it is read."""


class ReceiptError(EvidenceError):
    """A pack is refused, since it is not as it was written."""

    def __init__(self, text: str = "", faults: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.faults = faults
        """Lines on what was changed."""


class SimulationError(MinewatchError):
    """The requested simulation cannot be made."""


def describe(error: BaseException) -> str:
    """Return the text of an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__
