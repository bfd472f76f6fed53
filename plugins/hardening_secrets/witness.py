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
    if value.is_file and isinstance(floor, Use) and (floor.target, floor.is_file) == (value.target, True):
        yield from _rights(value, floor)
    elif value.is_file:
        yield Witness(f"reads the secret {value.name}", f"open({value.target!r}).close()")
    else:
        yield Witness(f"has the secret {value.name}", unless(f"{value.target!r} in os.environ", "no such variable"))


def _rights(value: Use, floor: Use) -> Iterator[Witness]:
    """Whose the file is, and who else may read it."""
    seen = f"found = os.stat({value.target!r})"
    if bits := value.mode & ~floor.mode:
        attempt = unless(f"found.st_mode & 0o{bits:o} == 0o{bits:o}", "its mode lacks them", seen)
        yield Witness(f"finds the secret {value.name} with the permissions {bits:03o}", attempt)
    for name in ("uid", "gid"):
        number = getattr(value, name)
        if number is not None and number != getattr(floor, name):
            attempt = unless(f"found.st_{name} == {number}", "it is another's", seen)
            yield Witness(f"finds the secret {value.name} with the {name} {number}", attempt)
