"""Whether a path of the host is there in a container, as far as that is certain without a look from inside: what leads over
a symbolic link, or lies in a file system that the kernel fills, is left to the launcher, which looks for itself."""

from __future__ import annotations

import _stat as stat

from hardening.base import files
from hardening.base.linux.system import os
from hardening.launch.config.config_mounts import is_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from hardening.launch.config.bundle import Bundle


def is_hidden(bundle: Bundle, name: str) -> bool:
    """Whether a command that is named by a path is there for the caller, and certainly not inside."""
    document: Any = bundle.document
    if not is_file(files.absolute(name)):
        return False
    root = files.join(bundle.directory, document["root"]["path"])
    inside = files.absolute(files.join(document["process"]["cwd"], name))
    return shown(document, inside, lambda path: on_host(root, path)) is False


def is_file(path: str) -> bool:
    """Whether the caller has a regular file there, links followed."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def shown(document: Mapping[str, Any], path: str, in_root: Callable[[str], bool | None]) -> bool | None:
    """Whether an absolute path is there inside; None where that is not certain. ``in_root`` says the same of the root."""
    if any(files.is_below(path, masked) for masked in document.get("linux", {}).get("maskedPaths") or ()):
        return None
    mounts = {str(mount["destination"]): mount for mount in document.get("mounts") or ()}
    if path == "/" or path in mounts or any(files.is_below(other, path) for other in mounts):
        return True
    above = max((place for place in mounts if files.is_below(path, place)), key=len, default=None)
    if above is None:
        return in_root(path)
    mount = mounts[above]
    if mount.get("type") == "tmpfs":
        return None if "tmpcopyup" in mount.get("options", ()) else False
    bound = is_bind(mount.get("type"), mount.get("options", ()))
    return on_host(str(mount.get("source", "")), path.removeprefix(above)) if bound else None


def on_host(source: str, rest: str) -> bool | None:
    """Whether ``rest`` is there below a directory of the host; None where a link stands on the way, or nobody may look."""
    current = source
    for part in rest.strip("/").split("/"):
        current = files.join(current, part)
        try:
            status = os.lstat(current)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return None
    return True
