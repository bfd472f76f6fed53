"""The order of requirements, and how they are written in a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hardening.base.digest import sha256
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.kinds import Kind, Unordered
from hardening.profile.source import Node
from hardening_trust.ends import REJECT, WORDS, read_word

if TYPE_CHECKING:
    from hardening_trust.requirements import Requirement, Requirements


class RequirementsKind(Kind["Requirements"]):
    """Sets of requirements: more of them are stricter, none is the loosest, `reject` is stricter than all, and of two of one
    kind that with fewer keys or a narrower identity (`hardening_trust.order`)."""

    def parse(self, node: Node) -> Requirements:
        if isinstance(node.raw, str):
            return read_word(node)
        items = [node] if isinstance(node.raw, dict) else list(node.items())
        if not items:
            raise node.error(
                "List of verification policy requirements must not be empty",
                hint='write "accept" where nothing is required',
            )
        from hardening_trust import written  # most runs read no requirement

        return written.read_all(items)

    def is_no_looser_than(self, a: Requirements, b: Requirements) -> bool:
        if a == REJECT or a >= b or b == REJECT:
            return a == REJECT or a >= b
        from hardening_trust.order import all_implied  # most runs compare no requirement

        return all_implied(a, b)

    def intersect(self, a: Requirements, b: Requirements) -> Requirements:
        if REJECT in (a, b):
            return REJECT
        if not (a and b):
            return a | b
        from hardening_trust.order import minimal

        return minimal(a | b)

    def is_loosest(self, value: Requirements) -> bool:
        return not value

    def grammar(self) -> str:
        return '`"accept"`, `"reject"`, a requirement such as `{ signedBy = "/path/to/key.gpg" }`, or an array of them'

    def samples(self) -> Sequence[Requirements]:
        from hardening_trust.written import samples

        return samples()

    def candidates(self, value: Requirements) -> Sequence[Requirements]:
        """Each requirement in turn left out; any, where all is rejected."""
        return [value - {item} for item in value] if value != REJECT else [frozenset()]

    def show(self, value: Requirements) -> str:
        if not value:
            return "accept"
        return " and ".join(sorted(show_one(item) for item in value))

    def dump(self, value: Requirements) -> object:
        word = next((word for word, known in WORDS.items() if known == value), None)
        if word is not None:
            return word
        from hardening_trust.written import dump

        tables = sorted((dump(item) for item in value), key=str)
        return tables[0] if len(tables) == 1 else tables


def show_one(requirement: Requirement) -> str:
    """A requirement as people read it."""
    from hardening_trust import requirements as model
    from hardening_trust.requirements import GPG_KEYS, SignedBy, SigstoreSigned

    data = model.dump_one(requirement)
    kind = str(data["type"])
    if not isinstance(requirement, SignedBy | SigstoreSigned):
        return {"insecureAcceptAnything": "accept"}.get(kind, kind)
    keys = [*requirement.key_paths, *(f"key data {sha256(item)[:12]}" for item in requirement.datas)]
    parts = requirement.parts if isinstance(requirement, SigstoreSigned) else {}
    keys += [f"{name} {sha256(str(part).encode())[:12]}" for name, part in sorted(parts.items())]
    text = f"{kind} {', '.join(keys) or 'no key'}"
    if isinstance(requirement, SignedBy) and requirement.key_type != GPG_KEYS:
        text += f" ({requirement.key_type})"
    named = model.dump_identity(requirement.identity)
    words = " ".join(str(word) for word in named.values())
    return text if words == "matchRepoDigestOrExact" else f"{text} as {words}"


@frozen(order=True)
class Lookaside:
    """Where the signatures of a scope lie: ``read`` is an http(s) or file URL, ``write`` a file URL, each or empty.
    ``attachments`` says whether sigstore signatures are looked for in the registry; None where nothing is said."""

    read: str = ""
    write: str = ""
    attachments: bool | None = None

    @property
    def fields(self) -> dict[str, str | bool]:
        """What is said, as registries.d has it."""
        values = (self.read, self.write, self.attachments)
        return {key: value for key, value in zip(FIELDS, values, strict=True) if value not in ("", None)}


#: The fields of a scope in registries.d.
FIELDS = ("lookaside", "lookaside-staging", "use-sigstore-attachments")
_READ, _WRITE = ("http://", "https://", "file:///"), ("file:///",)


def read_lookaside(node: Node) -> Lookaside:
    """A URL, or a table with fields as registries.d has them. Raises `ProfileError`."""
    if isinstance(node.raw, str):
        return Lookaside(_url(node, _READ))
    found: dict[str, str] = {}
    attachments: bool | None = None
    for key, item in node.members():
        if key not in FIELDS:
            raise item.error("unknown key", hint=nearest(key, FIELDS) or f"known: {', '.join(FIELDS)}")
        if key == FIELDS[2]:
            attachments = item.boolean()
        else:
            found[key] = _url(item, _READ if key == FIELDS[0] else _WRITE)
    if not found and attachments is None:
        raise node.error("a location without a URL", hint='write "https://example.com/signatures"')
    return Lookaside(found.get(FIELDS[0], ""), found.get(FIELDS[1], ""), attachments)


def _url(node: Node, schemes: Sequence[str]) -> str:
    url = node.string()
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise node.error("a URL with a user or a password in it", hint="signatures are no secret: leave them out")
    if not url.startswith(tuple(schemes)) or url in schemes:
        raise node.error(f'"{url}" is not a URL of {", ".join(schemes)}', hint=f"write {schemes[-1]}PATH")
    return url


@frozen(eq=False)
class LookasideKind(Unordered[Lookaside | None]):
    """A place has no order: a signature counts by who has made it, wherever it lies."""

    optional = True
    reader: Callable[[Node], Lookaside | None] = read_lookaside
    text: str = "a URL (`https://…`, `file:///…`), or a table with " + ", ".join(f"`{name}`" for name in FIELDS)
    examples: tuple[Lookaside | None, ...] = (
        Lookaside("https://example.com/sigs"), Lookaside("file:///srv/sigs", "file:///srv/sigs"),
        Lookaside(attachments=True),
    )  # fmt: skip

    def show(self, value: Lookaside | None) -> str:
        if value is None:
            return "none"
        words = [
            value.read or ("nothing read" if value.write else ""),
            f"written to {value.write}" if value.write else "",
            "" if value.attachments is None else f"{'with' if value.attachments else 'no'} sigstore attachments",
        ]
        return ", ".join(filter(None, words))

    def dump(self, value: Lookaside | None) -> object:
        if value is None or (not value.write and value.attachments is None):
            return value.read if value is not None else ""
        return value.fields
