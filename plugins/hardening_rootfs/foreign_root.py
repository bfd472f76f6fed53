"""The root that a foreign configuration names: where it really is, and what of the host it would show.

A root is judged by where its path leads, and the configuration then says that place: ``//``, ``/proc/self/root``, a link
and a bind mount of the host's root are the host's root, and a directory that holds secrets is no root at all. So it does
where it is written into another directory than it was found in, which a relative path would leave behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_rootfs import hidden, sources
from hardening_rootfs.paths import holds, is_host_root, real_path
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts

#: Where the kernel shows itself: no root lies there.
_KERNEL = ("/proc", "/sys", "/dev")
#: Where engines keep the roots of their containers, among what is hidden of the host.
_ENGINES = ("/var/lib/containers", "/var/lib/containerd", "/var/lib/docker", "/var/lib/machines", "/var/lib/lxc")
_PLACE = "/root/path"
#: Where it is in a configuration that does not say it.
DEFAULT = "rootfs"


@frozen
class ForeignRoot:
    """``path`` is where it is on the host, links followed, and None where nobody knows what it is relative to; ``said`` is
    the path for the configuration."""

    said: str
    path: str | None
    host: bool

    def hides(self, secrets: Iterable[str]) -> set[str]:
        """What stays hidden in the root, by its path in it: secrets of the host, what the kernel shows of itself, and what
        belongs to the running host, where this is the host's root."""
        if not self.host:
            return set(sources.kept_in_root(self.path, secrets)) if self.path else set()
        running = [path for path in hidden.VOLATILE if os.path.isdir(path) and not os.path.islink(path)]
        return set(hidden.outermost((*sources.kept_in_root("/", secrets), *running)))


def locate(settings: RootfsSettings, document: Mapping[str, Any], context: Context) -> ForeignRoot:
    """Find the root. Raises `SpecError` for a directory that the settings hide, or that is a part of the running host, for
    the root of an image that the configuration does not name, and for another one than a limit permits."""
    root = _find(settings, document, context)
    limit = context.limit(Leaf("rootfs", "path"))
    if limit is not None and root.path != ("/" if limit.is_host else real_path(limit.path)):
        raise SpecError(
            f"{root.path or root.said} is not a root: rootfs.path is limited to {limit.path}", origin=_PLACE,
            hint=f"unpack it into {limit.path}, or have the limit changed where it is set",
        )  # fmt: skip
    return root


def _find(settings: RootfsSettings, document: Mapping[str, Any], context: Context) -> ForeignRoot:
    said = str((document.get("root") or {}).get("path") or DEFAULT)
    base = context.origin or context.bundle
    if not os.path.isabs(said) and base is None:
        # Only what climbs out of a bundle can lead to the host's root.
        return ForeignRoot(said, None, ".." in said.split("/"))
    plain = os.path.normpath(said if base is None else os.path.join(os.path.realpath(base), said))
    path = "/" + real_path(plain).lstrip("/")
    if is_host_root(path):
        return ForeignRoot("/", "/", True)
    _require_public(settings, path, context)
    _require_named(path, document, context)
    stays = context.bundle is None or base is None or _same(str(context.bundle), str(base))
    direct = stays and plain == path and ".." not in said.split("/") and not os.path.isabs(said)
    return ForeignRoot(said if direct else path, path, False)


def _require_public(settings: RootfsSettings, path: str, context: Context) -> None:
    private = context.host.of(RootfsFacts).private
    secrets = hidden.everywhere(hidden.expand(settings.hidden_paths.having(True), private))
    running = any(holds(top, path) for top in _KERNEL) or any(_same(path, top) for top in hidden.VOLATILE)
    if running or (os.path.lexists(path) and sources.kernel(path) is not None):
        raise SpecError(
            f"{path} belongs to the running host and is not a root",
            origin=_PLACE,
            hint="unpack an image into a directory",
        )
    homes = hidden.homes(private)
    engine = any(is_below(path, top) for top in _ENGINES) and "secrets" not in path.split("/")
    for secret in secrets:
        inside = is_below(path, secret) and not (engine or _is_in_home(path, homes))
        if inside or _same(path, secret):
            raise SpecError(
                f"{path} is not a root: {secret} is hidden",
                origin=_PLACE,
                hint="unpack an image into another directory",
            )


def _require_named(path: str, document: Mapping[str, Any], context: Context) -> None:
    from hardening.mechanism import used  # no run needs it

    images = context.host.of(RootfsFacts).images
    if images is not None and is_below(path, real_path(images)) and used.of(document) is None:
        raise SpecError(
            f"{path} is the root of an image, and runs by the name of that alone",
            origin=_PLACE,
            hint="compose a bundle of the image: `hardening compose -o BUNDLE IMAGE -- COMMAND`",
        )


def _is_in_home(path: str, homes: Iterable[str]) -> bool:
    """Whether a path is an ordinary directory in somebody's home, or in the storage of podman there: a place for images."""
    return hidden.is_in_home(path, homes) or "/.local/share/containers/" in path


def _same(path: str, other: str) -> bool:
    """Whether two paths lead to one file, mounted twice or not."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return path == other
