"""``hardening check``: what an upgrade will break under a stack, before it runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from hardening.assemble.pipeline import examine
from hardening.base.text import listed
from hardening.cli import answers, fetching, output, start
from hardening.cli.options import imaged, is_typed, stack
from hardening.cli.session import Request, Session, session
from hardening.elf import extra
from hardening.errors import EXIT_FINDINGS, HardeningError, HostError, UsageError
from hardening.images.ids import Ids
from hardening.images.unpacking import child
from hardening.learn import recording, software
from hardening.report import data
from hardening.report.places import shortener
from hardening.report.table import Table
from hardening.upgrade import foretell, look, source
from hardening.upgrade.difference import Difference
from hardening.upgrade.foretell import Breakage, Foretold
from hardening.upgrade.look import Compared
from hardening.why import attempt, loosen
from hardening.why.attempt import Attempt

if TYPE_CHECKING:
    from hardening.compose.image_defaults import ImageDefaults

#: From what on the exit code is that of findings.
LIKELY, PERHAPS = "likely", "perhaps"
EPILOG = """\b
Examples:
  hardening check web --against ./new-root -- nginx
  hardening check -p ./app.toml --against ./libuv1t64_1.50.0-2_amd64.deb
  hardening check ./app.toml --against docker.io/library/redis:8 --since docker.io/library/redis:7 -- redis-server
  hardening check strict --against ./debs --json
  hardening check strict --against ./debs --fail-on perhaps

Exit codes: 0; 1 where something is likely to break, or with --fail-on perhaps may; 2 for bad usage.
"""


@click.command("check", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@imaged.fetch_options
@click.option("--against", metavar="ROOT|IMAGE|PACKAGE", required=True, help="What the upgrade brings.")
@click.option(
    "--since",
    metavar="ROOT|IMAGE|PACKAGE",
    help="What was there before; otherwise the root that the stack names.",
)
@click.option(
    "--seen",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What `learn --into` recorded of the version before: what it really called.",
)
@click.option(
    "--fail-on",
    type=click.Choice((LIKELY, PERHAPS)),
    default=LIKELY,
    show_default=True,
    help="End with exit code 1 for what is likely to break alone, or for what may, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("words", nargs=-1, metavar="[PROFILE] [-- COMMAND]", shell_complete=stack.complete_profile)
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    against: str,
    since: str | None,
    seen: Path | None,
    fail_on: str,
    as_json: bool,
    words: tuple[str, ...],
) -> int:
    """Say what of the programs of a new root, image or Debian package the stack would refuse, and did not have to before.

    A root and a package are paths that begin with / or a dot; a directory of packages is one upgrade. With COMMAND only
    that program is looked at. Nothing of it is run.
    """
    extra.require()
    here = session(context)
    typed, run = _divided(here.words, words)
    if len(typed) > 1 or len(run) > 1:
        raise UsageError(
            "check takes one profile, and one program after `--`",
            hint="name more profiles with -p; leave out arguments",
        )
    if typed:
        profiles = (*(profiles if is_typed(context, "profiles") else ()), *typed)
    request = stack.request(context, profiles)
    tried = _attempt(here, request)
    context.with_resource(start.ended_by_signals())
    with ExitStack() as held:
        checked = _Checked(context, here, request, tried, held, run[0] if run else "")
        found = checked.foretold(against, since, _calls(seen))
    if as_json:
        output.show_json(_data(found, against))
    else:
        _show(found, shortener((*tried.composition.stack.layers, *tried.pending)))
    return EXIT_FINDINGS if any(item.likely or fail_on == PERHAPS for item in found.breakages) else 0


def _divided(line: Sequence[str], words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The words before `--` and after it."""
    after = len(line) - line.index("--") - 1 if "--" in line else 0
    at = len(words) - min(after, len(words))
    return words[:at], words[at:]


def _calls(seen: Path | None) -> Mapping[str, Set[int]]:
    """What programs were seen to call, as `Recording.called` has it. Raises `UsageError`."""
    if seen is None:
        return {}
    if not seen.exists():
        raise UsageError(
            "there is no recording", origin=seen, hint="`hardening learn --into FILE -- COMMAND` makes one"
        )
    return recording.read(seen).called()


def _attempt(here: Session, request: Request, offer: ImageDefaults | None = None) -> Attempt:
    """The composition of a request, with what an image offers. Raises `ProfileError` for a stack that is refused."""
    tried = attempt.attempt(here.stack(request), here.plugins.mechanisms, here.host, here.today, offer=offer)
    if tried.error is not None:
        raise tried.error
    return tried


