"""What one launch has in its own process, beside its request."""

from __future__ import annotations

from hardening.base.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.container.directory import LaunchDirectory
    from hardening.launch.record.recording import Records
    from hardening.launch.request import LaunchRequest
    from hardening.launch.secret.handed import Handed
    from hardening.launch.supervise.cleaning import Cleaning
    from hardening.launch.supervise.run_observer import RunObserver


class LaunchContext(Frozen):
    """``observer`` learns of the run, ``records`` keeps its records. ``cleaning`` is done at its end, or by the cleanup
    process where this process is killed. ``secrets`` are those that were handed over."""

    request: LaunchRequest
    records: Records
    cleaning: Cleaning
    directory: LaunchDirectory
    observer: RunObserver | None = None
    secrets: Handed | None = None
