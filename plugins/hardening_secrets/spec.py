"""Secrets in the OCI spec: their names in an annotation, and an empty mount where each file will lie.

The launcher covers these mounts with the files (`hardening.launch.secret.handed`). Any other program that runs the same
configuration shows an empty directory, and null devices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hardening.base import patterns
from hardening.errors import ProfileError
from hardening.launch.secret import secrets
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Implied, MountPoint
from hardening.mechanism.roles import CommandProcess, RootDirectory, restrictions
from hardening.mechanism.schema import Leaf
from hardening_secrets.settings import SecretsSettings, Use, leaf

#: What holds a secret permits nothing more.
TIGHT = tuple(restrictions(()))
_DIRECTORY = {
    "destination": secrets.PLACE,
    "type": "tmpfs",
    "source": "tmpfs",
    "options": [*TIGHT, "rprivate", "mode=755", "size=4096", "nr_inodes=1"],
}


def mount_points(uses: Sequence[Use]) -> list[MountPoint]:
    """Where secrets are mounted: the usual directory where there are any, and each file that lies elsewhere."""
    elsewhere = [use for use in uses if use.is_file and not _is_inside(use)]
    points = [MountPoint(secrets.PLACE, True, _DIRECTORY, tuple(map(leaf, uses)))] if uses else []
    return [*points, *(MountPoint(use.target, False, _file(use.target), (leaf(use),), use.origin) for use in elsewhere)]


def _is_inside(use: Use) -> bool:
    return use.target.startswith(f"{secrets.PLACE}/")


def _file(path: str) -> dict[str, Any]:
    return {"destination": path, "type": "bind", "source": "/dev/null", "options": ["bind", *TIGHT, "rprivate"]}


def implied(uses: Iterable[Use]) -> Iterator[Implied]:
    """What limits of other mechanisms are held against: a variable is one whoever sets it, and a file outside the usual
    directory stands where otherwise a volume would."""
    for use in uses:
        mine = Leaf("secrets", "given", use.name)
        if not use.is_file:
            other, what, remedy = Leaf("process", "environment", use.target), f"it sets the variable {use.target}", ""
        elif not _is_inside(use):
            other, what = Leaf("rootfs", "volume_destinations", use.target), f"{use.target} is its place"
            remedy = f"leave its target out, which gives {secrets.PLACE}/{use.name}"
        else:
            continue
        yield Implied(mine, other, True, what, free=True, remedy=remedy or "give it as a file")


def contribute(settings: SecretsSettings, context: Context, fragment: Fragment) -> None:
    """Name the secrets. Raises `ProfileError` where two things would be in one place."""
    uses = settings.uses()
    _require_apart(uses)
    _require_free(uses, context)
    if uses:
        put_names(uses, fragment)


def put_names(uses: Sequence[Use], fragment: Fragment) -> None:
    text = json.dumps([use.row() for use in uses], ensure_ascii=False)
    fragment.put(secrets.POINTER, text, *map(leaf, uses))


def _require_apart(uses: Sequence[Use]) -> None:
    """No two secrets in one place, and no file below another."""
    said: dict[tuple[str, str], Use] = {}
    for use in uses:
        other = said.setdefault((use.type, use.target), use)
        if other is not use:
            raise _taken(use, f"{use.target} is where the secret {other.name} is")
    files = [use for use in uses if use.is_file]
    for use in files:
        for other in files:
            if use.target.startswith(f"{other.target}/"):
                raise _taken(
                    use, f"{use.target} lies below {other.target}, which is the file of the secret {other.name}"
                )


def _require_free(uses: Sequence[Use], context: Context) -> None:
    """Nothing else is mounted where secrets are, and no variable has two values."""
    rootfs, process = context.of(RootDirectory), context.of(CommandProcess)
    if rootfs is not None and uses:
        taken = {volume.target: "rootfs.volumes" for volume in rootfs.mounted_volumes()}
        taken |= dict.fromkeys(rootfs.mounted_tmpfs(), "rootfs.tmpfs")
        places = {point.path: use for use in reversed(uses) for point in mount_points([use])}
        for path, name in taken.items():
            for place, use in places.items():
                if path == place or path.startswith(f"{place}/"):
                    raise _taken(use, f"{path} is mounted there by {name}")
        for use in filter(lambda use: use.is_file, uses):
            for volume in rootfs.mounted_volumes():
                if use.target.startswith(f"{volume.target.rstrip('/')}/"):
                    # Whoever shares its directory can take the mount away, by unlink(2), and leave another file there.
                    raise _taken(use, f"it would lie in the volume {volume.target}")
            for path in rootfs.masked_paths.having(True):
                if _hides(path, use.target):
                    raise _taken(use, f"{path} is masked by rootfs.masked_paths")
    for use in uses:
        if process is not None and not use.is_file:
            _require_unset(use, process)


def _hides(pattern: str, path: str) -> bool:
    """Whether a masked path is another one or lies above it; ``*`` stands for any name."""
    masked, names = pattern.split("/"), path.split("/")
    return len(masked) <= len(names) and all(map(patterns.matches, names, masked))


def _require_unset(use: Use, process: CommandProcess) -> None:
    by = process.variable_of(use.target) or ("the launcher" if use.target in ("HOME", "TERM") else "")
    if by:
        raise _taken(use, f"the variable {use.target} is set by {by}")


def _taken(use: Use, reason: str) -> ProfileError:
    setting, hint = leaf(use), "give the secret another target"
    return ProfileError(f"{setting}: {reason}", origin=use.origin, hint=hint, setting=setting)
