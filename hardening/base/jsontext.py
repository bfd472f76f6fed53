"""JSON text -> values, strictly (RFC 8259): no duplicate key, no NaN, no number without a value, no absurd nesting.

The C code behind `json` is used directly where the interpreter has it, because importing `json` pulls in `re` and doubles
the start of a launch.
"""

from __future__ import annotations

from hardening.base.pointer import escape
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = (
    64  # levels; a configuration of the specification has eight. What reads a value may call itself once for each
)
_TOLD = 200  # characters of a key in a message


class _Repeated(dict[str, object]):
    """An object in whose text one key stood twice."""

    key = ""


def _finite(text: str) -> float:
    """The number of a text with a fraction or an exponent. One that no double holds would be written back as Infinity."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:_TOLD]} is out of range")
    return value


class _Context:
    """What the scanner asks of a decoder."""

    strict = True
    object_hook = None
    parse_float = staticmethod(_finite)
    parse_int = int

    def __init__(self, *, checked: bool) -> None:
        self.object_pairs_hook = None if checked else self._build  # which is called for each object
        self.repeated = False
        self.memo: dict[str, str] = {}

    def _build(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        """Build an object, and mark it when a key is repeated."""
        table = dict(pairs)
        if len(table) == len(pairs):
            return table
        self.repeated = True
        marked = _Repeated(table)
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                marked.key = key
            seen.add(key)
        return marked

    def parse_constant(self, name: str) -> object:
        """Refuse NaN and the infinities, which JSON does not have."""
        raise ValueError(f"{name} is not JSON")


def parse(text: bytes, origin: str, *, checked: bool = False) -> object:
    """The value that UTF-8 JSON ``text`` holds; `LaunchError` with ``origin`` for anything malformed. Of a text that
    was ``checked`` before, as its digest tells, neither keys nor levels are counted again."""
    if len(text) > MAX_BYTES:
        raise LaunchError(f"larger than {MAX_BYTES} bytes", origin=origin)
    context = _Context(checked=checked)
    try:
        source = text.decode()
        value, end = _scan(context, source, _skip_space(source, 0))
        end = _skip_space(source, end)
    except StopIteration as error:
        raise LaunchError(f"not JSON: a value is missing: {_place(source, error.value)}", origin=origin) from None
    except RecursionError:
        raise LaunchError("nested too deep", origin=origin) from None
    except ValueError as error:  # also UnicodeDecodeError, JSONDecodeError and integers with thousands of digits
        raise LaunchError(f"not JSON: {error}", origin=origin) from None
    if not checked and _is_deep(value):
        raise LaunchError(f"nested too deep: more than {MAX_DEPTH} levels", origin=origin)
    if end != len(source):
        raise LaunchError(f"not JSON: more text after the value: {_place(source, end)}", origin=origin)
    if context.repeated:
        pointer, key = _find_repeated(value, "") or ("", "")
        raise LaunchError(f"the key {_short(key)!r} is given twice", origin=f"{origin}:{_short(pointer)}")
    return value


def _place(source: str, at: int) -> str:
    """Where a character stands, in the words of `json.JSONDecodeError`."""
    return f"line {source.count(chr(10), 0, at) + 1} column {at - source.rfind(chr(10), 0, at)} (char {at})"


def _short(text: str) -> str:
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _skip_space(source: str, at: int) -> int:
    while at < len(source) and source[at] in " \t\r\n":
        at += 1
    return at


def _scan(context: _Context, source: str, start: int) -> tuple[object, int]:
    scanner = _scanner(context)
    try:
        found: tuple[object, int] = scanner(source, start)
    except SystemError:  # up to Python 3.11 it raises nothing where the module that words its errors is not there yet
        import json.decoder  # noqa: F401

        found = scanner(source, start)
    return found


def _scanner(context: _Context) -> Any:
    try:
        from _json import make_scanner
    except ImportError:  # an interpreter without the accelerator
        from json import JSONDecoder

        hooks = {name: getattr(context, name) for name in ("object_pairs_hook", "parse_constant", "parse_float")}
        return JSONDecoder(**hooks).raw_decode
    return make_scanner(context)  # type: ignore[arg-type]


def _find_repeated(value: object, pointer: str) -> tuple[str, str] | None:
    if isinstance(value, _Repeated):
        return f"{pointer}/{escape(value.key)}", value.key
    children: list[tuple[str, object]] = []
    if isinstance(value, dict):
        children = [(escape(key), child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(str(index), child) for index, child in enumerate(value)]
    for key, child in children:
        found = _find_repeated(child, f"{pointer}/{key}")
        if found:
            return found
    return None


def dump(value: object, *, canonical: bool = False) -> str:
    """JSON data (objects, lists, strings, numbers, booleans, None) as one line of ASCII: control characters, and halves of
    surrogate pairs, are escaped. ``canonical``: the one text that stands for it, with sorted keys and without spaces. Raises
    `TypeError` for anything else, and `ValueError` for a number that `parse` refuses."""
    item, key = (",", ":") if canonical else (", ", ": ")
    try:
        from _json import encode_basestring_ascii, make_encoder
    except ImportError:  # an interpreter without the accelerator
        import json

        return json.dumps(value, separators=(item, key), sort_keys=canonical, allow_nan=False)
    encode = make_encoder(None, _refuse, encode_basestring_ascii, None, key, item, canonical, False, False)
    return "".join(encode(value, 0))


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is not JSON data")
