"""Typed look-ups in a JSON document that remember where each value stands and which were never asked for."""

from __future__ import annotations

from hardening.base.pointer import escape

Problem = tuple[str, str]  # (JSON pointer, reason)
#: Why a field of the specification is refused, and the type whose empty value asks for nothing; None: every value asks.
Refused = tuple["type | None", str]

MAX_TEXT = 128 * 1024  # MAX_ARG_STRLEN of execve(2): no longer argument or variable can reach a command
MAX_ITEMS = 65536


class ConfigTable:
    """One JSON object. Wrong values go to ``problems`` and read as the default, so that one pass finds them all."""

    def __init__(self, values: object, pointer: str, problems: list[Problem]) -> None:
        self.pointer = pointer
        self.problems = problems
        self._asked: set[str] = set()
        self._values: dict[str, object] = {}
        if isinstance(values, dict):
            self._values = values
        else:
            self.problems.append((pointer, "must be an object"))

    def at(self, key: str) -> str:
        """The JSON pointer of a member."""
        return f"{self.pointer}/{escape(key)}"

    def refuse(self, key: str, reason: str, *below: object) -> None:
        """Record that a member cannot be accepted; '' is the object itself, ``below`` leads further into the member."""
        tokens = [escape(str(token)) for token in ((key, *below) if key else below)]
        self.problems.append(("/".join([self.pointer, *tokens]), reason))

    def has(self, key: str) -> bool:
        """Whether the member is present."""
        return key in self._values

    def _take(self, key: str, kind: type, required: bool) -> object | None:
        self._asked.add(key)
        if key not in self._values:
            if required:
                self.refuse(key, "is missing")
            return None
        value = self._values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            names = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}
            self.refuse(key, f"must be {names[kind]}")
            return None
        if kind is list and len(value) > MAX_ITEMS:  # type: ignore[arg-type]
            self.refuse(key, f"has more than {MAX_ITEMS} items")
            return None
        return value

    def text(self, key: str, *, required: bool = False, default: str = "", longest: int = MAX_TEXT) -> str:
        """A string without NUL that can be encoded."""
        value = self._take(key, str, required)
        return self._checked(value, longest, key) if isinstance(value, str) else default

    def flag(self, key: str) -> bool:
        """A boolean, False where it is absent."""
        return self._take(key, bool, False) is True

    def integer(
        self, key: str, low: int, high: int, *, required: bool = False, zero_is_none: bool = False
    ) -> int | None:
        """An integer within ``low`` and ``high``, both included."""
        value = self._take(key, int, required)
        if not isinstance(value, int) or (zero_is_none and value == 0):
            return None
        if not low <= value <= high:
            self.refuse(key, f"must be from {low} to {high}")
            return None
        return value

    def strings(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """A list of strings."""
        items = self._take(key, list, required)
        checked = []
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, str):
                checked.append(self._checked(item, MAX_TEXT, key, index))
            else:
                self.refuse(key, "must be a string", index)
        return tuple(checked)

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of integers within ``low`` and ``high``."""
        items = self._take(key, list, False)
        checked = []
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if type(item) is int and low <= item <= high:
                checked.append(item)
            else:
                self.refuse(key, f"must be an integer from {low} to {high}", index)
        return tuple(checked)

    def mapping(self, key: str) -> tuple[tuple[str, str], ...]:
        """An object whose values are strings, as pairs in the order of the document."""
        table = self._take(key, dict, False)
        pairs = []
        for name, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str):
                pairs.append((self._checked(name, MAX_TEXT, key, name), self._checked(value, MAX_TEXT, key, name)))
            else:
                self.refuse(key, "must be a string", name)
        return tuple(pairs)

    def table(self, key: str, *, required: bool = False) -> ConfigTable | None:
        """An object, or None when it is absent or something else."""
        value = self._take(key, dict, required)
        return ConfigTable(value, self.at(key), self.problems) if value is not None else None

    def tables(self, key: str) -> tuple[ConfigTable, ...]:
        """A list of objects."""
        items = self._take(key, list, False)
        return tuple(
            ConfigTable(item, f"{self.at(key)}/{index}", self.problems)
            for index, item in enumerate(items if isinstance(items, list) else ())
        )

    def pass_over(self, *keys: str) -> None:
        """Take members as they are: something else holds them to what they should be."""
        self._asked.update(keys)

    def data(self) -> dict[str, object]:
        """The whole object as JSON data."""
        return dict(self._values)

    def done(self, known: dict[str, Refused] | None = None) -> None:
        """Refuse every member that nobody asked for, but those ``known`` to the spec that say nothing."""
        for key, value in self._values.items():
            if key not in self._asked:
                kind, reason = (known or {}).get(key, (None, "is not a field that the OCI runtime spec has here"))
                if kind is None or not _says_nothing(value, kind):
                    self.refuse(key, reason)

    def _checked(self, value: str, longest: int, key: str, *below: object) -> str:
        if "\0" in value:
            self.refuse(key, "holds a NUL character", *below)
            return ""
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            self.refuse(key, "holds half of a surrogate pair", *below)
            return ""
        if size > longest:
            self.refuse(key, f"is longer than {longest} bytes", *below)
            return ""
        return value


def _says_nothing(value: object, kind: type) -> bool:
    """Whether a value is as good as none: empty, zero or false, or an object of members that are. Engines write such where
    nobody asked for anything, and runtimes written in Go cannot tell it from a field that is not there.

    An object in an object counts: its key is a name, as of a network device. Null counts as well, as it does everywhere.
    """
    if kind is dict and isinstance(value, dict):
        return all(not item and not isinstance(item, (dict, type(None))) for item in value.values())
    return type(value) is kind and not value
