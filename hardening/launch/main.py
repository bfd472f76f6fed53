"""The launch stage's command line: ``main(["--stdin", BUNDLE])``.

It is started by the command line of `hardening` with execv(2) and keeps its pid, or goes on in the process that has found a
plan (`hardening.launch.quick`): so the person who typed the command stays the parent and the audit trail (loginuid) is
inherited.
"""

from __future__ import annotations

import sys

from hardening.base import files, places
from hardening.base.frozen import Frozen
from hardening.base.guarded import complain, guarded
from hardening.base.linux.failure import COMMAND, Withdrawn
from hardening.base.linux.system import os
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch.config import bundle
from hardening.launch.container import leases
from hardening.launch.record.recording import Records, who
from hardening.launch.supervise.cleaning import Cleaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.record.recording import Who
    from hardening.launch.secret.handed import Handed
    from hardening.launch.supervise.watchers import Watcher

USAGE = (
    "usage: launch [--stdin] [--remove] [--typed] [--receipt FILE] [--sha256 DIGEST] [--hold DESCRIPTOR] "
    "[--secrets DESCRIPTOR] [--variables DESCRIPTOR] "
    "[--id NAME] [--runtime-command PROGRAM --state DIRECTORY] "
    "[--record DIRECTORY [--name NAME] [--profiles TEXT] [--detach [--auto-remove] [--log-size BYTES]]] BUNDLE"
)
LOG_SIZE = 16 * 1024 * 1024  # bytes


class Arguments(Frozen):
    """The parsed command line. ``runtime_command`` '' means the native launcher.

    ``sha256`` is the digest of the `config.json` that was checked, '' for any. ``identity`` names the launch, '' for a name
    that is made up, and ``state`` is a directory for the state of another runtime. ``record`` is the directory in which the
    container is written down, '' for nowhere; its last part is the container's id.
    ``typed`` says that somebody has typed the command, who knows of no configuration that could be wrong about it.
    ``hold`` is a descriptor to keep open for as long as the stage lives, -1 for none: its lock says that the bundle is used.
    ``secrets`` is the one with the values of the secrets that the bundle names (`hardening.launch.secret.handed`),
    ``variables`` the one with those of the variables of which it has names alone
    (`hardening.launch.config.variables`), -1 for none."""

    bundle: str
    keep_stdin: bool
    remove: bool
    receipt: str
    sha256: str
    runtime_command: str
    identity: str
    state: str
    hold: int = -1
    secrets: int = -1
    variables: int = -1
    record: str = ""
    name: str = ""
    profiles: str = ""
    detach: bool = False
    auto_remove: bool = False
    log_size: int = LOG_SIZE
    typed: bool = False


def parse(argv: list[str]) -> Arguments:
    """Read the arguments; `LaunchError` for anything else."""
    values = {"--receipt": "", "--sha256": "", "--runtime-command": "", "--id": "", "--state": "", "--hold": ""}
    values |= {"--record": "", "--name": "", "--profiles": "", "--log-size": str(LOG_SIZE), "--secrets": ""}
    values["--variables"] = ""
    flags: set[str] = set()
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in values and rest:
            values[option] = rest.pop(0)
        elif option in ("--stdin", "--remove", "--detach", "--auto-remove", "--typed"):
            flags.add(option)
        else:
            raise LaunchError(f"the launch stage does not know {option!r}", hint=USAGE)
    if len(rest) != 1:
        raise LaunchError("exactly one bundle is needed", hint=USAGE)
    if values["--runtime-command"] and not (values["--id"] and values["--state"]):
        raise LaunchError("another runtime needs --id and --state", hint=USAGE)
    if not values["--record"] and (values["--name"] or "--detach" in flags):
        raise LaunchError("a container that is kept needs --record", hint=USAGE)
    if not (values["--log-size"].isascii() and values["--log-size"].isdigit()):
        raise LaunchError("--log-size is a number of bytes", hint=USAGE)
    return Arguments(
        bundle=rest[0],
        keep_stdin="--stdin" in flags,
        remove="--remove" in flags,
        receipt=files.absolute(values["--receipt"]) if values["--receipt"] else "",
        sha256=values["--sha256"],
        runtime_command=values["--runtime-command"],
        identity=values["--id"],
        state=values["--state"],
        hold=int(values["--hold"]) if values["--hold"].isdecimal() else -1,
        secrets=int(values["--secrets"]) if values["--secrets"].isdecimal() else -1,
        variables=int(values["--variables"]) if values["--variables"].isdecimal() else -1,
        record=values["--record"],
        name=values["--name"],
        profiles=values["--profiles"],
        detach="--detach" in flags,
        auto_remove="--auto-remove" in flags,
        log_size=int(values["--log-size"]),
        typed="--typed" in flags,
    )


def main(argv: list[str] | None = None) -> int:
    """Run a bundle: the command's exit code, or 125, 126, 127 with one message on standard error."""
    return guarded(lambda: launch(parse(sys.argv[1:] if argv is None else argv)))


