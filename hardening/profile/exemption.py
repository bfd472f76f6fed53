"""Exceptions of a layer: ``[[exceptions]]``, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from functools import partial

from hardening.base.values import frozen
from hardening.errors import Gathering
from hardening.profile.source import Node, Origin, gathered_members

#: What an exception may say.
OF_EXCEPTIONS = ("setting", "reason", "owner", "ticket", "expires")
#: What stands in the place of a reason where an option is given to paste, and where a table is that somebody reviews.
REASON, WHY = "REASON", "why this is needed"
#: What stands there in the place of one: that, and what people write for later. Case, and what may stand around it
#: (`is_placeholder`), make no difference.
_PLACEHOLDERS = {"", REASON.lower(), WHY, "todo", "tbd", "fixme", "xxx"}


def is_placeholder(reason: str) -> bool:
    """Whether a reason is none, but stands in the place of one."""
    return reason.strip(" .…?!:<>[](){}").lower() in _PLACEHOLDERS


@frozen
class Exemption:
    """One ``[[exceptions]]`` entry: it permits one loosening of ``setting`` in its own layer. ``ends`` is where the last day
    of one that has a last day is said, ``named`` where its setting is; ``owner`` answers for
    it."""

    setting: str
    reason: str
    ticket: str
    expires: date | None
    origin: Origin
    ends: Origin | None = None
    owner: str = ""
    named: Origin | None = None

    @property
    def data(self) -> dict[str, str | None]:
        """What is recorded and shown of it, as JSON data."""
        return {
            "setting": self.setting,
            "reason": self.reason,
            "ticket": self.ticket or None,
            "expires": self.expires.isoformat() if self.expires else None,
            "origin": str(self.origin),
        }


def read_all(nodes: Iterable[Node], each: Gathering) -> Iterator[Exemption]:
    """The exceptions of a layer of which nothing is wrong; what is, `each` has."""
    for node in nodes:
        before = len(each.problems)
        found = each.attempt(partial(_read, node, each))
        if found is not None and len(each.problems) == before:
            yield found


def _read(node: Node, each: Gathering) -> Exemption:
    before = len(each.problems)
    fields = gathered_members(node, OF_EXCEPTIONS, f"an exception has {', '.join(OF_EXCEPTIONS)}", each)
    read = {key: each.attempt(member.string) for key, member in fields.items() if key != "expires"}
    texts = {key: text.strip() for key, text in read.items() if text is not None}
    ends = fields.get("expires")
    expires = each.attempt(lambda: _expiry(ends))
    for key in ("setting", "reason"):
        # Of one whose key is misspelt that is said.
        if not texts.get(key) and (key in fields or len(each.problems) == before):
            raise fields.get(key, node).error(
                f"an exception needs a {key}", hint='write `setting = "table.key"` and `reason = "…"`'
            )
    setting = texts.get("setting", "")
    return Exemption(
        fields["setting"].filled(setting) if setting else "",
        texts.get("reason", ""),
        texts.get("ticket", ""),
        expires,
        node.origin,
        ends.origin if ends else None,
        texts.get("owner", ""),
        fields["setting"].origin if setting else None,
    )


def _expiry(node: Node | None) -> date | None:
    if node is None:
        return None
    raw = node.raw
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw)
        except ValueError:
            raise node.error(f'"{raw}" is not a date', hint="write expires = 2030-12-31") from None
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    raise node.wrong_type("a date")
