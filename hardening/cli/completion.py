"""``hardening completion``: what a shell must run to complete our command lines."""

from __future__ import annotations

import click

from hardening.cli import output

EPILOG = """\b
Examples:
  hardening completion bash > ~/.local/share/bash-completion/completions/hardening
  hardening completion zsh > "${fpath[1]}/_hardening"
  hardening completion fish > ~/.config/fish/completions/hardening.fish
"""


@click.command("completion", epilog=EPILOG, short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL. It completes commands, options, profiles, runtimes and settings."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from hardening.cli import COMPLETE_VARIABLE, PROGRAM

    # The script's text alone: click's own source() also asks the installed bash for its version.
    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    complete = kinds[shell](context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    output.show_raw((complete.source_template % complete.source_vars()).encode())
