"""A command or a working directory that is there for the caller and not inside: the way to show it, before the launch fails.

Nothing is said unless it is certain: what leads over a symbolic link, or lies in a file system that the kernel fills, is
left to the launcher, which looks for itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.errors import quoted
from hardening.launch.config.config_mounts import is_bind
from hardening.mechanism.fragment import File, Spec, Symlink
from hardening.mechanism.inputs import Input, way
from hardening.profile.toml_text import inline


def looked_at(spec: Spec, name: str) -> Iterator[Input]:
    """What decides that there is nothing to add."""
    document = spec.document
    directory = str(document.get("process", {}).get("cwd", "/"))
    yield from way(directory)
    inside = {directory}
    if "/" in name:
        yield from way(os.path.abspath(name))
        inside |= {os.path.normpath(os.path.join(directory, name)), os.path.abspath(name)}
    sources = {str(mount["destination"]): str(mount.get("source", "")) for mount in document.get("mounts") or ()}
    sources["/"] = str(document.get("root", {}).get("path", ""))
    for path in inside:
        for place, source in sources.items():
            if _below(path, place) and source.startswith("/"):
                yield from way(os.path.join(source, path.removeprefix(place).lstrip("/")))


def advice(spec: Spec, name: str) -> str | None:
    """What to add for the command ``name`` and for the working directory, or None."""
    document = spec.document
    directory = str(document.get("process", {}).get("cwd", "/"))
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return None
    if os.path.isdir(directory) and shown(document, spec.files, directory) is False:
        return f"{directory} is not shown inside: add {_volume(directory, here)}"
    if "/" not in name:
        return None
    outside = os.path.abspath(name)
    inside = os.path.normpath(os.path.join(directory, name))
    if not os.path.isfile(outside) or shown(document, spec.files, inside) is not False:
        return None
    folder = os.path.dirname(outside)
    below = os.path.commonpath((folder, here)) == here != "/"
    if os.path.isabs(name) or not below:
        call = "" if os.path.isabs(name) else f", and call it {quoted(outside)}"
        return f"{name} is not shown inside: add {_volume(folder, here)}{call}" if folder != "/" else None
    if shown(document, spec.files, outside):
        return f'{name} is not below {directory}, the working directory inside: add -w "$PWD"'
    return f'{name} is not shown inside: add {_volume(here, here)} -w "$PWD"'


def _volume(directory: str, here: str) -> str:
    """The option that shows a directory at its own place."""
    if ":" in directory:
        table = inline({"source": directory, "target": directory})
        return f"--set {quoted(f'rootfs.volumes.add=[{table}]')}"
    return "-v " + ('"$PWD:$PWD"' if directory == here else quoted(f"{directory}:{directory}"))


def shown(document: Mapping[str, Any], files: Mapping[str, File], path: str) -> bool | None:
    """Whether an absolute path is there inside; None where that is not certain without a look from inside."""
    if any(_below(path, masked) for masked in document.get("linux", {}).get("maskedPaths") or ()):
        return None
    mounts = {str(mount["destination"]): mount for mount in document.get("mounts") or ()}
    if path == "/" or path in mounts or any(_below(other, path) for other in mounts):
        return True
    above = max((place for place in mounts if _below(path, place)), key=len, default=None)
    if above is None:
        return _in_root(document.get("root", {}).get("path", ""), files, path)
    mount = mounts[above]
    if mount.get("type") == "tmpfs":
        return None if "tmpcopyup" in mount.get("options", ()) else False
    bound = is_bind(mount.get("type"), mount.get("options", ()))
    return _on_host(str(mount.get("source", "")), path.removeprefix(above)) if bound else None


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/") and path != directory


def _in_root(root: str, files: Mapping[str, File], path: str) -> bool | None:
    if os.path.isabs(root):
        return _on_host(root, path)
    parts = (root + path).split("/")
    steps = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    if any(isinstance(files.get(step), Symlink) for step in steps):
        return None
    return steps[-1] in files


def _on_host(source: str, rest: str) -> bool | None:
    current = source
    for part in rest.strip("/").split("/"):
        current = os.path.join(current, part)
        try:
            status = os.lstat(current)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return None
    return True
