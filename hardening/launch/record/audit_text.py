"""A record as the text of an audit message, and the names that its fields have there (docs/reference/records.md)."""

from __future__ import annotations

import sys

from hardening.base.linux import abi
from hardening.base.text import cut, shortened
from hardening.errors import shell_word

LONGEST = 1400  # bytes of text, before hexadecimal, that the command and each list may have
#: Who wrote a record, in the field where libvirt and others say what they are.
WRITER = "hardening"
#: Each event of a record, in the order of a launch, and its operation in an audit message.
OPERATIONS = {"launch": "start", "refused": "start", "exception": "exception", "end": "stop"}
#: What of a record goes into an audit message, and its name there. Names that audit knows are shown by `ausearch -i` as
#: what they mean.
NAMES = {"command": "cmd", "code": "exit-code", "signal": "sig", "not_enforced": "not-enforced", "id": "vm"}
PLAIN = ("gid", "spec", "result", "code", "signal", "seconds")
TEXTS = (
    *("id", "runtime", "command", "image", "profiles", "enforced", "partly", "not_enforced", "setting", "reason"),
    *("ticket", "expires", "origin", "error"),
)


def audit_text(record: dict[str, object]) -> str:
    """A record as the text of an audit message, in which it fits. The kernel adds pid, uid, auid and ses (and is to be
    believed)."""
    longest = LONGEST
    while len(text := _text(record, longest)) >= abi.AUDIT_MESSAGE_TEXT_MAX and longest:
        longest //= 2  # what quotes and hexadecimal have blown up
    return text


def _text(record: dict[str, object], longest: int) -> str:
    event = str(record["event"])
    fields = {"virt": WRITER, "op": OPERATIONS[event]}
    for name, value in record.items():
        if value in (None, [], ""):
            continue
        if name in PLAIN:
            fields[NAMES.get(name, name)] = str(value)
        elif name in TEXTS:
            fields[NAMES.get(name, name)] = encode(_as_text(name, value, longest))
    fields |= {"exe": encode((sys.executable or "?")[:longest]), "hostname": "?", "addr": "?"}
    fields["terminal"] = str(record["terminal"] or "?")
    fields["res"] = "failed" if event == "refused" else "success"
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _as_text(name: str, value: object, longest: int) -> str:
    if not isinstance(value, list):
        return cut(str(value), longest)
    if name == "command":
        return " ".join(map(shell_word, shortened(value, longest)))
    if name == "profiles":
        return _fitting([f"{escape(item['name'])}:{item['sha256'] or '-'}" for item in value], longest)
    return _fitting(list(map(escape, value)), longest)


def _fitting(items: list[str], longest: int) -> str:
    """The first of many, and how many more there are: a message has an end. The digest of the specification covers them
    all."""
    kept: list[str] = []
    size = 0
    for item in items:
        size += _size(item) + 1
        if size > longest:
            return ",".join([*kept, f"+{len(items) - len(kept)}"])
        kept.append(item)
    return ",".join(kept)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def escape(name: str) -> str:
    """A name in a list that commas divide, and without spaces, for which the list would be in hexadecimal."""
    return name.replace("%", "%25").replace(",", "%2C").replace(" ", "%20")


def unescape(name: str) -> str:
    """What `escape` was given."""
    return name.replace("%20", " ").replace("%2C", ",").replace("%25", "%")


def encode(text: str) -> str:
    """An untrusted text as the value of an audit field, as audit_encode_nv_string(3) has it: in quotes, or in hexadecimal
    where it holds a quote, a space, or what is not printable ASCII."""
    plain = text.isascii() and text.isprintable() and not any(char in text for char in "\"' ")
    return f'"{text}"' if plain else text.encode("utf-8", "backslashreplace").hex().upper()