def is_null(fd: int) -> bool:
    """Whether a descriptor is open on the null device."""
    status = os.fstat(fd)
    return status.st_mode & 0o170000 == 0o020000 and status.st_rdev == os.makedev(1, 3)


def launch(arguments: Arguments, loaded: bundle.Bundle | None = None, confirm: Callable[[], None] | None = None) -> int:
    """Run in the foreground, written down while it runs, or detach: the exit code. Records name the caller of this process,
    whatever becomes of it. ``loaded`` is the bundle where it has been read and checked already. A native run in the
    foreground calls ``confirm`` before the command can run, and before anything is recorded; what it raises is the end."""
    for kept in (arguments.hold, arguments.secrets, arguments.variables):
        if kept >= 0:
            os.set_inheritable(kept, False)
    caller = who()

    def run(arguments: Arguments, watcher: Watcher | None) -> int:
        return run_bundle(arguments, watcher, caller, loaded, confirm)

    if arguments.detach:
        from hardening.launch.container import detached

        return detached.run(arguments, run)
    if not arguments.record:
        return run(arguments, None)
    from hardening.launch.supervise.watchers import Attached

    watcher = Attached(arguments)
    code = EXIT_LAUNCHER
    try:
        code = run(arguments, watcher)
    finally:
        watcher.end(code)
    return code


def run_bundle(
    arguments: Arguments,
    watcher: Watcher | None,
    caller: Who,
    loaded: bundle.Bundle | None = None,
    confirm: Callable[[], None] | None = None,
) -> int:
    """Run, and leave records of it."""
    runtime = files.base(arguments.runtime_command) or "native"
    records = Records(arguments.identity, runtime, caller)
    try:
        code = _run_bundle(arguments, watcher, records, loaded, confirm)
        _keep(records, code, "")
        return code
    except Withdrawn:
        raise
    except (HardeningError, OSError, MemoryError) as error:
        if confirm is not None:  # of a plan that does not count nothing is to be expected
            confirm()
        if arguments.typed and isinstance(error, HardeningError) and error.origin == COMMAND:
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
    arguments: Arguments,
    watcher: Watcher | None,
    records: Records,
    loaded: bundle.Bundle | None,
    confirm: Callable[[], None] | None,
) -> int:
    """Take the leases, run, and clean up as asked."""
    cleaning = Cleaning(arguments, watcher, records)
    try:
        cleaning.lock()
        loaded = loaded or bundle.load(arguments.bundle, arguments.sha256)
        if arguments.variables >= 0:
            from hardening.launch.config import variables

            variables.fill(loaded.document, variables.take(arguments.variables))
        records.take(loaded)
        records.claim()
        cleaning.hold(_leases(arguments, loaded))
        secrets = _secrets(arguments, loaded)
        if watcher is not None:
            watcher.guarded = cleaning.takes_bundle or bool(arguments.runtime_command)
            watcher.cleaning = cleaning
            watcher.prepare(loaded.document)
        # The host's null device is nobody's input, and crun would give it to the container's user (fchown(2)).
        keep_stdin = arguments.keep_stdin and not is_null(0)
        if arguments.runtime_command:
            from hardening.launch.oci import external

            bundle.check_filter(loaded)
            records.prepare()
            other = external.Options(
                program=arguments.runtime_command,
                identity=arguments.identity,
                state=arguments.state,
                keep_stdin=keep_stdin,
                receipt=arguments.receipt,
                watcher=watcher,
                records=records,
                cleaning=cleaning,
                secrets=secrets,
            )
            return external.run(loaded, other)
        from hardening.launch.native import native

        options = native.Options(
            keep_stdin=keep_stdin,
            receipt=arguments.receipt,
            watcher=watcher,
            records=records,
            cleaning=cleaning,
            secrets=secrets,
            confirm=confirm,
        )
        return native.run(loaded, options)
    finally:
        cleaning.finish()
        cleaning.release()


def _secrets(arguments: Arguments, loaded: bundle.Bundle) -> Handed | None:
    """The secrets that a bundle names. `LaunchError` unless it is these that were handed over."""
    annotations = loaded.document.get("annotations") if isinstance(loaded.document, dict) else None
    if arguments.secrets < 0 and not (isinstance(annotations, dict) and bundle.SECRETS in annotations):
        return None
    from hardening.launch.secret import handed

    return handed.handed(loaded.document, arguments.secrets)


def _leases(arguments: Arguments, loaded: bundle.Bundle) -> tuple[str, ...]:
    """The lease files of a bundle. `LaunchError` where one is not in the caller's state directory."""
    origin = files.join(loaded.directory, "config.json")
    names = leases.paths(loaded.document, origin)
    if names:
        # What the caller's variables say counts from a working directory that a stage in the background has left.
        record = files.parent(files.parent(arguments.record))
        state = record if arguments.record else places.state(files.environment(), os.geteuid())
        leases.require_ours(names, state, origin)
    return names
