"""Frozen values: attrs classes that cost little to define.

attrs writes the methods of a class as source text and compiles it, and a first composition defines 130 classes. Here that
is done for ``__init__`` alone; what compares, hashes and shows values is the same for all classes.
"""

from __future__ import annotations

from operator import attrgetter, eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["frozen"]

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
