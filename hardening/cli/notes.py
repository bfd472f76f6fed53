"""What a person must know of a composition, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hardening.assemble.pipeline import Assembly
from hardening.base import state, wholefile
from hardening.cli import output
from hardening.errors import HardeningError
from hardening.launch.cache import LOST

#: What was told once since the host has started, in the state directory, and the most bytes of it.
TOLD, LONGEST_TOLD = "told", 1 << 16
QUIET = (
    "Show no warnings except about rules that are not kept exactly, and do not say what is not enforced or excepted."
)


def of_run(assembly: Assembly, place: Path, *, interactive: bool) -> Iterator[str]:
    """What a person must know of each such run."""
    yield from _of(assembly, place)
    if not interactive and assembly.spec.document.get("process", {}).get("terminal"):
        yield LOST


def losses(assembly: Assembly) -> Iterator[str]:
    """What is said of a quiet run: where it has less than its layers say."""
    if assembly.spec.told:
        from hardening.report.state import warnings

        yield from warnings(assembly.spec.told)


def show_notes(assembly: Assembly, *, quiet: bool = False, reported: bool = False) -> None:
    """What a person must know of every composition, on standard error; where it is ``quiet``, what it has less than its
    layers say. With ``reported``, gaps and findings stand in what was shown already."""
    if quiet:
        for line in losses(assembly):
            output.note(line)
        return
    from hardening.report.state import notes

    for line in notes(assembly.composition) if reported else _of(assembly):
        output.note(line)


def _of(assembly: Assembly, place: Path | None = None) -> Iterator[str]:
    """All notes but for those that are told here: a mechanism that this host has not at all is no matter of one stack."""
    from hardening.report.state import notes, standing

    unsupported = assembly.context.unsupported
    whole = [item for item in unsupported if item.whole]
    if whole:
        _tell_once(place or _state(), standing(whole))
    yield from notes(assembly.composition, [item for item in unsupported if not item.whole], assembly.findings)


def _state() -> Path:
    """The state directory, made where it can be; what cannot be kept there is told again."""
    with suppress(HardeningError):
        return state.directory()
    return state.location()


def _tell_once(place: Path, lines: Iterable[str]) -> None:
    """Write lines but for those that were written since the host has started, which a file of the state directory ``place``
    has. Where that cannot be kept, they are written again."""
    boot, known, file = "", [""], place / TOLD  # of no start
    with suppress(OSError, UnicodeError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        known = wholefile.read(file, LONGEST_TOLD).decode().splitlines()
    told = [boot, *(known[1:] if known[:1] == [boot] else ())]
    new = [line for line in lines if line not in told]
    for line in new:
        output.note(line)
    if new and boot:
        with suppress(OSError, UnicodeError):
            wholefile.write(file, "\n".join([*told, *new]).encode(), 0o600, durable=False)
