"""Mutators: inputs that are almost what a reader expects."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.harness import Words
from tests.hardening.assemble.test_oci_fields import variants

#: What no member wants, or only some.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 5, 1000, 65534, 2**31, 2**32, 2**63, 2**64, 1 << 70, 1e308, 1.5, float("nan")),
    *("", "x", "\0", "\ud800", "\udcff", "a\nb", "é", "../..", "/", "//", "*", "-1", "s0:c1", "/dev/null", "a" * 5000),
    *([], {}, [1], ["x"], {"a": 1}, [[]], [None], [[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]),
)
PIECES = (
    *(b"\0", b"\xff", b"\n", b"\n\n", b" ", b"\t", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b",", b"=", b"#"),
    *(
        b"\xc3",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\\u0000",
        b"1e999",
        b"NaN",
        b"9" * 5000,
        b"[" * 300,
        b"a" * 300,
        b"-",
        b".",
    ),
)
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1)


def plain(random: Random, data: bytes, words: Words = ()) -> bytes:
    """A few bytes changed, put in, taken out, doubled or moved."""
    pieces = [*PIECES, *(str(word).encode("utf-8", "surrogatepass") for word in words)]
    found = bytearray(data)
    at = random.randint(0, len(found))
    size = random.choice((1, 1, 2, 4, 16, 64))
    match random.randrange(7):
        case 0:
            found[at:at] = random.choice(pieces)
        case 1:
            found[at : at + size] = random.choice(pieces)
        case 2:
            del found[at : at + size]
        case 3:
            found[at:at] = found[at : at + size] * random.choice((1, 2, 50))
        case 4:
            to = random.randint(0, len(found))
            found[to:to] = found[at : at + size]
        case 5 if found:
            found[at - 1] ^= 1 << random.randrange(8)
        case _:
            number = random.choice(_NUMBERS)
            found[at : at + 4] = number.to_bytes(4, random.choice(("little", "big")))
    return bytes(found)


def of_lines(random: Random, data: bytes, words: Words) -> bytes:
    """Lines that are dropped, doubled and exchanged, with words of the vocabulary in them."""
    known = [str(word).encode("utf-8", "surrogatepass") for word in words]
    rows = data.split(b"\n")
    at, other = random.randrange(len(rows)), random.randrange(len(rows))
    match random.randrange(6):
        case 0:
            del rows[at]
        case 1:
            rows.insert(other, rows[at])
        case 2:
            parts = rows[at].split(b" ")
            parts[random.randrange(len(parts))] = random.choice(known)
            rows[at] = b" ".join(parts)
        case 3:
            rows.insert(at, random.choice(known))
        case 4:
            rows[at], rows[other] = rows[other], rows[at]
        case _:
            return plain(random, data, words)
    return b"\n".join(rows)


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value below one."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [found for key in keys for found in ((*above, key), *places(value[key], (*above, key)))]


def at(value: Any, way: Sequence[Any]) -> Any:
    """The value at the end of a way."""
    for key in way:
        value = value[key]
    return value


def changed(random: Random, document: Any, words: Words) -> Any:
    """A copy of JSON data in which one value is another, gone, elsewhere, or under another key."""
    ways = places(document)
    if not ways:
        return random.choice(VALUES)
    document = copy.deepcopy(document)
    *above, last = way = random.choice(ways)
    parent = at(document, above)
    match random.randrange(6):
        case 0:
            del parent[last]
        case 1:
            parent[last] = copy.deepcopy(at(document, random.choice(ways)))
        case 2 if isinstance(parent, dict):
            parent[random.choice([*variants(last or "x"), "", "x", "\ud800", *map(str, words)])] = at(document, way)
        case 3 if isinstance(parent, list):
            parent.insert(last, copy.deepcopy(at(document, random.choice(ways))))
        case 4 if words:
            parent[last] = random.choice(words)
        case _:
            parent[last] = copy.deepcopy(random.choice(VALUES))
    return document


def of_json(random: Random, data: bytes, words: Words) -> bytes:
    """JSON whose values are others, of the vocabulary too; sometimes it is no JSON."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return plain(random, data, words)
    if random.randrange(8) == 0:
        return plain(random, data, words)
    try:
        text = json.dumps(changed(random, document, words))
    except RecursionError:
        return plain(random, data, words)
    if random.randrange(16) == 0 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + "," + text[1:]  # every key twice
    return text.encode()


def of_toml(random: Random, data: bytes, words: Words) -> bytes:
    """TOML whose lines are exchanged, and whose values are others."""
    rows = data.decode("utf-8", "replace").split("\n")
    said = [number for number, row in enumerate(rows) if "=" in row]
    if not said or random.randrange(2):
        return of_lines(random, data, words)
    number = random.choice(said)
    key, _, value = rows[number].partition("=")
    match random.randrange(4):
        case 0:
            value = rows[random.choice(said)].partition("=")[2]
        case 1:
            value = json.dumps(random.choice([*words, "", "x", 0, 1, -1, 2**40, True, False, [], {}]))
        case 2:
            value = f"[{value}]"
        case _:
            key = str(random.choice(words))
    rows[number] = f"{key} ={value}"
    return "\n".join(rows).encode("utf-8", "surrogatepass")


_FIELDS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "type": (156, 1), "target": (157, 100), "magic": (257, 8), "major": (329, 8), "minor": (337, 8), "prefix": (345, 155),
}  # fmt: skip
_NAMES = b"../x /etc/x a/../../x . .. a link link/x dir dir/.wh.x .wh..wh..opq".split()
_OCTAL = (b"7777777", b"0006755", b"0000000", b"-000001", b"\x80\0\0\0\0\0\0\1", b"\xff" * 8, b"0000001", b"99999999")
_PAX = (
    *b"path=../x linkpath=/etc size=99 size=-1 uid=x mtime=1e9 SCHILY.xattr.user.x=y GNU.sparse.major=1".split(),
    *(b"SCHILY.xattr.security.capability=x", b"path=\xff", b"path=" + b"a/" * 300),
)


def of_tar(random: Random, data: bytes, _: Words) -> bytes:
    """Archives with other headers, whose sums are right."""
    found = bytearray(data)
    starts = [start for start in range(0, len(found) - 511, 512) if found[start + 257 : start + 262] == b"ustar"]
    if not starts or random.randrange(6) == 0:
        return plain(random, data)
    start = random.choice(starts)
    match random.randrange(8):
        case 0:  # a record before it
            text = b" " + random.choice(_PAX) + b"\n"
            text = b"%d%s" % (len(text) + 2, text)
            found[start:start] = found[start : start + 512] + text.ljust(512, b"\0")
            found[start + 124 : start + 136] = b"%011o\0" % len(text)
            found[start + 156 : start + 157] = random.choice((b"x", b"x", b"g", b"L", b"K"))
        case 1:
            to = random.choice(starts)
            found[to:to] = found[start : start + 512]
        case 2:
            del found[start : start + 512]
            return bytes(found)
        case _:
            field = random.choice([*_FIELDS, "name", "type", "target"])
            begin, size = _FIELDS[field]
            value = random.choice(_OCTAL)
            if field in ("name", "target", "prefix"):
                value = random.choice(_NAMES)
            elif field == "type":
                value = random.choice(
                    (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"g", b"x", b"L", b"K", b"S", b"\0")
                )
            found[start + begin : start + begin + size] = value.ljust(size, b"\0")[:size]
    found[start + 148 : start + 156] = b" " * 8
    found[start + 148 : start + 156] = b"%06o\0 " % sum(found[start : start + 512])
    return bytes(found)
