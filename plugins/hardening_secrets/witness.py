"""Programs that read a secret which one stack gives and another one does not."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.evidence import Witness, unless
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_secrets.settings import SecretsSettings, Use


def witness(settings: SecretsSettings, context: Context, leaf: Leaf, value: object, floor: object) -> Iterator[Witness]:
    """Each opens a file or looks for a variable, and shows nothing of it."""
    if not isinstance(value, Use):
        return
    if value.is_file:
        yield Witness(f"reads the secret {value.name}", f"open({value.target!r}).close()")
    else:
        yield Witness(f"has the secret {value.name}", unless(f"{value.target!r} in os.environ", "no such variable"))