@attrs.define
class _Checked:
    """One check: what was asked for, and what it holds open meanwhile."""

    context: click.Context
    here: Session
    request: Request
    tried: Attempt
    held: ExitStack
    command: str

    def foretold(self, against: str, since: str | None, seen: Mapping[str, Set[int]]) -> Foretold:
        own = foretell.root_of(self.tried.composition)
        previous = self._source(since, (own,)) if since is not None else source.FileTree((own,))
        new = self._source(against, previous.directories)
        tried, stack_breaks = self._on(new, against)
        context = examine(tried.composition, self.here.host)
        permitted, instead = foretell.judged(tried, context)
        asked = Compared(
            new=new.directories,
            old=previous.directories,
            brought=new.brought,
            command=self.command,
            set_ids=new.set_ids,
            given=new.given,
            permitted=permitted,
            instead=instead,
            seen=seen,
        )
        scanners = tuple(scanner for _, scanner in sorted(self.here.plugins.scanners.items()))
        layers, further = tried.composition.stack.layers, [*new.packages.values()]

        def compared(_: child.Tell) -> Mapping[str, Any]:
            aged = [*software.age(layers, new.directories, self.here.host, scanners, further)]
            return {"difference": attrs.asdict(look.compare(asked, scanners)), "aged": aged}

        try:
            looked = child.run(compared, self._ids(new))
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise UsageError(
                    f"cannot be executed: {error.strerror}",
                    origin=error.filename,
                    hint="name a program of the new root",
                ) from None
            raise HostError(
                f"cannot be looked at: {error.strerror}", origin=error.filename or against, hint="check who may read it"
            ) from None
        found = foretell.foretell(tried, context, Difference.of(looked["difference"]), new.packages)
        return attrs.evolve(found, breakages=(*stack_breaks, *found.breakages), notes=(*found.notes, *looked["aged"]))

    def _ids(self, new: source.FileTree) -> Ids:
        return Ids() if os.geteuid() == 0 or new.brought else self.tried.composition.image_ids(self.here.host)

    def _source(self, text: str, below: Sequence[str]) -> source.FileTree:
        """What somebody named: a root, packages, or an image. Raises `UsageError` for what is none of them."""
        if source.is_packages(text):
            return self.held.enter_context(source.of_packages(text, below, fetching.store_of_caller()))
        if text.startswith(("/", ".")):
            if not os.path.isdir(text) or os.path.isfile(f"{text}/oci-layout"):
                raise UsageError(
                    "is neither a root nor a package",
                    origin=text,
                    hint="name the directory of a root, a .deb file, or a directory of these",
                )
            return source.FileTree((os.path.realpath(text),))
        unpacked = imaged.fetched(self.context, self.request, self.tried.composition, text)
        return source.FileTree((str(unpacked.path),), image=text)

    def _on(self, new: source.FileTree, text: str) -> tuple[Attempt, Sequence[Breakage]]:
        """The stack with a new root, and why it would not run there; as it is where an upgrade brings packages alone."""
        if new.brought or new.directories == (foretell.root_of(self.tried.composition),):
            return self.tried, ()
        try:
            if new.image:
                request, offer = imaged.look(self.here, self.request, new.image)
            else:
                request, offer = imaged.with_root(self.request, new.directories[0], text), None
            after = _attempt(self.here, imaged.in_place_of_another(request, "--against"), offer)
        except HardeningError as error:
            return self.tried, tuple(foretell.of_stack(item) for item in error.problems)
        refusal = loosen.refusal_of(self.tried, after.composition)
        return (after, ()) if refusal is None else (self.tried, (foretell.of_stack(refusal),))


def _show(found: Foretold, in_short: Callable[[str], str]) -> None:
    columns = ("kind", "what", "file", "package", "program", "setting", "decided by")
    likely = [item for item in found.breakages if item.likely]
    others = [item for item in found.breakages if not item.likely]
    if likely:
        output.show_table(Table(columns, tuple(_rows(likely))).mapped(in_short))
    if others:
        output.show("\nPerhaps, where what is new is used:\n" if likely else "Perhaps, where what is new is used:\n")
        output.show_table(Table(columns, tuple(_rows(others))).mapped(in_short))
    for lines in dict.fromkeys(_remedies((*likely, *others))):
        output.show(f"\n{lines}")
    for note in found.notes:
        output.note(note)
    programs = f"{found.programs} program{'s' * (found.programs != 1)} new or changed"
    perhaps = f", {len(others)} may" if others else ""
    output.note(f"{programs}; {len(likely)} thing{'s' * (len(likely) != 1)} will break{perhaps}")


def _rows(breakages: Sequence[Breakage]) -> Iterator[tuple[str, ...]]:
    """A row for all files of a package with which the same happens: the first of them is named."""
    alike: dict[tuple[str, ...], list[Breakage]] = {}
    for item in breakages:
        alike.setdefault((item.kind, item.what, item.package, item.leaf, item.origin), []).append(item)
    for (kind, what, package, leaf, origin), items in alike.items():
        paths, programs = ([*dict.fromkeys(names)] for names in zip(*((i.path, i.program) for i in items), strict=True))
        yield kind, what, listed(paths, 1), package, listed(programs, 1), leaf, origin


def _remedies(breakages: Sequence[Breakage]) -> Iterator[str]:
    for item in breakages:
        way = item.loosening
        if way is None or way.barrier:
            why = way.barrier if way is not None else item.advice
            if why:
                yield f"{item.leaf or item.what}: {why}"
            continue
        yield f"{item.leaf}: smallest loosening, to {way.shown}, {answers.pasted(way)}"


def _data(found: Foretold, against: str) -> dict[str, Any]:
    return {
        "against": against,
        "breakages": [
            {**attrs.asdict(item, recurse=False), "loosening": data.loosening(item.loosening)}
            for item in found.breakages
        ],
        "notes": list(found.notes),
        "programs": found.programs,
    }
