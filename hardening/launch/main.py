"""The launcher, whose only argument is a `LaunchRequest`.

It is started by the command line of `hardening` with execv(2) and keeps its pid, or goes on in the process that has found
an entry of the cache (`hardening.launch.quick`): so the person who typed the command stays the parent and the audit trail
(loginuid) is inherited.
"""

from __future__ import annotations

import sys

from hardening.base import files, places
from hardening.base.guarded import complain, guarded
from hardening.base.linux.failure import COMMAND
from hardening.base.linux.system import os
from hardening.base.pointer import table
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch.config import bundle
from hardening.launch.container.directory import BUNDLE, LaunchDirectory
from hardening.launch.context import LaunchContext
from hardening.launch.record.recording import Records, who
from hardening.launch.request import from_json
from hardening.launch.supervise.cleaning import Cleaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.record.record import Who
    from hardening.launch.request import LaunchRequest
    from hardening.launch.secret.handed import Handed
    from hardening.launch.supervise.run_observer import RunObserver


def main(text: str | None = None) -> int:
    """Launch as a request says (`LaunchRequest.to_json`; None: the last argument): the command's exit code, or 125, 126, 127
    with one message on standard error."""
    return guarded(lambda: launch(from_json(sys.argv[-1] if text is None else text)))


def is_null(fd: int) -> bool:
    """Whether a descriptor is open on the null device."""
    status = os.fstat(fd)
    return status.st_mode & 0o170000 == 0o020000 and status.st_rdev == os.makedev(1, 3)


def launch(request: LaunchRequest, loaded: bundle.Bundle | None = None) -> int:
    """Run in the foreground, written down while it runs, or detach: the exit code. Records name the caller of this process,
    whatever becomes of it. ``loaded`` is the bundle where it has been read and checked already."""
    for kept in (request.lock, request.secrets, request.variables, request.tracer):
        if kept >= 0:
            os.set_inheritable(kept, False)
    if request.tracer >= 0 and (request.receipt or request.runtime or request.detach):
        # A process has one tracer, which a receipt is made by, and no other runtime waits for one.
        raise LaunchError("only a native launch in the foreground is traced, and without a receipt")
    # The host's null device is nobody's input, and crun would give it to the container's user (fchown(2)).
    if request.stdin and is_null(0):
        request = request.changed(stdin=False)
    caller = who()

    has_bundle = request.bundle == f"{request.directory}/{BUNDLE}"
    directory = LaunchDirectory(request.directory, request.lock if has_bundle else -1)

    def run(observer: RunObserver | None) -> int:
        return run_bundle(request, directory, observer, caller, loaded)

    if request.detach:
        from hardening.launch.container import detached

        return detached.run(request, directory, run)
    if not request.state:
        return run(None)
    from hardening.launch.supervise.run_observer import Attached

    observer = Attached(request, directory)
    code = EXIT_LAUNCHER
    try:
        code = run(observer)
    finally:
        observer.end(code)
    return code


def run_bundle(
    request: LaunchRequest,
    directory: LaunchDirectory,
    observer: RunObserver | None,
    caller: Who,
    loaded: bundle.Bundle | None = None,
) -> int:
    """Run, and leave records of it."""
    records = Records(request.id, request.runtime_name, caller)
    try:
        code = _run_bundle(request, directory, observer, records, loaded)
        _keep(records, code, "")
        return code
    except (HardeningError, OSError, MemoryError) as error:
        if request.typed and isinstance(error, HardeningError) and error.origin == COMMAND:
            error.origin = None
        code = error.exit_code if isinstance(error, LaunchError) else EXIT_LAUNCHER
        _keep(records, code, str(error) or "out of memory")
        raise
    finally:
        records.close()


def _keep(records: Records, code: int, error: str) -> None:
    """Record the end. Where that cannot be, it is said; the exit code is the command's all the same."""
    try:
        records.over(code, error)
    except OSError as problem:
        complain(f"{problem.filename}: {problem.strerror}")


def _run_bundle(
    request: LaunchRequest,
    directory: LaunchDirectory,
    observer: RunObserver | None,
    records: Records,
    loaded: bundle.Bundle | None,
) -> int:
    """Take the leases, run, and clean up as asked."""
    cleaning = Cleaning(request, observer.abandon if observer is not None else None, records)
    try:
        loaded = loaded or bundle.load(request.bundle, request.sha256)
        if request.variables >= 0:
            from hardening.launch.config import variables

            variables.fill(loaded.document, *variables.take(request.variables))
        records.take(loaded)
        records.claim()
        cleaning.hold(_leases(request, loaded))
        context = LaunchContext(
            request=request,
            records=records,
            cleaning=cleaning,
            directory=directory,
            observer=observer,
            secrets=_secrets(request, loaded),
        )
        if observer is not None:
            observer.guarded = cleaning.takes_bundle or bool(request.runtime)
            observer.cleaning = cleaning
            observer.prepare(loaded.document)
        if request.runtime:
            from hardening.launch.oci import external

            bundle.check_filter(loaded)
            records.prepare()
            return external.run(loaded, context)
        from hardening.launch.native import native

        return native.run(loaded, context)
    finally:
        cleaning.finish()
        cleaning.release()


def _secrets(request: LaunchRequest, loaded: bundle.Bundle) -> Handed | None:
    """The secrets that a bundle names. `LaunchError` unless it is these that were handed over."""
    if request.secrets < 0 and bundle.SECRETS not in table(loaded.document, "/annotations"):
        return None
    from hardening.launch.secret import handed

    return handed.handed(loaded.document, request.secrets)


def _leases(request: LaunchRequest, loaded: bundle.Bundle) -> tuple[str, ...]:
    """The lease files of a bundle. `LaunchError` where one is not in the caller's state directory."""
    if bundle.LEASES not in table(loaded.document, "/annotations"):
        return ()
    from hardening.launch.container import leases

    origin = files.join(loaded.directory, "config.json")
    names = leases.paths(loaded.document, origin)
    # What the caller's variables say counts from a working directory that a launcher in the background has left.
    state = request.state or places.state(files.environment(), os.geteuid())
    leases.require_ours(names, state, origin)
    return names
