"""Write man/hardening.1, the manual page (man(7), groff_man(7)), from what the commands say of themselves: tools/man.py

A test holds the page against the commands; a wheel installs it where man(1) finds it beside the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from hardening import __version__
from hardening.cli.commands import PROGRAM
from hardening.cli.options.stack import MechanismOption, StackCommand
from hardening.cli.root import root
from hardening.cli.session import Session

PAGE = Path(__file__).parents[1] / "man/hardening.1"
#: The parameters that each command with a stack has, which are described once.
_OF_STACK = ("profiles", "sets", "exceptions")
_CODES = {
    "0": "fine",
    "1": "findings",
    "2": "a bad profile or usage",
    "125": "the launcher, or a fault of our own or of a plugin",
    "126": "the command cannot be executed",
    "127": "the command does not exist",
    "128+N": "the command was ended by signal N",
}


def page() -> str:
    """The whole page."""
    context = root.make_context(PROGRAM, [], obj=Session(), resilient_parsing=True)
    commands = [*_commands(root, context)]
    stack = next(made for made in commands if isinstance(made.command, StackCommand))
    parts = [
        f'.TH HARDENING 1 "" "hardening {__version__}" "User Commands"',
        ".SH NAME\nhardening \\- layered, explainable security profiles for containers",
        f".SH SYNOPSIS\n.B {PROGRAM}\n[\\-\\-version] [\\-h | \\-\\-help] COMMAND ...",
        f".SH DESCRIPTION\n{_text(root.help or '')}",
        ".SH COMMANDS",
        *(_command(made) for made in commands),
        ".SH OPTIONS OF A STACK\nEach command that composes a stack has them.",
        *_options(stack, [item for item in stack.command.get_params(stack) if item.name in _OF_STACK]),
        ".SH OPTIONS OF MECHANISMS\nEach command that composes a stack has them, too; they are its last layer.",
        *_options(stack, [item for item in stack.command.get_params(stack) if isinstance(item, MechanismOption)]),
        ".SH EXIT STATUS",
        *(f".TP\n.B {code}\n{_text(meaning)}" for code, meaning in _CODES.items()),
        "Else the command's own.",
        ".SH SEE ALSO\n.BR podman (1),\n.BR crun (1),\n.BR capabilities (7),\n.BR namespaces (7),\n.BR seccomp (2)",
    ]
    return "\n".join(parts) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    """A context for each command of a group, and of the groups in it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            made = click.Context(command, parent=context, info_name=name, obj=context.obj)
            yield from _commands(command, made) if isinstance(command, click.Group) else (made,)


def _command(made: click.Context) -> str:
    """A subsection: how it is called, what it does, its own options, examples."""
    own = [item for item in made.command.get_params(made)
           if item.name not in _OF_STACK and not isinstance(item, MechanismOption)]  # fmt: skip
    usage = " ".join([made.command_path, *made.command.collect_usage_pieces(made)])
    more = ["The options of a stack and of mechanisms, below."] if isinstance(made.command, StackCommand) else []
    parts = [f'.SS "{_escaped(usage)}"', _text(made.command.help or ""), *_options(made, own)]
    parts += [f".PP\n{line}" for line in more]
    return "\n".join([*parts, *([_text(made.command.epilog)] if made.command.epilog else [])])


def _options(made: click.Context, options: Iterable[click.Parameter]) -> Iterator[str]:
    for option in options:
        record = option.get_help_record(made)
        if record is not None and isinstance(option, click.Option) and option.name != "help":
            yield f".TP\n.B {_escaped(record[0])}\n{_escaped(' '.join(record[1].split()))}"


def _text(text: str) -> str:
    """Paragraphs; those that click leaves as they are, behind a backspace, line by line."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("\b"):
            lines = paragraph.removeprefix("\b").strip("\n").splitlines()
            parts.append("\n".join([".PP", ".nf", *map(_escaped, lines), ".fi"]))
        else:
            parts.append(_escaped(" ".join(paragraph.split())))
    return "\n.PP\n".join(parts).replace("\n.PP\n.PP\n", "\n.PP\n")


def _escaped(line: str) -> str:
    """A line in which nothing is a request of roff's, and hyphens are those that are typed."""
    safe = line.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    ascii_only = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in safe)
    return f"\\&{ascii_only}" if safe.startswith((".", "'")) else ascii_only


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
