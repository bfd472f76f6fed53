"""Values that nobody can change: attrs classes that cost little to define, and JSON and TOML data as plugins are given it.

attrs writes the methods of a class as source text and compiles it, and a first composition defines 130 classes. Here that
is done for ``__init__`` alone; what compares, hashes and shows values is the same for all classes.
"""

from __future__ import annotations

from operator import attrgetter, eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

__all__ = ["FrozenDict", "FrozenList", "freeze", "frozen", "thawed"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from attrs import frozen
else:

    def frozen(cls=None, *, eq=True, order=False):
        """`attrs.frozen`, for a class or as a decorator with options. With ``eq`` values of one class are equal where their
        fields are, with ``order`` they compare as tuples of them; `attrs.field` can leave a field out of each."""

        def made(plain):
            own = set(vars(plain))
            # Without slots the class itself is completed, and not a second one made of it.
            whole = attrs.frozen(eq=False, repr=False, slots=False)(plain)
            methods = {"__repr__": _repr, **(_comparing(attrs.fields(whole), order) if eq else {})}
            for name in methods.keys() - own:
                setattr(whole, name, methods[name])
            return whole

        return made if cls is None else made(cls)


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in attrs.fields(type(self)) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _comparing(fields: Any, order: bool) -> dict[str, Callable[..., Any]]:
    """What compares and hashes values of a class with these fields."""
    compared = _key([field.name for field in fields if field.eq])
    hashed = _key([field.name for field in fields if (field.eq if field.hash is None else field.hash)])
    operations = {"__eq__": eq, **({"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge} if order else {})}
    methods = {name: _comparison(compared, operation) for name, operation in operations.items()}
    return {**methods, "__hash__": lambda self: hash(hashed(self))}


def _comparison(key: Callable[[object], Any], operation: Callable[[Any, Any], Any]) -> Callable[[object, object], Any]:
    def compare(self: object, other: object) -> Any:
        return operation(key(self), key(other)) if other.__class__ is self.__class__ else NotImplemented

    return compare


def _key(names: list[str]) -> Callable[[object], Any]:
    return attrgetter(*names) if names else lambda _: ()


def _refuse(self: object, *arguments: object, **named: object) -> NoReturn:
    raise TypeError("this data is frozen: change a copy of it (copy.deepcopy)")


class FrozenDict(dict[str, Any]):
    """An object or a table: a `dict`, for `isinstance` and `json.dumps`. A copy (`copy.deepcopy`) can be changed."""

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
    if isinstance(value, dict):
        return value if isinstance(value, FrozenDict) else FrozenDict({k: freeze(item) for k, item in value.items()})
    if isinstance(value, list):
        return value if isinstance(value, FrozenList) else FrozenList(map(freeze, value))
    return value


def thawed(value: Any) -> Any:
    """A copy of data that can be changed."""
    if isinstance(value, dict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thawed(item) for item in value]
    return value
