"""``hardening scan``: what a root has that it should not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hardening.cli import api
from hardening.errors import EXIT_FINDINGS, UsageError, quoted

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.images.store import Unpacked
    from hardening_scan.examine import Scanned
    from hardening_scan.settings import ScanSettings

#: Permissions without use that are shown.
_SHOWN = 10


@click.command(
    "scan",
    cls=api.StackCommand,
    short_help="Look for setuid, devices, credentials and the like in a root.",
    epilog="""\b
Examples:
  hardening scan ./rootfs
  hardening scan -p team.toml docker.io/library/busybox
  hardening scan --set scan.setuid=deny --sarif ./rootfs
  hardening scan --pull=always --tls-verify=false -p team.toml 127.0.0.1:5000/team/app:1

Exit codes: 0; 1 where something is there that the stack denies; 2 for bad usage.
""",
)
@api.stack_options
@api.fetch_options
@click.option("--packages", is_flag=True, help="List the packages, too.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Show it as JSON, with all packages.")
@click.option("--sarif", "as_sarif", is_flag=True, help="Show it as SARIF.")
@click.argument("root", metavar="IMAGE|DIR")
@click.pass_context
def command(
    context: click.Context, profiles: tuple[str, ...], packages: bool, as_json: bool, as_sarif: bool, root: str
) -> int:
    """Look at a root without running anything of it: at a directory, whose path begins with / or a dot, or an image.

    All that is found is shown; what [scan] of the stack denies is refused there, and by `hardening run`. An IMAGE is
    fetched if it is missing, if the stack's policy permits it.
    """
    from hardening_scan import examine, report
    from hardening_scan.settings import ScanSettings

    if as_json and as_sarif:
        raise UsageError("--json and --sarif are two answers", hint="leave one of them out")
    if packages and (as_json or as_sarif):
        raise UsageError("--packages is for the table", hint="leave it out: --json has all packages")
    here = api.session(context)
    request = api.request(context, profiles)
    composition = here.compose(request)
    settings = composition.settings["scan"]
    assert isinstance(settings, ScanSettings)  # noqa: S101  # it is this package's own
    if root.startswith(("/", ".")):
        image = None
        _require_root(root)
    else:
        image = _image(context, request, composition, root)
    path = root if image is None else str(image.path)
    ids = composition.image_ids(here.host)
    scanned = examine.examine(path, examine.every(here.plugins.scanners, settings), ids)
    if image is not None:
        scanned = examine.of_image(scanned, image)
    if as_json:
        api.show(report.as_json(root, scanned, settings))
    elif as_sarif:
        api.show_json(report.as_sarif(root, scanned, settings))
    else:
        _show(scanned, settings, composition)
        if packages and scanned.packages:
            api.show_table(report.packages(scanned))
    return EXIT_FINDINGS if scanned.denied(settings) else 0


def _show(scanned: Scanned, settings: ScanSettings, composition: Composition) -> None:
    from hardening.mechanism.schema import Leaf
    from hardening_scan import report

    if scanned.findings or scanned.left_out:
        api.show_table(report.table(scanned, settings))
    api.note(report.summary(scanned, settings))
    leaves = [Leaf("scan", kind, path) for kind, path in report.unused(scanned, settings)]
    for leaf in leaves[:_SHOWN]:
        api.note(f"nothing in this root needs {leaf}, set at {composition.leaves[leaf].origin}")
    if len(leaves) > _SHOWN:
        api.note(f"nor {len(leaves) - _SHOWN} more that --json names")


def _require_root(path: str) -> None:
    """Raise `UsageError` for an image that is typed as a root: looking at its blobs would find nothing."""

    if not os.path.isdir(path) or os.path.isfile(f"{path}/oci-layout"):
        hint = api.of_path(path) or "name the directory of a root"
        raise UsageError("is not a root that you can read", origin=path, hint=hint)


def _image(context: click.Context, request: api.Request, composition: Composition, text: str) -> Unpacked:
    """The root of an image. Raises as `hardening.cli.api.fetched`."""
    if os.path.isdir(text):
        raise UsageError(
            f"{text} is a directory here, and may be an image", hint=f"write {quoted(f'./{text}')} for the directory"
        )
    return api.fetched(context, request, composition, text)
