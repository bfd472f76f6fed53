"""``hardening launch``: run a bundle that was composed before."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.cli import start
from hardening.cli.session import session
from hardening.errors import UsageError

EPILOG = """\b
Examples:
  hardening compose -p web -o ./bundle -- httpd -f
  hardening launch ./bundle
  hardening launch ./bundle --runtime crun
"""


@click.command("launch", epilog=EPILOG, short_help="Run a bundle that was composed before.")
@start.runtime_option
@start.stdin_option
@start.receipt_option
@click.argument("bundle", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, runtime: str, interactive: bool, receipt: Path | None, bundle: Path) -> None:
    """Run the command of BUNDLE, a directory that holds a config.json. The bundle stays.

    Fields that the runtime would not enforce are refused.
    """
    from hardening import bundle as bundles
    from hardening import pipeline, state
    from hardening.runtime import Candidate, LaunchRequest
    from hardening.spec import to_json

    if not bundle.is_dir():
        problem = "a bundle is a directory" if bundle.exists() else "there is no such bundle"
        raise UsageError(problem, origin=bundle, hint="`hardening compose -o BUNDLE -- COMMAND` writes one")
    target = start.receipt_file(receipt)
    here = session(context)
    engine = here.plugins.runtime(runtime)
    config = to_json(bundles.read_config(bundle))
    start.require_installed(engine)
    pipeline.admit(here.plugins, Candidate(config, here.host), engine)
    launch = LaunchRequest(start.new_id(), state.directory(), interactive, False, target)
    start.start(engine.command(bundle.absolute(), launch))
