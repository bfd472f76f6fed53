"""JSON and TOML data that nobody can change, as plugins are given it.

The types are those that parsers make, so that ``isinstance(value, dict)`` and `json.dumps` go on; whoever changes them is
told. A copy of one (``copy.deepcopy``) is an ordinary value again.
"""

from __future__ import annotations

from typing import Any, NoReturn


def _refuse(self: object, *arguments: object, **named: object) -> NoReturn:
    raise TypeError("this data is frozen: change a copy of it (copy.deepcopy)")


class FrozenDict(dict[str, Any]):
    """An object or a table."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return {key: thawed(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (thawed(self),)


class FrozenList(list[Any]):
    """An array."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = remove = reverse = (
        sort
    ) = _refuse

    def __deepcopy__(self, memo: object) -> list[Any]:
        return [thawed(value) for value in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (thawed(self),)


def freeze(value: Any) -> Any:
    """Data of which no object and no array can be changed, of any depth. What is frozen already stays as it is."""
    if isinstance(value, FrozenDict | FrozenList):
        return value
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list):
        return FrozenList([freeze(item) for item in value])
    return value


def thawed(value: Any) -> Any:
    """A copy of data that can be changed."""
    if isinstance(value, dict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thawed(item) for item in value]
    return value
