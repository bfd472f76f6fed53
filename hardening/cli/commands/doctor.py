"""``hardening doctor``: what this host can enforce, and what to do about the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import cache_from_source
from typing import Any

import attrs
import click

import hardening
from hardening.base import state
from hardening.cli import output
from hardening.cli.options import imaged, stack
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS, HardeningError
from hardening.images import store
from hardening.launch.record import sinks
from hardening.launch.record.recording import LOGIN_UID, login
from hardening.report import diagnosis
from hardening.report.diagnosis import FACT, FAIL, OK, WARN, DiagnosisLine

EPILOG = """\b
Examples:
  hardening doctor
  hardening doctor -p strict
  hardening doctor --all
  hardening doctor --json

Exit code 1: this host cannot enforce a required mechanism of the profile, has no
runtime or state directory, or a plugin cannot be used.
"""


_host = partial(DiagnosisLine, "host")


class _Command(stack.StackCommand):
    """Goes on where a plugin is broken, whose options it then has not."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if parent is not None:
            session(parent).leave_out_faulty()
        return super().make_context(info_name, args, parent, **extra)


@click.command("doctor", cls=_Command, epilog=EPILOG)
@stack.stack_options
@imaged.image_option
@click.option("--all", "everything", is_flag=True, help="Show also each fact of this host that mechanisms look at.")
@click.option("--json", "as_json", is_flag=True, help="Show all of it as JSON.")
@click.pass_context
def command(
    context: click.Context, profiles: tuple[str, ...], image: str | None, everything: bool, as_json: bool
) -> int:
    """Show what this host cannot enforce of a stack of profiles, with the remedy, and what it can."""
    here = session(context)
    lines = [*diagnosis.kernel(here.host), *diagnosis.facts(here.host)]
    lines += diagnosis.beyond_reach(here.host)
    lines += diagnosis.plugins(here.faults)
    lines += [*diagnosis.runtimes(here.plugins.runtimes), _state(), _records(), _login(), *_endangered(), *_bytecode()]
    problem: HardeningError | None = None
    try:
        composition = here.compose(*imaged.look(here, stack.request(context, profiles), image))
        lines += diagnosis.mechanisms(composition, here.host)
    except HardeningError as error:
        problem = error
    shown = diagnosis.table(lines if everything else diagnosis.essence(lines))
    output.show_either([attrs.asdict(line) for line in lines], shown, as_json=as_json)
    if problem is not None:
        raise problem
    return EXIT_FINDINGS if any(line.mark == FAIL for line in lines) else 0


def _records() -> DiagnosisLine:
    """Where the records of launches go."""
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
            return _host("records", OK, f"{place}{passed}")
    finally:
        places.close()
    hint = "start auditd or journald, or free space: no command is launched without a record"
    return _host("records", FAIL, "; ".join(reasons), hint)


def _login() -> DiagnosisLine:
    """Whom the kernel's audit trail names for a launch."""
    uid, session = login().values()
    if uid is None and session is None:
        try:
            os.close(os.open(LOGIN_UID, os.O_WRONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return _host("login uid", FACT, "none: this kernel has no audit system")
        except OSError as error:
            hint = "log in (pam_loginuid(8)), or have /proc writable: no command is launched that could claim anybody's"
            return _host("login uid", FAIL, f"cannot be set: {error.strerror}", hint)
        return _host("login uid", OK, f"not set: a launch sets it to {os.getuid()}")
    shown = uid if uid is not None else "one that this user namespace has no number for"
    return _host("login uid", OK, f"{shown}, session {session}")


def _endangered() -> Iterator[DiagnosisLine]:
    """The stores that a new installation of the program would take along."""
    for name, place in (("secrets", state.secrets), ("images", lambda: store.location(os.environ, os.geteuid()))):
        try:
            danger = state.danger(place())
        except (OSError, HardeningError):  # there is no such place
            continue
        if danger is not None:
            yield _host(f"store of {name}", WARN, *danger)


def _bytecode() -> Iterator[DiagnosisLine]:
    """What makes each start slow: a run writes no bytecode, and not every installer does."""
    if not os.path.exists(cache_from_source(hardening.__file__)):
        hint = f"{sys.executable} -m compileall {os.path.dirname(hardening.__file__)} (with uv: --compile-bytecode)"
        yield _host("bytecode", WARN, "none: each start compiles the program", hint)


def _state() -> DiagnosisLine:
    try:
        return _host("state directory", OK, str(state.directory()))
    except HardeningError as error:
        return _host("state directory", FAIL, f"{error.origin}: {error.message}", error.hint or "")
