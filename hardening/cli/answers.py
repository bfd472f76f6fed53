"""How answers about a stack are shown: those of ``hardening explain``, and of ``hardening why`` without a command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import attrs

from hardening.assemble.pipeline import examine
from hardening.base.text import nearest
from hardening.cli import output
from hardening.cli.options.says import unquoted
from hardening.compose.fold import EMPTY, Resolved
from hardening.errors import UsageError, quoted
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening.plugin.plugins import Plugins
from hardening.report import data, explain, image_defaults, settings
from hardening.report.explain import Question
from hardening.report.image_defaults import ShownDefault
from hardening.report.places import shortener
from hardening.report.table import Table
from hardening.why import attempt, loosen, question, together
from hardening.why.attempt import Attempt, Pending
from hardening.why.loosening import Loosening, merged
from hardening.why.question import Answered

#: To what several loosenings at once loosen.
_ALL = "all of this"
_QUESTIONS = "write /PATH, NAME, NAME(ARGUMENT,...), HOST:PORT or :PORT."


def _offered(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> list[ShownDefault]:
    """What an image says, of all or of some leaves; nothing without one."""
    found = image_defaults.offered(tried.offer, tried.composition, tried.host) if tried.offer is not None else ()
    names = None if leaves is None else [str(leaf) for leaf in leaves]
    return [item for item in found if names is None or item.leaf in names]


def image_data(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> dict[str, object] | None:
    """What an image says, for JSON; None without one."""
    return image_defaults.data(_offered(tried, leaves), tried.offer) if tried.offer is not None else None


def show_image(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> None:
    """What an image says."""
    if tried.offer is None:
        return
    found = image_defaults.table(_offered(tried, leaves), tried.offer)
    if found.rows:
        output.show("")
        output.show_table(found)
    elif leaves is None:
        output.show(f"\n{found.title} asks for nothing")


def show_path(tried: Attempt, path: str, as_json: bool) -> bool:
    """What becomes of a path inside, the lines that decide, and what would permit the rest; whether any of it can be had."""
    answers = [*question.of_path(tried, examine(tried.composition, tried.host), path)]
    if as_json:
        output.show_json({"path": path, "answers": _data(answers), "error": data.error(tried.error)})
    else:
        _show_answers(tried, answers, path, "to have it {}")
    return any(map(_can_be_had, answers))


def _data(answers: Iterable[Answered]) -> list[dict[str, Any]]:
    return [
        {
            "asked": item.asked,
            "answer": item.answer,
            **(data.resolved(item.entry) if item.entry is not None else {}),
            "loosening": data.loosening(item.loosening),
            "advice": item.advice,
        }
        for item in answers
    ]


def _show_answers(tried: Attempt, answers: Iterable[Answered], title: str, wanted: str) -> None:
    answers = [*answers]
    columns = ("asked", "answer", "setting", "decided by", "limited by")
    table = Table(columns, tuple(map(_row, answers)), title, expands=True)
    output.show_table(table.mapped(_in_short(tried)))
    for item in answers:
        if item.loosening is not None:
            show_loosening(tried, item.loosening, None, f" {wanted.format(item.asked)}")
        if item.advice:
            output.show("")
            output.show_wrapped(f"{item.asked}: {item.advice}")


def _row(item: Answered) -> tuple[str, ...]:
    entry = item.entry
    if entry is None:
        return item.asked, item.answer, "", "", ""
    return item.asked, item.answer, str(entry.leaf), entry.origin, f"{entry.limit_shown} {entry.limit_origin}".strip()


def ask(tried: Attempt, asked: str, plugins: Plugins, as_json: bool) -> bool:
    """What a stack's command may do with a path, a system call, a capability or an address, and whether it can be had, as it
    is or with what would permit it. Raises `UsageError` for a word that names none of these, or two."""
    if asked.startswith("/"):
        return show_path(tried, asked, as_json)
    context = examine(tried.composition, tried.host)
    calls = question.calls_of(asked, context)
    if not calls and "." in asked:  # a name with its table
        show_name(tried, explain.meant(tried.composition.mechanisms, tried.host, unquoted(asked)), as_json)
        return True
    uses = {use: [*question.of_calls(tried, context, made)] for use, made in calls.items()}
    uses = uses or {asked: _of_word(tried, context, asked)}
    if as_json:
        output.show_json(_of_uses(tried, asked, uses, plugins))
    else:
        for number, (use, found) in enumerate(uses.items()):
            if number:
                output.show("")
            _show_use(tried, use, found, plugins)
    return all(map(_can_be_had, chain.from_iterable(uses.values())))


def _of_uses(tried: Attempt, asked: str, uses: Mapping[str, list[Answered]], plugins: Plugins) -> dict[str, Any]:
    """The answers for JSON; of several uses also what permits each."""
    found = [*chain.from_iterable(uses.values())]
    each = {use: data.loosening(_whole(answers)) for use, answers in uses.items()} if len(uses) > 1 else None
    return {
        "question": asked,
        "answers": _data(found),
        "loosening": data.loosening(_whole(found)),
        "warnings": _warned(tried, _whole(found), plugins),
        **({"uses": each} if each is not None else {}),
        "error": data.error(tried.error),
    }


def _show_use(tried: Attempt, use: str, found: list[Answered], plugins: Plugins) -> None:
    """The answers for one use, and what permits all of it, or what can be had of it, with what a run would be warned of."""
    whole = _whole(found)
    if whole is None or whole.shown != _ALL:
        _show_answers(tried, found, use, "for {}")
    else:
        others = [item if _barred(item) else attrs.evolve(item, loosening=None) for item in found]
        _show_answers(tried, others, use, "for {}")
        show_loosening(tried, whole, None, f" for {use}" if all(map(_can_be_had, found)) else f" for the rest of {use}")
    for warning in _warned(tried, whole, plugins):
        output.show(f"\nwarning: {warning}")


def _warned(tried: Attempt, way: Loosening | None, plugins: Plugins) -> list[str]:
    """What plugins warn of with a loosening that nothing forbids."""
    if way is None or way.barrier:
        return []
    return [finding.message for finding in together.warnings(tried, way, plugins)]


def _in_short(tried: Attempt) -> Callable[[str], str]:
    return shortener((*tried.composition.stack.layers, *tried.pending))


def _can_be_had(item: Answered) -> bool:
    """Whether a thing is permitted, or would be with the loosening that stands beside it."""
    return not _barred(item) if item.loosening is not None else not item.denied


def _whole(found: Iterable[Answered]) -> Loosening | None:
    """What permits all that was asked, as far as something does."""
    ways = [item.loosening for item in found if item.loosening is not None and not item.loosening.barrier]
    if len(ways) < 2:
        return next(iter(ways), None)
    return attrs.evolve(merged(ways), shown=_ALL)


def _barred(item: Answered) -> bool:
    return item.loosening is not None and bool(item.loosening.barrier)


def _of_word(tried: Attempt, context: Context, word: str) -> list[Answered]:
    """The answers for a system call, by its name or number, with any arguments, or for a capability."""
    mechanisms, name = tried.composition.mechanisms, question.name_of(word)
    found = explain.members(mechanisms, name)
    if len(found) > 1:
        raise UsageError(f"{word} is the name of {len(found)} things", hint=f"write {' or '.join(found)}")
    if not found:
        members = {leaf.member for leaf in tried.composition.leaves if not leaf.setting}
        hint = explain.elsewhere(mechanisms, word, tried.composition.leaves)
        hint = hint or nearest(word.removeprefix("CAP_"), {*question.names(), *members})
        raise UsageError(
            f"{word} is no system call, capability, path or address",
            hint=f"{hint or _QUESTIONS} A command goes after `--`: hardening why -- {quoted(word)}",
        )
    entry = explain.find(tried.composition, found[0]).leaves[0]
    mechanism = next(item for item in mechanisms if item.name == entry.leaf.mechanism)
    way = question.of_capability(tried, context, mechanism, entry) or loosen.smallest(tried, mechanism, entry)
    own = Answered(word, entry.shown, entry=entry, loosening=way)
    calls = [question.made(name, (), context, word)] if name in question.names() else []
    others = question.of_calls(tried, context, calls, without=mechanism.name)
    return [own, *(item for item in others if item.entry is not None)]


def show_name(tried: Attempt, name: str, as_json: bool) -> None:
    """One leaf with its history, or those of a table; also of a call with arguments, ``TABLE.NAME(ARGUMENT, ...)``."""
    composition = tried.composition
    asked = explain.ask(composition, examine(composition, tried.host), name) if "(" in name else None
    answer = explain.find(composition, asked.name if asked else name, tried.host)
    if answer.inside and not as_json:
        output.show(f"{answer.inside} lies in {answer.leaves[0].leaf.member}, which decides:\n")
    if answer.single:
        _show_leaf(tried, answer.leaves[0], asked, as_json)
    else:
        _show_leaves(tried, answer.leaves, name, asked, as_json)


def _show_leaves(
    tried: Attempt, entries: tuple[Resolved, ...], title: str, asked: Question | None, as_json: bool
) -> None:
    if as_json:
        leaves = [data.resolved(entry) for entry in entries]
        image = image_data(tried, [entry.leaf for entry in entries])
        output.show_json({"leaves": leaves, "answer": _answer(asked), "image": image, "error": data.error(tried.error)})
        return
    _show_answer(asked)
    output.show_table(settings.leaves(entries, title).mapped(_in_short(tried)))
    show_image(tried, [entry.leaf for entry in entries])


def _show_leaf(tried: Attempt, entry: Resolved, asked: Question | None, as_json: bool) -> None:
    mechanism = next(item for item in tried.composition.mechanisms if item.name == entry.leaf.mechanism)
    waiting = list(attempt.pending(tried, mechanism, entry))
    refused = next((item for item in waiting if item.outcome == attempt.REFUSED), None)
    if refused is not None:
        way = loosen.permit(tried, mechanism, entry, refused)
    else:
        way = loosen.smallest(tried, mechanism, entry)
    if as_json:
        output.show_json(
            {
                **data.resolved(entry),
                "answer": _answer(asked),
                "pending": [attrs.asdict(item, filter=attrs.filters.exclude("statement")) for item in waiting],
                "image": image_data(tried, [entry.leaf]),
                "loosening": data.loosening(way),
                "error": data.error(tried.error),
            }
        )
        return
    _show_answer(asked)
    output.show(f"{entry.leaf} = {entry.shown}")
    output.show_wrapped(mechanism.meaning(entry.leaf), "  ")
    in_short = _in_short(tried)
    output.show(f"  decided by {in_short(entry.origin)}")
    if entry.limit_origin:
        output.show(f"  limited to {entry.limit_shown} by {in_short(entry.limit_origin)}")
    image = tried.offer.origin if tried.offer is not None else ""
    table = explain.history(entry, waiting, _offered(tried, [entry.leaf]), image)
    if table.rows:
        output.show("")
        output.show_table(table.mapped(in_short))
    else:
        output.show("  no layer sets it")
    if way is not None:
        show_loosening(tried, way, refused)
    elif not entry.kind.unordered and entry.kind.is_loosest(entry.value):
        output.show(f"\nno loosening: nothing is looser than {entry.shown}")


def _answer(asked: Question | None) -> dict[str, Any] | None:
    return {"arguments": list(asked.arguments), "result": asked.result} if asked else None


def _show_answer(asked: Question | None) -> None:
    if asked is not None:
        output.show(f"{asked.name}({', '.join(asked.arguments)}): {asked.result}\n")


def show_loosening(tried: Attempt, way: Loosening, refused: Pending | None, wanted: str = "") -> None:
    """A loosening to paste, or why there is none; ``refused`` is the say that it is to stand beside, ``wanted`` what for."""
    output.show("")
    if way.barrier:
        output.show_wrapped(f"no loosening{wanted}: {_in_short(tried)(way.barrier)}")
        return
    which = f"a loosening{wanted}, for example" if way.example else f"smallest loosening{wanted},"
    where = f"in the layer of {refused.origin}" if refused else ""
    first, _, rest = f"{which} to {way.shown or EMPTY}, {pasted(way, where)}".partition("\n")
    output.show_wrapped(first)
    output.show(rest)


def pasted(way: Loosening, where: str = "") -> str:
    """A loosening as it is pasted ``where`` it is to stand, a later layer unless that is said, or typed."""
    ways = []
    if way.toml:
        lines = "\n".join(f"    {line}".rstrip() for line in way.toml.splitlines())
        ways.append(f"{where or f'in a later layer{way.instead}'}:\n\n{lines}")
    if way.options:
        ways.append(f"on the command line{way.instead}:\n\n    {shlex.join(way.options)}")
    return "\n\nor ".join(ways)
