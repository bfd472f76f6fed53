"""The options that name a stack: profiles, settings, and those that mechanisms offer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hardening.cli.options import F, add, completed_by, is_typed
from hardening.cli.session import Request, Session, session
from hardening.errors import HardeningError, HostError, UsageError, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from hardening.cli.options.says import Said
    from hardening.compose.composition import Composition
    from hardening.mechanism.mechanism import Mechanism, Option
    from hardening.mechanism.schema import Setting

#: What follows an option and is no value of something else: a name, a number or two, or a path.
_NAME = r"[\w*]*|[\d:]*|\.{0,2}/\S*"

#: The setting that gives a command a terminal.
TERMINAL = ("process", "terminal")
_SAYS = "hardening.says"


class StackCommand(click.Command):
    """A command that composes a stack: it also has the options of every installed mechanism."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        added = [
            _parameter(mechanism, option)
            for mechanism in session(ctx).plugins.mechanisms
            for option in mechanism.options()
        ]
        taken = {flag for parameter in own if isinstance(parameter, click.Option) for flag in parameter.opts}
        for flag in (flag for parameter in added for flag in parameter.opts if flag in taken):
            # A command of another package: what mechanisms offer is held against the program's own as plugins are loaded.
            from hardening.plugin.plugincalls import fault

            command = ctx.command_path.split()[1]
            what = (
                f": `{ctx.command_path}` has the option {flag}, which a mechanism offers to every command with a stack"
            )
            raise fault(session(ctx).commands[command], what)
        # The help option comes last.
        return [*own[:-1], *added, *own[-1:]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        offered: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                (offered if isinstance(parameter, MechanismOption) else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        if offered:
            with formatter.section("Options of mechanisms, each set as the last layer"):
                formatter.write_dl(offered)


class MechanismOption(click.Option):
    """An option that a mechanism offers; ``family`` is the setting whose list it adds to or takes from."""

    family: Setting | None = None


def _parameter(mechanism: Mechanism[Any], option: Option) -> MechanismOption:
    path = (mechanism.name, *option.key.split("."))
    flag = option.flags[0]

    def collect(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        says: list[Said] = ctx.meta.setdefault(_SAYS, [])
        says += _says(mechanism, path, option, value)

    name = "__".join(path).replace("-", "_") + "__" + flag.lstrip("-").replace("-", "_")
    counted = option.value is not None
    found = MechanismOption(
        [name, *option.flags],
        count=counted,
        multiple=not counted,
        expose_value=False,
        callback=collect,
        help=option.help,
        metavar="" if counted else option.metavar or "VALUE",
        shell_complete=completed_by("complete_member"),
    )
    found.family = mechanism.schema.settings.get(option.key.rpartition(".")[0])
    return found


def _says(mechanism: Mechanism[Any], path: tuple[str, ...], option: Option, value: Any) -> list[Said]:
    from hardening.cli.options.says import Said

    flag = min(option.flags, key=len)
    if option.value is not None:
        return [Said(path, option.value, flag)] if value else []
    if "--" in (value or ()):
        # The parser takes the end of the options for the value.
        raise UsageError(f"{flag} needs a value", hint=f"write {flag} {option.metavar or 'VALUE'}, and then `--`")
    number = _is_number(mechanism, option)
    return [
        Said(path, [text] if option.multiple else int(text) if number and _is_digits(text) else text, f"{flag} {text}")
        for text in value or ()
    ]


def _is_digits(text: str) -> bool:
    """Whether text is a number that TOML could hold; longer ones are left to the setting, which refuses text."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def _is_number(mechanism: Mechanism[Any], option: Option) -> bool:
    """Whether an option's setting holds a number: what was typed is then one where it can be."""
    from hardening.mechanism.schema import Scalar

    found = mechanism.schema.find(option.key)
    default = found[0].default if found and isinstance(found[0], Scalar) else None
    return isinstance(default, int) and not isinstance(default, bool)


def complete_profile(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of profiles that begin with what was typed; a path is the shell's to complete."""
    from click.shell_completion import CompletionItem

    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    try:
        found = session(ctx).search.all()
    except HardeningError:
        return []
    owners = {item.name: item.owner for item in found if item.name.startswith(incomplete)}
    names = [CompletionItem(name, help=owner) for name, owner in owners.items()]
    return names or [CompletionItem(incomplete, type="file")]


def _collect_sets(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        from hardening.cli.options.says import parse_exception, parse_set

        parse = parse_set if parameter.name == "sets" else parse_exception
        says: list[Said] = ctx.meta.setdefault(_SAYS, [])
        try:
            says += [parse(text) for text in value]
        except UsageError as error:
            _name_the_table(ctx, error)
            raise


def _name_the_table(ctx: click.Context, error: UsageError) -> None:
    """Where a setting was written without its table, say which table has it."""
    from hardening.report.explain import elsewhere

    key = str(error.origin).removeprefix("--set ").partition("=")[0].strip()
    error.hint = elsewhere(session(ctx).plugins.mechanisms, key) or error.hint


def _default_profiles() -> tuple[str, ...]:
    """The profiles where none is named. A line that is only completed must not fail for them."""
    from hardening.profile.machine import Machine

    context = click.get_current_context()
    return Machine().default if context.resilient_parsing else session(context).machine.default


def profile_option(name: str, what: str, **settings: Any) -> Callable[[F], F]:
    """``--profile``, as a parameter of a command of this name, whose help says ``what`` profiles are named."""
    return click.option(
        "-p", "--profile", name, multiple=True, metavar="PROFILE", shell_complete=complete_profile, help=what,
        **settings,
    )  # fmt: skip


def stack_options(function: F) -> F:
    """Add ``--profile``, ``--set`` and ``--exception`` to a command of class `StackCommand`."""
    said: dict[str, Any] = {
        "multiple": True, "expose_value": False, "callback": _collect_sets,
        "shell_complete": completed_by("complete_setting"),
    }  # fmt: skip
    profile = (
        "A profile, by name or path; may be repeated, later ones stand closer to the command. "
        "Default: default, or what /etc/hardening/hardening.toml says."
    )
    value = "Set one value, as the last layer. VALUE is TOML, or else a string."
    reason = "Permit what --set and the options of mechanisms loosen, for a reason; may be repeated."
    return add(
        function,
        profile_option("profiles", profile, default=_default_profiles),
        click.option("--set", "sets", metavar="TABLE.KEY=VALUE", help=value, **said),
        click.option("--exception", "exceptions", metavar="SETTING=REASON", help=reason, **said),
    )


def request(context: click.Context, profiles: tuple[str, ...]) -> Request:
    """What the parsed command line asks for. Raises `UsageError` where options contradict each other."""
    from hardening.cli.options.says import document

    return Request(profiles, document(context.meta.get(_SAYS, ())))


def is_named(context: click.Context) -> bool:
    """Whether the parsed command line says anything of a stack."""
    return is_typed(context, "profiles") or bool(context.meta.get(_SAYS))


def excepted(context: click.Context, profiles: tuple[str, ...], exceptions: Iterable[str]) -> Request:
    """What the parsed command line asks for, and ``exceptions`` (``SETTING=REASON``) beside it."""
    from hardening.cli.options.says import parse_exception

    context.meta.setdefault(_SAYS, []).extend(map(parse_exception, exceptions))
    return request(context, profiles)


@contextmanager
def beside_default(here: Session, request: Request) -> Iterator[None]:
    """Where the host cannot enforce what the named profiles require, and could beside `default`, whose place they take,
    have the error say so."""
    try:
        yield
    except HardeningError as error:
        problems = error.problems
        named = set(here.machine.default) <= set(request.profiles)
        if not named and all(isinstance(item, HostError) for item in problems):
            _say_beside(here, request, problems)
        raise


def _say_beside(here: Session, request: Request, problems: Sequence[HardeningError]) -> None:
    from hardening.assemble import pipeline

    default = here.machine.default
    profiles = tuple(dict.fromkeys((*default, *request.profiles)))
    try:
        pipeline.check(here.compose(Request(profiles, request.options)), here.host, None)
    except HardeningError:
        return
    named = " ".join(f"-p {quoted(profile)}" for profile in profiles)
    for problem in problems:
        beside = f"where -p names a profile, {', '.join(default)} has to be named, too: {named}"
        problem.hint = f"{beside}; or {problem.hint}" if problem.hint else beside


def require_keyboard(composition: Composition) -> None:
    """Raise `UsageError` where an option or a profile asks for a terminal of the command's own, and there is none to type
    it: the end of a pipe would never be told to the command."""
    from hardening.mechanism.schema import Leaf

    asked = composition.leaves.get(Leaf(*TERMINAL))
    if asked is not None and asked.value is True and not os.isatty(0):
        instead = (
            f"{asked.origin}, or -i" if asked.origin.startswith("-") else "-i, or add --set process.terminal=false"
        )
        hint = f"standard input is not a terminal: leave out {instead}"
        raise UsageError("standard input is not a terminal", origin=asked.origin, hint=hint)


def seen_from(folder: Path, profile: str) -> str:
    """The path of a profile that the caller names, as a layer in a folder extends it."""
    path = os.path.relpath(profile, folder)
    return path if path.startswith("../") else f"./{path}"


def require_no_layer(composition: Composition, option: str, target: Path | None) -> None:
    """Raise `UsageError` for a file to be written, as ``option`` names it, that is a profile of the stack: it would be
    lost."""
    place = os.path.realpath(target) if target is not None else ""
    for layer in composition.stack.layers:
        if layer.document.file is not None and place == os.path.realpath(layer.document.file):
            said = "it is a profile of the stack, and would be replaced"
            raise UsageError(said, origin=f"{option} {target}", hint="name another file")


def without_values(context: click.Context, text: str) -> str:
    """A text that quotes options of the parsed command line, without the values that they say: one may be a secret. So may
    be what is neither a name nor a path, for a ``=`` is easily forgotten."""
    from hardening.profile.source import SHORTEST, singles

    # As errors write them: on one line.
    places: list[str] = [said.place.replace("\n", "\\n") for said in context.meta.get(_SAYS, ())]
    for place in sorted(places, key=len, reverse=True):
        named, equals, _ = place.partition("=")
        option, _, word = place.partition(" ")
        if equals:
            text = text.replace(place, f"{named}=…")
        elif word and not re.fullmatch(_NAME, word):
            text = text.replace(place, f"{option} …").replace(word, "…")
    # A message may quote one text of an array, or what stands after its `=`. A reason is there to be read.
    typed = [said.value for said in context.meta.get(_SAYS, ()) if said.path[0] != "exceptions"]
    single = {one.replace("\n", "\\n") for one in singles(typed)}
    values = {after for one in single if len(after := one.partition("=")[2]) >= SHORTEST}
    for value in sorted({one for one in single if not re.fullmatch(_NAME, one)} | values, key=len, reverse=True):
        text = text.replace(value, "…")
    return text


def pasteable(context: click.Context, words: Sequence[str]) -> tuple[str, str]:
    """The words of the parsed command line as a shell takes them, without a value that `without_values` leaves out, however
    its option was written (``-e A=B``, ``-eA=B``, ``--env=A=B``), and what is to be known of that; empty where nothing is
    left out. An option whose value may be a name alone (``NAME[=VALUE]``) keeps that, any other goes with its value."""
    said = sorted((item.place.partition(" ")[::2] for item in context.meta.get(_SAYS, ())), key=lambda it: -len(it[1]))
    named = {
        flag
        for parameter in context.command.get_params(context)
        if isinstance(parameter, click.Option) and str(parameter.metavar).endswith("[=VALUE]")
        for flag in parameter.opts
    }
    kept: list[str] = []
    passed: list[str] = []
    lost: list[str] = []
    for word in words:
        flag, value = next(((flag, value) for flag, value in said if value and word.endswith(value)), ("", ""))
        name, equals, _ = value.partition("=")
        if not value or (not equals and re.fullmatch(_NAME, value)):
            kept.append(word)
        elif equals and flag in named:
            kept.append(word.removesuffix(value) + name)
            passed.append(name)
        else:
            if word == value:
                kept.pop()  # the option, a word of its own
            lost.append(f"{flag} {name}" if equals else flag)
    remarks = [f"{', '.join(passed)} taken from your environment"] if passed else []
    remarks += [f"{', '.join(lost)} left out"] if lost else []
    line = " ".join(map(quoted, kept))
    return (
        line,
        f"({' and '.join(remarks)}: values that were typed may be secrets, and are not repeated)" if remarks else "",
    )
