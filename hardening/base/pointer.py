"""JSON pointers (RFC 6901) into configurations."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CONFIG = "config.json"
#: The command with its arguments, and its variables, in a configuration.
ARGS, ENVIRONMENT = "/process/args", "/process/env"


def escape(token: str) -> str:
    """A key as a token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """A token of a JSON pointer as a key."""
    return token.replace("~1", "/").replace("~0", "~")


def above(pointer: str) -> Iterator[str]:
    """The pointers above one, from the nearest on, but for that of the whole document."""
    while pointer := pointer.rpartition("/")[0]:
        yield pointer


def lookup(document: object, pointer: str) -> Any:
    """The value at ``pointer`` of JSON data, or None where there is none."""
    value = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value.get(unescape(token))
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def table(document: object, pointer: str) -> dict[str, Any]:
    """The object at ``pointer``; {} for none, and for anything else."""
    found = lookup(document, pointer)
    return found if isinstance(found, dict) else {}


def items(document: object, pointer: str) -> list[Any]:
    """The list at ``pointer``; [] for none, and for anything else."""
    found = lookup(document, pointer)
    return found if isinstance(found, list) else []
