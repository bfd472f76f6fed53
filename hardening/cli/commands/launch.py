"""``hardening launch``: run a bundle that was composed before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from hardening.assemble import handover, pipeline
from hardening.assemble.statements import with_statements_of
from hardening.base.pointer import CONFIG, lookup
from hardening.cli import refusals, start, stored
from hardening.cli.options import keeping
from hardening.cli.session import Request, Session, session
from hardening.errors import HardeningError, LaunchError, Problems, SpecError, UsageError, quoted, raise_all
from hardening.images import bundled
from hardening.launch.config.bundle import load
from hardening.launch.fingerprints import ABSENT
from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input
from hardening.mechanism.runtime import Runtime
from hardening.plugin.admission import Candidate
from hardening.plugin.plugins import Plugins
from hardening.profile import machine

HINT = "`hardening compose -o BUNDLE -- COMMAND` writes a bundle"

EPILOG = """\b
Examples:
  hardening compose -p web -o ./bundle -- httpd -f
  hardening launch ./bundle
  hardening launch ./bundle --runtime crun
  hardening compose -p ./mine.toml -o ./app oci:./image:v1 && hardening launch ./app
"""


@click.command("launch", epilog=EPILOG)
@start.runtime_option
@start.stdin_option
@start.receipt_option
@keeping.options
@start.fresh_option
@click.argument("bundle", type=click.Path(path_type=Path))
@click.pass_context
@refusals.recorded
def command(
    context: click.Context, runtime: str, interactive: bool, receipt: Path | None, fresh: bool, bundle: Path
) -> None:
    """Run the command of BUNDLE, a directory that holds a config.json. The bundle stays.

    Fields that the runtime would not enforce are refused.
    """
    if not bundle.is_dir():
        problem = "a bundle is a directory" if bundle.exists() else "no such bundle"
        inside = bundle.name == CONFIG and bundle.exists()
        raise UsageError(problem, origin=bundle, hint=f"name it: {quoted(str(bundle.parent))}" if inside else HINT)
    target = start.receipt_file(receipt)
    here = session(context)
    engine = here.plugins.runtime(runtime)
    config = _read(bundle)
    place = start.prepare(engine)
    bound = bundled.require(json.loads(config), bundle.absolute())
    candidate = Candidate(config, here.host, runtime=engine.name)
    try:
        looked = (*bound, *pipeline.admit(here.plugins, candidate, engine))
    except (SpecError, Problems) as error:
        _add_hints(error, engine, candidate, here.plugins, bundle)
        raise
    looked += _enforced(here, candidate.document, bundle)
    digest = sha256(config).hexdigest()
    launch = start.request(context, engine, place, interactive=interactive, receipt=target, sha256=digest)
    secrets = handover.open_secrets(here.plugins, engine, config)
    if secrets >= 0:  # which are opened anew at each launch
        start.start(engine.command(bundle.absolute(), launch.changed(secrets=secrets)))
    argv = engine.command(bundle.absolute(), launch)
    if target is None and not fresh and here.machine.enforced is None:
        stored.verdict(here, engine, argv, launch, bundle.absolute(), digest, looked)
    start.start(argv)


def _enforced(here: Session, document: Mapping[str, Any], bundle: Path) -> tuple[Input, ...]:
    """Hold a bundle, whoever has composed it, to the stack that a run without a profile has, where the administrator has
    one enforced: what `apply` would change of it is refused. What was looked at where there is none. Raises `SpecError`."""
    enforced = here.machine.enforced
    if enforced is None:
        return tuple(item for item in inputs.file(machine.ENFORCED, ABSENT) if isinstance(item, Input))
    from hardening.compare import configuration  # few machines have one

    composition = here.compose(Request(here.machine.default))
    place = bundle.absolute()
    assembly = pipeline.tighten(here.plugins, composition, here.host, document, bundle=place, origin=place)
    tightened = assembly.spec.document
    found = configuration.changes(with_statements_of(tightened, document), tightened, assembly.spec.leaves)
    asked = [(item.pointer, f"asks for {item.asked}, beyond {item.leaf}") for item in assembly.violations]
    asked = asked or [(item.pointer, f"is not within {', '.join(item.leaves) or 'what is kept'}") for item in found]
    hint = f"`hardening apply --in-place {quoted(str(bundle))}` holds it to that; `hardening run` composes anew"
    raise_all(
        [
            SpecError(f"{what}, of the stack that {enforced} begins", origin=f"{place / CONFIG}:{pointer}", hint=hint)
            for pointer, what in asked
        ]
    )
    return ()


def _add_hints(error: HardeningError, engine: Runtime, candidate: Candidate, plugins: Plugins, bundle: Path) -> None:
    """Let what ``engine`` refuses by itself name the runtime that does not, where one is installed, or else what makes a
    configuration of it that is run. What is missing no other runtime has."""
    document = candidate.document
    found = [refusal for refusal in engine.check(document, candidate.host) if refusal.origin]
    hint = f"where another tool wrote it, `hardening apply --in-place {quoted(str(bundle))}` holds it to a profile"
    if all(lookup(document, refusal.pointer) is not None for refusal in found):
        for other in plugins.runtimes:
            if other.version() is not None and not other.check(document, candidate.host):
                hint = f"`hardening launch --runtime {quoted(other.name)} {quoted(str(bundle))}` runs it"
                break
    places = {refusal.origin for refusal in found}
    for problem in error.problems:
        if problem.origin in places and not problem.hint:
            problem.hint = hint


def _read(bundle: Path) -> bytes:
    """The text of a bundle's configuration, read as strictly as by the launcher, which runs no other text."""
    try:
        loaded = load(str(bundle))
    except LaunchError as error:
        error.hint = error.hint or HINT
        raise
    if not isinstance(loaded.document, dict):
        raise LaunchError("a configuration is a JSON object", origin=bundle / CONFIG, hint=HINT)
    return loaded.text
