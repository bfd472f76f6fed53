"""``hardening apply``: make an OCI configuration that was made elsewhere nowhere looser than a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from hardening.assemble import bundle, pipeline
from hardening.assemble.pipeline import Assembly
from hardening.assemble.statements import with_statements_of
from hardening.base.pointer import CONFIG
from hardening.cli import output
from hardening.cli.notes import QUIET, show_notes
from hardening.cli.options import stack
from hardening.cli.session import session
from hardening.compare import configuration
from hardening.compare.configuration import Change
from hardening.errors import EXIT_FINDINGS, HardeningError, UsageError
from hardening.images import bundled
from hardening.launch.record import behalf
from hardening.mechanism.fragment import Directory, File, Symlink
from hardening.report import changes, data

EPILOG = """\b
Examples:
  hardening apply -p web ./bundle --check          report only; exit 1 if it is looser
  hardening apply -p web ./bundle --in-place
  hardening apply -p web ./bundle -o ./tightened/config.json
  hardening apply -p web -                         as a filter, such as a precreate hook of podman

Without --check, --in-place or -o the tightened configuration goes to standard output,
and the report to standard error.
"""


@click.command("apply", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@click.option("--check", is_flag=True, help="Only report; exit 1 if anything would change.")
@click.option("--in-place", is_flag=True, help="Replace the configuration.")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write it to FILE.")
@click.option("--json", "as_json", is_flag=True, help="With --check, --in-place or -o: show the report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help=QUIET)
@click.argument("source", type=click.Path(path_type=Path), metavar="BUNDLE_OR_CONFIG_JSON")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    check: bool,
    in_place: bool,
    target: Path | None,
    as_json: bool,
    quiet: bool,
    source: Path,
) -> int:
    """Tighten the configuration of a bundle, keep what it asks for within the profile, and report each change and each
    thing that it asked for beyond the profile. BUNDLE_OR_CONFIG_JSON may be - for standard input."""
    if check + in_place + (target is not None) > 1:
        raise UsageError("--check, --in-place and -o exclude each other", hint="choose one")
    to_stdout = not (check or in_place or target)
    if to_stdout and as_json:
        raise UsageError("--json shows the report", hint="add --check, --in-place or -o FILE")
    here = session(context)
    composition = here.compose(stack.request(context, profiles))
    stack.require_no_layer(composition, "-o", target)
    file, document = _read(source, in_place)
    destination = file if in_place else target
    reserve = destination.absolute().parent if destination else None
    origin = file.absolute().parent
    assembly = pipeline.tighten(here.plugins, composition, here.host, document, bundle=reserve, origin=origin)
    # How it was composed is said for the records of its launches; it is no change of what runs.
    tightened = assembly.spec.document
    bundled.require(tightened, origin)
    found = configuration.changes(with_statements_of(tightened, document), tightened, assembly.spec.leaves)
    pipeline.judge(assembly, None)
    if destination is not None:
        pipeline.apply_host_changes(assembly)
        _write(destination, {**assembly.spec.files, destination.name: assembly.spec.config})
    if to_stdout:
        output.show_raw(assembly.spec.config)
        for name in assembly.spec.files:
            output.note(f"not written: {name}, which belongs beside the configuration (use -o)")
    _report(assembly, found, as_json, to_stdout)
    if not as_json:
        show_notes(assembly, quiet=quiet)
    return EXIT_FINDINGS if check and (found or assembly.violations) else 0


def _read(source: Path, in_place: bool) -> tuple[Path, dict[str, Any]]:
    """The file of a configuration, and what it says. Standard input stands for a file of the working directory."""
    if str(source) == "-" and in_place:
        raise UsageError("standard input cannot be replaced", hint="leave --in-place out, or add -o FILE instead")
    file = source / CONFIG if source.is_dir() else Path(CONFIG) if str(source) == "-" else source
    return file, bundle.given_config(source)


def _write(destination: Path, files: Mapping[str, File]) -> None:
    """Write files beside ``destination``, itself last, with the rights of who has called, in the place of nothing but their
    own regular files; each appears whole or not at all. What is new gets the mode that it has in a bundle, whatever the
    umask: a configuration has the variables of a command, and a container's mapped ids must find their way."""

    def make() -> None:
        for name, content in files.items():  # before anything is written
            if isinstance(content, bytes):
                behalf.require_replaceable(str(destination.parent / name))
        for name, content in files.items():
            path = destination.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            match content:
                case Directory(mode):
                    if not path.is_dir():
                        path.mkdir()
                        path.chmod(mode)
                case Symlink(link):
                    if not path.is_symlink():
                        path.symlink_to(link)
                case bytes():
                    behalf.save(str(path), content, own=True, mode=bundle.mode_of(name), durable=False)

    try:
        behalf.write(make)
    except OSError as error:
        raise HardeningError(
            f"cannot write the configuration: {error.strerror}", origin=error.filename or destination
        ) from None


def _report(assembly: Assembly, found: list[Change], as_json: bool, to_stderr: bool) -> None:
    if as_json:
        output.show_json(
            {
                "changes": [attrs.asdict(item) for item in found],
                "violations": [attrs.asdict(item) for item in assembly.violations],
                "findings": data.findings(assembly.findings),
            }
        )
        return
    tables = [part for part in (changes.table(found), changes.beyond(assembly.violations)) if part.rows]
    for part in tables:
        output.show_table(part, to_stderr=to_stderr)
    if not tables:
        output.note("nothing to change: the configuration is within the profile")
