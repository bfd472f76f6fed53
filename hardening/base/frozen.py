"""Frozen records without the price of importing `dataclasses` (18 ms, three times the interpreter's own start)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_options: bool) -> Callable[[T], T]:
        """Stand in for `typing.dataclass_transform`, which only type checkers need."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen:
    """Base of records: annotated names are fields, class attributes their defaults, keywords their values."""

    def __init__(self, **values: object) -> None:
        names = type(self).__annotations__
        if values.keys() != names.keys():  # a launch makes many that give every field
            unknown = values.keys() - names.keys()
            missing = [name for name in names if name not in values and not hasattr(type(self), name)]
            if unknown or missing:
                raise TypeError(f"{type(self).__name__}: unknown fields {sorted(unknown)}, missing fields {missing}")
            values = {name: values[name] if name in values else getattr(type(self), name) for name in names}
        self.__dict__.update(values)

    def changed(self, **values: object) -> Self:
        """The same record with other values of some fields."""
        return type(self)(**{**self.__dict__, **values})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.__dict__.items(), key=lambda item: item[0])))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__annotations__)
        return f"{type(self).__name__}({fields})"
