"""``hardening trust``: each subcommand stands in a module of its own, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "show": "Show the policy: which scopes there are, and what each requires.",
    "explain": "Show which scope decides about an image, why, and what it requires.",
    "set": "Say what a scope requires, in a profile or a policy.json.",
    "lint": "Find scopes that never match, and keys that are missing, expired or unsafe.",
    "import": "Take a policy.json over into a profile.",
    "export": "Write the policy as policy.json and registries.d, for podman and skopeo.",
    "verify": "Hold images against the policy, and say why one is refused.",
    "sign": "Sign an image with a key of yours.",
    "serve": "Share a directory of signatures over HTTP, read-only.",
}


#: Modules of other names than their commands: one is no word that Python takes for a module.
_MODULES = {"import": "take_over"}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{_MODULES.get(cmd_name, cmd_name)}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from hardening.base.text import nearest
            from hardening.cli import api
            from hardening.errors import UsageError

            hint = (
                api.instead_of("trust", args[0])
                or nearest(args[0], COMMANDS)
                or f"the commands are {', '.join(COMMANDS)}"
            )
            raise UsageError(f'unknown command "trust {args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    "trust",
    cls=_Group,
    short_help="Say which images may be used, sign them, and verify them.",
    epilog="""\b
Examples:
  hardening trust explain -p ./team.toml docker.io/library/busybox
  hardening trust verify --policy /etc/containers/policy.json docker.io/library/busybox
  hardening trust sign --key release@example.com registry.example.com/team/app:1
""",
)
def group() -> None:
    """Which images may be used, and who has to have signed them."""
