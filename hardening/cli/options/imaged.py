"""Naming an image on a command line, and composing with it: ``run`` and ``compose IMAGE``, and ``--image`` elsewhere.

From a name to a composition whose root is the image, and to the command that it runs. Whoever only looks at a composition
takes what is in the store, and neither fetches nor unpacks anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from hardening.base.values import frozen
from hardening.cli import output
from hardening.cli.options import F, add, completed_by, kept, stack
from hardening.cli.options.entrypoint import ImageCommand
from hardening.cli.session import Request, Session, session
from hardening.errors import HardeningError, ImageError, Problems, UsageError, quoted
from hardening.mechanism import inputs
from hardening.mechanism.findings import LEFT_OUT, Finding, Severity
from hardening.mechanism.fragment import Spec
from hardening.mechanism.inputs import Input, Unknown
from hardening.profile.layers import SUFFIX, is_path
from hardening.profile.source import command_line

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.compose.image_defaults import ImageDefaults
    from hardening.images.reference import Name
    from hardening.images.store import ImageRecord, ImageStore, Unpacked
_ROOT = ("rootfs", "path")
_ASKED = "hardening.image"
MISSING, ALWAYS, NEWER, NEVER = PULL = ("missing", "always", "newer", "never")
_HOST = "a command of the host's own root goes after `--`: {}"


@frozen
class ImageOptions:
    """An image to run: what was typed, and the options about it. ``entrypoint`` is None for that of the image. ``command``
    is the line that would run the word as a command instead, empty where it is plain that an image was meant, ``profile``
    the one that would name it as a profile; ``remark`` is what is to be known of both lines."""

    text: str
    command: str
    profile: str
    remark: str
    pull: str
    verify: bool
    entrypoint: str | None


def fetch_options(function: F) -> F:
    """Add ``--pull`` and ``--tls-verify`` to a command."""
    when = "When an IMAGE is fetched: missing (the default), always, newer or never."
    verify = "With false, the registry of an IMAGE needs no trusted certificate, and may speak plain HTTP."
    return add(
        function,
        kept(_ASKED, "--pull", type=click.Choice(PULL), metavar="WHEN", help=when),
        kept(_ASKED, "--tls-verify", type=click.BOOL, metavar="BOOLEAN", help=verify),
    )


def options(function: F) -> F:
    """Add ``--pull``, ``--tls-verify`` and ``--entrypoint`` to a command."""
    entrypoint = "What goes before COMMAND instead of the IMAGE's entrypoint: a word, a JSON array, or '' for nothing."
    return fetch_options(add(function, kept(_ASKED, "--entrypoint", metavar="WORD", help=entrypoint)))


#: For a command that shows a composition, and has an argument of another kind.
image_option = click.option(
    "--image",
    metavar="IMAGE",
    shell_complete=completed_by("complete_image"),
    help="With IMAGE as the root, and what it says of itself below the stack; it has to be in the store.",
)


def split(
    context: click.Context, words: Sequence[str], typed: tuple[str, ...]
) -> tuple[ImageOptions | None, tuple[str, ...]]:
    """The image of a command line, and the command after it. ``words`` is the whole line, ``typed`` what is left of it after
    the options: its first word is an image unless ``--`` stands before it. Raises `UsageError`."""
    asked: dict[str, Any] = context.meta.get(_ASKED, {})
    before = words[: len(words) - len(typed)]
    if not typed or (before and before[-1] == "--"):
        if asked:
            option = "--" + next(iter(asked)).replace("_", "-")
            raise UsageError(f"{option} is about an image, and none is named", hint="write it before `--`")
        return None, typed
    image, *command = typed
    (call, remark), line = _call(context, before), ""
    if command and command[0] == "--":
        del command[0]
    elif not asked:
        line = f"{call} -- {quoted(image)}" + " …" * bool(command)
    _require_no_option(context, before, typed, line)
    profile = " ".join([call, "-p", quoted(image), *(["--", *map(quoted, command)] if command else [])])
    return _asked(context, image, line, profile, remark), tuple(command)


def _call(context: click.Context, before: Sequence[str]) -> tuple[str, str]:
    """The program and its options, to be pasted; without values, which may be secrets: what is to be known of that."""
    line, remark = stack.pasteable(context, before)
    return f"hardening {line}".rstrip(), remark


def _asked(context: click.Context, image: str, line: str = "", profile: str = "", remark: str = "") -> ImageOptions:
    said: dict[str, Any] = context.meta.get(_ASKED, {})
    how = said.get("pull", MISSING), said.get("tls_verify", True), said.get("entrypoint")
    return ImageOptions(image, line, profile, remark, *how)


def fetched(context: click.Context, request: Request, composition: Composition, image: str) -> Unpacked:
    """The root of an image for a command that runs nothing of it, fetched where that is asked for. Raises `ImageError`, and
    `SpecError` for one that is not to be used."""
    from hardening.cli import fetching

    here = session(context)
    kept = fetching.store_of_caller()
    asked, name = _meant(request, _asked(context, image), kept)
    record = _record(here, lambda: composition, asked, name, kept, quiet=False)
    kept.hold()
    return fetching.unpacked(here, composition, kept, record, name)


def is_option(context: click.Context, words: Sequence[str]) -> bool:
    """Whether the first of some words is an option of this program."""
    ours = {flag for parameter in context.command.get_params(context) for flag in parameter.opts}
    return bool(words) and words[0].partition("=")[0] in ours


def _require_no_option(context: click.Context, before: Sequence[str], typed: Sequence[str], line: str) -> None:
    """Raise `UsageError` for an option of this program after the image, which its entrypoint would get; but not where that
    was just named."""
    image, *after = typed
    if not is_option(context, after) or "entrypoint" in context.meta.get(_ASKED, {}):
        return
    option = after[0].partition("=")[0]
    call, remark = _call(context, before)
    with _told_apart(_asked(context, image, line, remark=remark), repeated=True):
        raise UsageError(
            f"{option} stands after the image {image}",
            hint=f"options go before the image: {call} {option} … {quoted(image)}; what the image's own command is to be "
            f"given goes after `--`: {call} {quoted(image)} -- {option} …",
        )


def compose(
    here: Session, request: Request, asked: ImageOptions, typed: Sequence[str], *, quiet: bool
) -> tuple[Composition, ImageCommand]:
    """The composition of a request with an image as its root, and the image's own words; the image is pulled where that is
    asked for. What it runs where nothing was ``typed`` may be malformed where something was. Raises `ImageError`, and
    whatever composing raises."""
    from hardening.cli import fetching

    kept = fetching.store_of_caller()
    asked, name = _meant(request, asked, kept)
    record = _record(here, lambda: here.compose(request), asked, name, kept, quiet=quiet)
    kept.hold()  # until the launcher holds a bundle that names the root
    config = kept.config(record.digest)
    offer = _offer(here, kept, record, config)
    path = _any_root(kept, record)
    composition = here.compose(with_root(request, str(path), asked.text), offer)
    root = fetching.unpacked(here, composition, kept, record, name)
    if root.path != path:
        composition = here.compose(with_root(request, str(root.path), asked.text), offer)
    looked = (*composition.looked, *_inputs(kept, name, record, asked))
    findings = (*composition.findings, *_findings(root, record))
    found = attrs.evolve(composition, looked=looked, findings=findings)
    return found, ImageCommand.of(config["config"], asked.text, asked.entrypoint, typed)


def look(here: Session, request: Request, image: str | None) -> tuple[Request, ImageDefaults | None]:
    """A request as ``--image`` completes it, and what the image offers; both as they are without one. Nothing is fetched or
    unpacked: the root is where it would be. Raises `ImageError` for an image that is not in the store."""
    if image is None:
        return request, None
    from hardening.cli import fetching
    from hardening.images import removal

    kept = fetching.store_of_caller()
    asked, name = _meant(request, ImageOptions(image, "", "", "", NEVER, True, None), kept)
    record = kept.find(name)
    if record is None:
        raise ImageError(f"{name} was not pulled", origin="--image", hint=f"`hardening pull {quoted(asked.text)}`")
    offer = _offer(here, kept, record, kept.config(record.digest))
    found = with_root(request, str(_any_root(kept, record)), asked.text)
    if len(kept.roots(record.digest)) == 1:
        return found, offer
    try:
        ids = here.compose(found, offer).image_ids(here.host)
    except HardeningError:  # for whoever composes it to say
        return found, offer
    return with_root(request, str(kept.holder(record.digest, ids) / removal.ROOT), asked.text), offer


def offered(here: Session, asked: ImageOptions) -> ImageDefaults | None:
    """What an image that was composed with says of itself."""
    from hardening.cli import fetching
    from hardening.images import reference

    kept = fetching.store_of_caller()
    record = kept.find(reference.resolved(fetching.parse(fetching.named(asked.text, kept))))
    return _offer(here, kept, record, kept.config(record.digest)) if record is not None else None


def _meant(request: Request, asked: ImageOptions, kept: ImageStore) -> tuple[ImageOptions, Name]:
    """Which image is meant, by its name or by the digest of what is here. Raises `UsageError`."""
    from hardening.cli import fetching
    from hardening.images import reference

    found = attrs.evolve(asked, text=fetching.named(asked.text, kept))
    if found != asked and asked.pull in (ALWAYS, NEWER):
        raise UsageError(
            f"{asked.text} is the image that is here, and nothing is newer", hint=f"leave out --pull={asked.pull}"
        )
    with _told_apart(found):
        name = fetching.parse(found.text)
    table = request.options.tables.get(_ROOT[0]) if request.options is not None else None
    if isinstance(table, dict) and _ROOT[1] in table:
        raise UsageError(
            f"a root and the image {found.text} are named at once",
            hint="leave one of them out" + (f"; {_HOST.format(found.command)}" if found.command else ""),
        )
    return found, reference.resolved(name) if found == asked else name


def _any_root(kept: ImageStore, record: ImageRecord) -> Path:
    """Where an image is unpacked for some ids, or a place for as long as it is nowhere."""
    from hardening.images import removal, store

    known = kept.roots(record.digest)
    return known[0] / removal.ROOT if known else kept.path / store.ROOTS


def require_read_only(spec: Spec) -> None:
    """Raise `UsageError` for a root that the command could write to: all runs of the image share it, and nothing would tell
    later ones that it is not the image any more."""
    if spec.document.get("root", {}).get("readonly") is not True:
        raise UsageError(
            "the root of an image stays read-only: all its runs share it",
            hint="mount a writable directory: --tmpfs DST, or -v DIR:DST",
        )


def _record(
    here: Session, compose: Callable[[], Composition], asked: ImageOptions, name: Name, kept: ImageStore, *, quiet: bool
) -> ImageRecord:
    """What the name stands for, pulled before where that is asked for, under what ``compose`` gives."""
    from hardening.cli import fetching

    record = kept.find(name)
    if record is not None and asked.pull in (MISSING, NEVER):
        return record
    if asked.pull == NEVER:
        raise ImageError(
            f"{name} was not pulled", hint=f"leave out --pull=never, or write `hardening pull {quoted(asked.text)}`"
        )
    composition = compose()
    try:
        with _told_apart(asked):
            return fetching.fetch(here, composition, name, kept, verify=asked.verify, quiet=quiet)
    except HardeningError as error:
        if record is not None and asked.pull == NEWER and isinstance(error, ImageError):
            if not quiet:
                output.note(f"{name} is taken as it was pulled: {error.origin}: {error.message}")
            return record
        raise


@contextmanager
def _told_apart(asked: ImageOptions, *, repeated: bool = False) -> Iterator[None]:
    """Say of a refused image first that a command or a profile was perhaps meant, where there is one of that name;
    ``repeated``: the error's hint has the line that was typed anyway."""
    try:
        yield
    except Problems:
        raise
    except HardeningError as error:
        from shutil import which

        program = which(asked.text) is not None
        meant = _HOST.format(asked.command) if program and asked.command else ""
        if not program and asked.profile and _is_profile(asked.text):
            meant = f"did you mean: {asked.profile}"
        other = asked.command and "/" not in asked.text and ":" not in asked.text and error.hint
        if meant:
            error.message = f'"{asked.text}" is taken for an image: {error.message}'
            error.hint = meant + (f"\nfor the image: {error.hint}" if error.hint else "")
        elif other:
            error.hint = f"{error.hint}; {_HOST.format(asked.command)}"
        if asked.remark and (meant or other or repeated):
            error.hint = f"{error.hint}\n{asked.remark}"
        raise


