"""``hardening completion``: what a shell must run to complete our command lines."""

from __future__ import annotations

import shlex

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete, get_completion_class

from hardening.cli import output
from hardening.cli.commands import COMPLETE_VARIABLE, PROGRAM
from hardening.cli.session import Session

EPILOG = """\b
Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  hardening completion bash > ~/.local/share/bash-completion/completions/hardening
  hardening completion zsh > "${fpath[1]}/_hardening"
  hardening completion fish > ~/.config/fish/completions/hardening.fish
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL. It completes commands, options, and the names of profiles, runtimes, settings,
    images, containers, secrets, plugins and rules."""
    # The script's text alone: click's own source() also asks the installed bash for its version.
    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    complete = kinds[shell](context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    output.show_raw((complete.source_template % complete.source_vars()).encode())


def answer(root: click.Command, here: Session, instruction: str) -> int:
    """What the script of a shell asks for, on standard output, as ``bash_complete``: the exit code. Of what could be meant,
    names that somebody else has chosen among it, only what the shell takes as it stands: bash puts it into the line
    unquoted."""
    shell, _, what = instruction.partition("_")
    found = get_completion_class(shell)
    if found is None:
        return 1

    class Complete(found):  # type: ignore[misc, valid-type]
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
            items: list[CompletionItem] = super().get_completions(args, incomplete)
            plain = [item for item in items if item.type != "plain" or _is_plain(item.value)]
            for item in plain:
                item.help = output.escape(item.help).replace("\n", " ") if item.help else item.help
            return plain

    def _is_plain(value: str) -> bool:
        return value.isprintable() and (shell != "bash" or shlex.quote(value) == value)

    complete = Complete(root, {"obj": here}, PROGRAM, COMPLETE_VARIABLE)
    if what not in ("source", "complete"):
        return 1
    output.show_raw((complete.source() if what == "source" else complete.complete()).encode() + b"\n")
    return 0
