"""Handing over to the launcher: the process is replaced, so that its pid and its loginuid stay."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from hardening.assemble import bundles, handover
from hardening.assemble.bundle import write
from hardening.base import places, state
from hardening.base.guarded import require_descriptors
from hardening.base.linux.system import signal
from hardening.cli import output
from hardening.cli.options import keeping
from hardening.cli.session import Session, session
from hardening.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, HardeningError, LaunchError, UsageError
from hardening.launch.record import behalf
from hardening.launch.request import LaunchRequest
from hardening.mechanism.fragment import Spec
from hardening.mechanism.runtime import Runtime

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


DEFAULT_RUNTIME = "native"


def complete_runtime(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of runtimes that begin with what was typed."""
    from click.shell_completion import CompletionItem

    try:
        runtimes = session(ctx).plugins.runtimes
    except HardeningError:
        return []
    return [CompletionItem(item.name, help=item.summary) for item in runtimes if item.name.startswith(incomplete)]


runtime_option = click.option(
    "--runtime",
    metavar="NAME",
    default=DEFAULT_RUNTIME,
    show_default=True,
    shell_complete=complete_runtime,
    help="What starts the command: native, crun, runc, or a runtime of a plugin.",
)
fresh_option = click.option(
    "--fresh", is_flag=True, help="Compose and judge anew, and store nothing for the next call."
)
stdin_option = click.option("-i", "--interactive", is_flag=True, help="Leave standard input open.")


receipt_option = click.option(
    "--receipt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the kernel's report of the command to FILE.",
)


_FOLDER = "name a file in a folder that you can write to"


def receipt_file(path: Path | None) -> Path | None:
    """Where a receipt will be written; raises `UsageError` before anything is started where it cannot be."""
    if path is None:
        return None
    target = path.absolute()
    if target.is_dir():
        raise UsageError("a receipt is a file, and this is a directory", origin=path, hint="name a file in it")
    if not target.parent.is_dir():
        raise UsageError("the folder of the receipt does not exist", origin=path, hint=_FOLDER)

    def probe() -> None:
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "the folder of the receipt cannot be written to")
        behalf.require_replaceable(str(target))

    who = None
    try:
        who = behalf.caller()
        behalf.write(probe)
    except OSError as error:
        if who is None:
            raise UsageError(str(error.strerror), origin=path, hint=_FOLDER) from None
        text = f"uid {who[0]}, who calls, cannot write it: {error.strerror}"
        raise UsageError(text, origin=path, hint=behalf.HINT) from None
    return target


def prepare(engine: Runtime) -> Path:
    """Make ready for a launch, before anything of it is written: what launches before have left is taken away. The caller's
    state directory. Raises `LaunchError` where the runtime is not there, or too few files can be opened."""
    from hardening.runs import pruning  # which no dry run asks for

    if engine.version() is None:
        hint = "install it, or choose another with --runtime (`hardening doctor` lists them)"
        raise LaunchError(f"the runtime {engine.name} is not installed", hint=hint)
    require_descriptors()
    place = state.directory()
    output.tell(pruning.prune(place))
    return place


def request(
    context: click.Context,
    engine: Runtime,
    place: Path,
    *,
    interactive: bool,
    receipt: Path | None,
    profiles: Sequence[str] = (),
    sha256: str = "",
    typed: bool = False,
    hints: bool = False,
) -> LaunchRequest:
    """How the parsed command line wants a bundle launched, under a name that no other launch has. ``place`` is the caller's
    state directory. Raises `UsageError` for options that do not go together."""
    if receipt is not None and not engine.writes_receipts:
        hint = "leave it out, or use --runtime native, crun or runc"
        raise UsageError(f"the runtime {engine.name} writes no receipts", origin="--receipt", hint=hint)
    launch = LaunchRequest(
        id=places.new_id(),
        state=str(place),
        stdin=interactive,
        typed=typed,
        hints=hints,
        receipt=str(receipt or ""),
        sha256=sha256,
        profiles=" ".join(profiles),
    )
    return keeping.applied(context, engine, launch)


def writes_in_place(document: dict[str, object]) -> bool:
    """Whether somebody says that the runs may write to the volumes themselves, where no copy stands in for one. Raises
    `NotCopied` where there is nobody to ask."""
    from hardening.why import copies  # which no run needs

    try:
        copies.require_copies(document)
    except copies.NotCopied as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        return click.confirm(f"{error.message}. Let every run write to it?", abort=True, err=True)
    return False


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """For what leaves nothing behind when Ctrl-C ends it: SIGTERM and SIGHUP do as that does, unless they are ignored."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def start_new(here: Session, spec: Spec, bundle: Path, engine: Runtime, launch: LaunchRequest) -> NoReturn:
    """Write a bundle and replace this process by its launcher; on any failure no bundle stays behind."""
    lock = bundles.make(bundle)
    try:
        write(spec, bundle, private=True)
        opened = handover.open_secrets(here.plugins, engine, spec.config)
        hand_over(engine, bundle, launch.changed(secrets=opened), lock, remove=True)
    finally:
        # Only reached where exec did not happen.
        bundles.discard(bundle.parent)


def hand_over(engine: Runtime, bundle: Path, launch: LaunchRequest, lock: int, *, remove: bool) -> NoReturn:
    """Replace this process by the launcher of a bundle that it holds, and that the launcher holds from then on by ``lock``.
    Raises `LaunchError`."""
    os.set_inheritable(lock, True)
    start(engine.command(bundle, launch.changed(lock=lock, remove=remove)))


def start(argv: list[str]) -> NoReturn:
    """Replace this process. Raises `LaunchError`."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        code = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
        raise LaunchError(f"cannot start {argv[0]}: {error.strerror}", exit_code=code) from None
