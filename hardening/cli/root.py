"""The root command. A subcommand's module is imported when that subcommand is asked for, whoever brings it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from hardening import __version__
from hardening.cli.added import OWN, load, owner, summary
from hardening.cli.commands import COMMANDS, FOLDERS, MODULES
from hardening.cli.options import completed_by
from hardening.cli.session import session
from hardening.errors import UsageError

EPILOG = """\b
Examples:
  hardening run -p strict -- id
  hardening explain -p web capabilities.NET_BIND_SERVICE
  hardening compose -p web -o ./bundle -- nginx
  hardening doctor
"""


class LazyGroup(click.Group):
    """A group whose own commands stand in modules of their names; other packages add theirs (`hardening.cli.added`)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *session(ctx).commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Asked before the program's own, so that another owner of one of their names is an error and not ignored.
        added = session(ctx).commands
        if cmd_name in added:
            return load(added[cmd_name])
        if cmd_name not in COMMANDS:
            return None
        folder = f"{FOLDERS[cmd_name]}." if cmd_name in FOLDERS else ""
        module = import_module(f"hardening.cli.commands.{folder}{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name if cmd_name in MODULES else "command")
        command.short_help = COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            from hardening.base.text import nearest
            from hardening.cli.options.elsewhere import instead_of

            hint = instead_of(*args) or nearest(args[0], names) or f"the commands are {', '.join(names)}"
            raise UsageError(f'unknown command "{args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own, others = list(COMMANDS.items()), list[tuple[str, str]]()
        for name, item in session(ctx).commands.items():
            (own if owner(item) == OWN else others).append((name, summary(item)))
        for heading, rows in (("Commands", own), ("Commands of plugins", others)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="hardening", message="%(prog)s %(version)s")
@click.option(
    "--without",
    multiple=True,
    metavar="PLUGIN",
    shell_complete=completed_by("complete_plugin"),
    help="Leave a plugin out. Nothing is launched without one that has a say in it.",
)
@click.pass_context
def root(context: click.Context, without: tuple[str, ...]) -> Any:
    """Compose layered security profiles into one OCI runtime spec, and run commands under it without a daemon."""
    session(context).without = without
    if context.invoked_subcommand is None:
        raise UsageError("no command", hint="`hardening --help` lists the commands")
