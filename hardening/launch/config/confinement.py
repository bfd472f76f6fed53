"""Helpers that stand before a command: each is executed as the command, confines itself by what only a process can do for
itself (landlock(7)), and executes what follows.

In `/process/args` each one's words end with `--`. An annotation of `config.json` has the same words: whoever tells of the
command leaves them out, and a command that comes later (`hardening.launch.config.variables`) goes behind them.
"""

from __future__ import annotations

from hardening.base import jsontext
from hardening.base.pointer import ARGS, escape, items, lookup
from hardening.errors import LaunchError
from hardening.launch.config.bundle import HELPERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

END = "--"
POINTER = f"/annotations/{escape(HELPERS)}"


def parse(text: object) -> list[list[str]]:
    """The words of each helper, as the annotation has them. `LaunchError` for one that is no list of such."""
    found = jsontext.parse(text.encode("utf-8", "surrogateescape"), HELPERS) if isinstance(text, str) else None
    if not isinstance(found, list) or not all(map(_is_invocation, found)):
        raise LaunchError("must be a JSON list of lists of words, each beginning with an absolute path", origin=HELPERS)
    return found


def _is_invocation(words: object) -> bool:
    return isinstance(words, list) and all(isinstance(word, str) for word in words) and "".join(words[:1])[:1] == "/"


def helpers(document: object) -> list[list[str]]:
    """The words of each helper of a configuration, the one that is executed first being the first. `LaunchError` as
    `parse`."""
    text = lookup(document, POINTER)
    return [] if text is None else parse(text)


def joined(found: Iterable[Sequence[str]], command: Sequence[str]) -> list[str]:
    """What `/process/args` is of a command with these helpers before it."""
    return [word for words in found for word in (*words, END)] + list(command)


def command(document: object) -> list[str]:
    """The command of a configuration without its helpers; all of `/process/args` where it does not begin with them.
    `LaunchError` as `parse`."""
    args = items(document, ARGS)
    before = joined(helpers(document), ())
    return args[len(before) :] if args[: len(before)] == before else args
