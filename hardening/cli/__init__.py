"""The command line: one module a command group. This is the only place that prints errors and decides exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import click

from hardening.base.linux.system import signal
from hardening.cli.commands import COMPLETE_VARIABLE, PROGRAM
from hardening.cli.output import escape, in_colour
from hardening.cli.session import Session
from hardening.cli.unforeseen import worded
from hardening.errors import EXIT_USAGE, HardeningError, UsageError

ALIKE = 0.8
GROUPED = 4


def main(arguments: Sequence[str] | None = None, session: Session | None = None) -> int:
    """Run one command and return its exit code; ``session`` replaces the installed plugins in tests.

    A command that starts another one does not return: it is replaced by the launcher.
    """
    _open_what_is_closed()
    here = session or Session()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments), here)
        sys.stdout.flush()
    except HardeningError as error:
        _report(error, here.shipped_places)
        return error.exit_code
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _report(_usage_error(error))
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _abandon_output()
        return 128 + signal.SIGPIPE
    except BaseException as error:  # noqa: BLE001 - an exit code of 0 or 1 would say that a gate has decided
        found = worded(error)
        _abandon_output()
        _report(found)
        return found.exit_code
    return code


def _open_what_is_closed() -> None:
    """Have all three standard descriptors open, as POSIX lets programs expect: a file opened next would become what the
    command takes for its output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            # What is written here to a closed output is lost, and is an error, as for any other program.
            own = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if number == 1 else number
            stream = os.fdopen(own, "w" if number else "r", closefd=False, encoding="utf-8")
            setattr(sys, name, stream)


def _abandon_output() -> None:
    """Forget what is still buffered for a reader that is gone or a disk that is full: it must not be tried again before
    the error is shown, nor when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str], here: Session) -> int:
    from hardening.cli.root import root

    for argument in arguments:
        _require_utf8(argument)
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from hardening.cli.commands.completion import answer

        return answer(root, here, instruction)
    # click's own main() would exit by itself and word errors in its own way.
    with root.make_context(PROGRAM, list(arguments), obj=here) as context:
        here.words = tuple(arguments)
        code = root.invoke(context)
        # A command without an exit code of its own returns whatever it likes.
        return code if isinstance(code, int) else 0


def _require_utf8(argument: str) -> None:
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the argument {os.fsencode(argument)!r} is not UTF-8", hint="an OCI configuration holds UTF-8 text only"
        ) from None


def _usage_error(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else PROGRAM
    hint = f"`{path} --help` shows what there is"
    if isinstance(error, click.NoSuchOption):
        return UsageError(f"no such option: {error.option_name}", hint=_instead(error, context) or hint)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and context and isinstance(context.command, click.Group):
        names = ", ".join(context.command.list_commands(context))
        return UsageError(f"no command of `{path}`", hint=f"there are {names}; {hint}")
    message = error.format_message().removesuffix(".")
    if isinstance(error, click.MissingParameter):  # click lists what may be chosen, one a line, after the message
        message = message.partition("\n")[0].removesuffix(":").removesuffix(" Choose from").removesuffix(".")
    if context is not None and isinstance(error, click.UsageError):
        hint = _habit(_words(context), message) or hint
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _words(context: click.Context) -> str:
    """The command without the program's name: ``secret rm``."""
    return context.command_path.partition(" ")[2]


def _habit(command: str, message: str) -> str | None:
    """What to write instead of a word too many, or of a command of a group that there is not."""
    from hardening.cli.options.elsewhere import instead_of, of_command

    unknown = re.match(r"No such command '([^' ]+)'", message)
    if unknown is not None:
        return instead_of(f"{command} {unknown[1]}")
    return of_command(command) if message.startswith("Got unexpected extra argument") else None


def _instead(error: click.NoSuchOption, context: click.Context | None) -> str | None:
    """What to write instead of an option that does not exist: a podman user's answer, or the option of nearly its name."""
    from difflib import SequenceMatcher

    from hardening.cli.options.elsewhere import answer, of_command
    from hardening.cli.options.stack import StackCommand

    if context is not None:
        composes = isinstance(context.command, StackCommand)
        known = of_command(_words(context), error.option_name) or (answer(error.option_name) if composes else None)
        if known is not None:
            return known
    for name in error.possibilities or ():
        # click's own threshold takes --privileged for --pids-limit.
        if SequenceMatcher(None, error.option_name, name).ratio() > ALIKE:
            return f"did you mean {name}? `{context.command_path if context else PROGRAM} --help` shows what there is"
    return None


def _grouped(problems: Sequence[HardeningError]) -> list[HardeningError]:
    """Problems that differ only in the member that they begin with, as one that names all members, with the remedy of the
    first, that it may be pasted."""
    groups: dict[tuple[str, str, str, str], list[tuple[str, HardeningError]]] = {}
    for problem in problems:
        leaf, what = problem.setting, problem.message.removeprefix(f"{problem.setting}: ")
        table, _, member = leaf.rpartition(".")
        hint = (problem.hint or "").replace(leaf, table) if leaf else problem.hint or ""
        groups.setdefault((str(problem.origin), table, what, hint), []).append((member, problem))
    shown: list[HardeningError] = []
    for (_, table, what, hint), found in groups.items():
        if len(found) < GROUPED or not table:
            shown += [problem for _, problem in found]
            continue
        first = found[0][1]
        members = ", ".join(member for member, _ in found)
        message = f"{len(found)} of {table}: {what}: {members}"
        whose = f"for {found[0][0]}, and likewise for the others: " if hint != (first.hint or "") else ""
        shown.append(HardeningError(message, origin=first.origin, hint=whose + (first.hint or "") or None))
    return shown


def _texts(error: HardeningError) -> Iterator[str]:
    """An error as it is printed, or each of several: many that have one remedy as one, with a line for each."""
    alike: dict[object, list[str]] = {}
    for number, problem in enumerate(_grouped(error.problems)):
        head, _, hint = str(problem).partition("\n")
        alike.setdefault(hint or number, []).append(head)
    for key, heads in alike.items():
        remedy = f"\n{key}" if isinstance(key, str) else ""
        if len(heads) < GROUPED:
            yield from (head + remedy for head in heads)
        else:
            yield "\n  ".join([f"{len(heads)} problems with one remedy:", *heads]) + remedy


def _report(error: HardeningError, short: Callable[[str], str] = str) -> None:
    """Print an error on standard error, with places in ``short``."""
    mark = click.style("error:", fg="red", bold=True) if in_colour(sys.stderr) else "error:"
    for text in _texts(error):
        try:
            sys.stdout.flush()
            print(mark, escape(short(text)), file=sys.stderr, flush=True)
        except OSError:
            # Nobody can read it; the exit code still tells.
            return
