"""Frozen values: attrs classes that cost little to define.

attrs writes the methods of a class as source text and compiles it, and a first composition defines 130 classes. Here that
is done for ``__init__`` alone; what compares, hashes and shows values is the same for all classes.
"""

from __future__ import annotations

from operator import attrgetter
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
            whole = attrs.frozen(eq=order, order=order, repr=False, slots=False)(plain)
            methods = {"__repr__": _repr, **(_comparing(attrs.fields(whole)) if eq and not order else {})}
            for name in methods.keys() - own:
                setattr(whole, name, methods[name])
            return whole

        return made if cls is None else made(cls)


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in attrs.fields(type(self)) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _comparing(fields: Any) -> dict[str, Callable[..., Any]]:
    """``__eq__`` and ``__hash__`` of a class with these fields."""
    compared = _key([field.name for field in fields if field.eq])
    hashed = _key([field.name for field in fields if (field.eq if field.hash is None else field.hash)])

    def equal(self: object, other: object) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: object) -> int:
        return hash(hashed(self))

    return {"__eq__": equal, "__hash__": hash_of}


def _key(names: list[str]) -> Callable[[object], Any]:
    return attrgetter(*names) if names else lambda _: ()
