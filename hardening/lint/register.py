"""The register of exceptions: who answers for each, until when it holds, and whether anything needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from hardening.base.values import frozen
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.lint.linter import Linter, may_be_used
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer, Stack


@frozen
class Registered:
    """One exception of a ``layer``, and who is its ``owner``: of the exception, else of the layer. ``days`` are those that
    are left, 0 on its last one and fewer once it has ended; None where it has no last day. ``used`` is None where its
    stack does not compose, and where only a host tells it."""

    exception: Exemption
    layer: str
    owner: str
    days: int | None
    used: bool | None

    @property
    def ended(self) -> bool:
        """Whether its last day is over."""
        return self.days is not None and self.days < 0

    @property
    def data(self) -> dict[str, Any]:
        """All of it as JSON data."""
        own = {"owner": self.owner or None, "layer": self.layer, "days": self.days, "used": self.used}
        return {**self.exception.data, **own}


def of_stack(lint: Linter, stack: Stack, *, last: bool = False) -> tuple[list[Registered], HardeningError | None]:
    """The exceptions of a stack, of its ``last`` layer alone for a file that is looked at; and why it does not compose. What
    has ended is looked at as if it had not, to tell whether it is still needed."""
    layers = stack.layers[-1:] if last else stack.layers
    composition, fault = None, None
    try:
        composition = compose_here(stack, lint.mechanisms, lint.host, date.min, memory=lint.memory)
    except HardeningError as error:
        fault = error
    used = {str(exception.origin) for _, exception in composition.used_exceptions()} if composition is not None else ()

    def is_used(layer: Layer, exception: Exemption) -> bool | None:
        if str(exception.origin) in used:
            return True
        unknown = composition is None or may_be_used(composition, lint.host, layer, exception.setting)
        return None if unknown else False

    found = [
        Registered(
            exception,
            layer.name,
            exception.owner or (layer.metadata.owner if layer.metadata is not None else ""),
            (exception.expires - lint.today).days if exception.expires is not None else None,
            is_used(layer, exception),
        )
        for layer in layers
        for exception in layer.exceptions
    ]
    return found, fault


def of_files(lint: Linter, paths: Sequence[str]) -> Iterator[tuple[list[Registered], HardeningError | None]]:
    """Those of files. One that cannot be read has none, and a fault."""
    for path in paths:
        try:
            stack = lint.stack(path)
        except HardeningError as error:
            yield [], error
        else:
            yield of_stack(lint, stack, last=True)


def ordered(found: Iterable[Registered]) -> list[Registered]:
    """Those that end first above, and those that never end last."""
    return sorted(found, key=lambda item: (item.exception.expires or date.max, str(item.exception.origin)))
