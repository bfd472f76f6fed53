"""``hardening doctor``: what this host can enforce, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hardening.cli import output
from hardening.cli.options import imaged, stack
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS, HardeningError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.report.diagnosis import DiagnosisLine

EPILOG = """\b
Examples:
  hardening doctor
  hardening doctor -p strict
  hardening doctor --json

\b
Exit code 1: this host cannot enforce a required mechanism of the profile, has no
runtime or state directory, or a plugin cannot be used.
"""


class _Command(stack.StackCommand):
    """Goes on where a plugin is broken, whose options it then has not."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if parent is not None:
            session(parent).leave_out_faulty()
        return super().make_context(info_name, args, parent, **extra)


@click.command("doctor", cls=_Command, epilog=EPILOG, short_help="Show what this host can enforce.")
@stack.stack_options
@imaged.image_option
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], image: str | None, as_json: bool) -> int:
    """Show the facts of this host that mechanisms need, and hold them against a stack of profiles."""
    import attrs

    from hardening.report import diagnosis

    here = session(context)
    lines = [*diagnosis.kernel(here.host), *diagnosis.facts(here.host)]
    lines += diagnosis.plugins(here.faults)
    lines += [*diagnosis.runtimes(here.plugins.runtimes), _state(), _records(), _login(), *_endangered(), *_bytecode()]
    problem: HardeningError | None = None
    try:
        composition = here.compose(*imaged.look(here, stack.request(context, profiles), image))
        lines += diagnosis.mechanisms(composition, here.host)
    except HardeningError as error:
        problem = error
    if as_json:
        output.show_json([attrs.asdict(line) for line in lines])
    else:
        output.show_table(diagnosis.table(lines))
    if problem is not None:
        raise problem
    return EXIT_FINDINGS if any(line.mark == diagnosis.FAIL for line in lines) else 0


def _records() -> DiagnosisLine:
    """Where the records of launches go."""
    import os

    from hardening.launch.record import sinks
    from hardening.report import diagnosis

    reasons = []
    places = sinks.RecordLocations(os.environ)
    try:
        for place, connect in places.each():
            try:
                connect()
            except OSError as error:
                reasons.append(f"{place}: {error.strerror or error}")
                continue
            passed = f" ({'; '.join(reasons)})" if reasons else ""
            return diagnosis.DiagnosisLine("host", "records", diagnosis.OK, f"{place}{passed}")
    finally:
        places.close()
    hint = "start auditd or journald, or free space: no command is launched without a record"
    return diagnosis.DiagnosisLine("host", "records", diagnosis.FAIL, "; ".join(reasons), hint)


def _login() -> DiagnosisLine:
    """Whom the kernel's audit trail names for a launch."""
    import os

    from hardening.launch.record.recording import LOGIN_UID, login
    from hardening.report import diagnosis

    uid, session = login().values()
    if uid is None and session is None:
        try:
            os.close(os.open(LOGIN_UID, os.O_WRONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return diagnosis.DiagnosisLine("host", "login uid", diagnosis.FACT, "none: this kernel has no audit system")
        except OSError as error:
            hint = "log in (pam_loginuid(8)), or have /proc writable: no command is launched that could claim anybody's"
            return diagnosis.DiagnosisLine(
                "host", "login uid", diagnosis.FAIL, f"cannot be set: {error.strerror}", hint
            )
        return diagnosis.DiagnosisLine("host", "login uid", diagnosis.OK, f"not set: a launch sets it to {os.getuid()}")
    shown = uid if uid is not None else "one that this user namespace has no number for"
    return diagnosis.DiagnosisLine("host", "login uid", diagnosis.OK, f"{shown}, session {session}")


def _endangered() -> Iterator[DiagnosisLine]:
    """The stores that a new installation of the program would take along."""
    import os

    from hardening.base import state
    from hardening.images import store
    from hardening.report import diagnosis

    for name, place in (("secrets", state.secrets), ("images", lambda: store.location(os.environ, os.geteuid()))):
        try:
            danger = state.danger(place())
        except (OSError, HardeningError):  # there is no such place
            continue
        if danger is not None:
            yield diagnosis.DiagnosisLine("host", f"store of {name}", diagnosis.WARN, *danger)


def _bytecode() -> Iterator[DiagnosisLine]:
    """What makes each start slow: a run writes no bytecode, and not every installer does."""
    import os
    import sys
    from importlib.util import cache_from_source

    import hardening
    from hardening.report import diagnosis

    if not os.path.exists(cache_from_source(hardening.__file__)):
        hint = f"{sys.executable} -m compileall {os.path.dirname(hardening.__file__)} (with uv: --compile-bytecode)"
        yield diagnosis.DiagnosisLine("host", "bytecode", diagnosis.WARN, "none: each start compiles the program", hint)


def _state() -> DiagnosisLine:
    from hardening.base import state
    from hardening.report import diagnosis

    try:
        return diagnosis.DiagnosisLine("host", "state directory", diagnosis.OK, str(state.directory()))
    except HardeningError as error:
        return diagnosis.DiagnosisLine(
            "host", "state directory", diagnosis.FAIL, f"{error.origin}: {error.message}", error.hint or ""
        )