def _is_profile(text: str) -> bool:
    """Whether a profile has this name, or is this file."""
    if is_path(text):
        return text.endswith(SUFFIX) and os.path.isfile(text)
    return bool(session(click.get_current_context()).search.hits(text))


def _offer(here: Session, kept: ImageStore, record: ImageRecord, config: dict[str, Any]) -> ImageDefaults:
    from hardening.compose.image_defaults import ImageDefaults
    from hardening.mechanism.used import Used

    return ImageDefaults.of(Used(record.name, record.digest, kept.path), config["config"], here.plugins.mechanisms)


def with_root(request: Request, path: str, typed: str) -> Request:
    """The request with a root, said where it, or an image, was ``typed``."""
    before = request.options
    tables = dict(before.tables) if before is not None else {}
    places = dict(before.places) if before is not None else {}
    table = tables.get(_ROOT[0])
    tables[_ROOT[0]] = {**(table if isinstance(table, dict) else {}), _ROOT[1]: path}
    places[_ROOT] = typed
    places.setdefault(_ROOT[:1], typed)
    return attrs.evolve(request, options=command_line(tables, places))


def in_place_of_another(request: Request, why: str) -> Request:
    """A request with a root that need not be the one that its layers name."""
    before = request.options
    tables, places = (dict(before.tables), dict(before.places)) if before is not None else ({}, {})
    known = tables.get("exceptions", [])
    excepted = {"setting": ".".join(_ROOT), "reason": why}
    tables["exceptions"] = [*(known if isinstance(known, list) else []), excepted]
    places.setdefault(("exceptions",), why)
    return attrs.evolve(request, options=command_line(tables, places))


def _inputs(kept: ImageStore, name: Name, record: ImageRecord, asked: ImageOptions) -> Iterator[Input | Unknown]:
    """What decides which image a name stands for, and that it can be believed."""
    from hardening.images import reference, removal
    from hardening.images.store import VARIABLE

    path = reference.parse(asked.text).path
    if path:
        yield from inputs.folder()
        yield from inputs.way(path)
    if asked.pull in (ALWAYS, NEWER):
        yield inputs.Unknown(f"--pull={asked.pull} asks where the image comes from")
    yield from inputs.environment(VARIABLE, "XDG_DATA_HOME")
    yield from inputs.file(kept.name_file(name))
    yield from inputs.file(kept.blob(record.digest))
    for holder in kept.roots(record.digest):
        yield from inputs.way(holder / removal.ABOUT)


def _findings(root: Unpacked, record: ImageRecord) -> Iterator[Any]:
    from hardening.cli.fetching import left_out

    for line in left_out(root.about):
        yield Finding(
            LEFT_OUT,
            Severity.NOTE,
            f"left out of the root: {line}",
            origin=f"image {record.name}",
            hint="no container needs it: its root has neither devices nor rights of its own",
        )
