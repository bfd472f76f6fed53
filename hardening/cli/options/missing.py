"""A command or a working directory that is there for the caller and not inside: the way to show it, before the launch fails.
Nothing is said unless it is certain (`hardening.launch.config.shown`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from hardening.base.files import is_below
from hardening.errors import quoted
from hardening.launch.config.shown import is_file, on_host, shown
from hardening.mechanism.fragment import File, Spec, Symlink
from hardening.mechanism.inputs import Input, way
from hardening.profile.toml_text import inline


def looked_at(spec: Spec) -> Iterator[Input]:
    """What decides that there is nothing to add for the working directory. A command is looked at when it is run."""
    document = spec.document
    directory = str(document.get("process", {}).get("cwd", "/"))
    yield from way(directory)
    sources = {str(mount["destination"]): str(mount.get("source", "")) for mount in document.get("mounts") or ()}
    sources["/"] = str(document.get("root", {}).get("path", ""))
    for place, source in sources.items():
        if is_below(directory, place) and source.startswith("/"):
            yield from way(os.path.join(source, directory.removeprefix(place).lstrip("/")))


def advice(spec: Spec, name: str) -> str | None:
    """What to add for the command ``name`` and for the working directory, or None."""
    document = spec.document
    directory = str(document.get("process", {}).get("cwd", "/"))
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return None

    def is_shown(path: str) -> bool | None:
        return shown(document, path, lambda path: _in_root(document.get("root", {}).get("path", ""), spec.files, path))

    if os.path.isdir(directory) and is_shown(directory) is False:
        return f"{directory} is not shown inside: add {_volume(directory, here)}"
    if "/" not in name:
        return None
    outside = os.path.abspath(name)
    inside = os.path.normpath(os.path.join(directory, name))
    if not is_file(outside) or is_shown(inside) is not False:
        return None
    folder = os.path.dirname(outside)
    below = os.path.commonpath((folder, here)) == here != "/"
    if os.path.isabs(name) or not below:
        call = "" if os.path.isabs(name) else f", and call it {quoted(outside)}"
        return f"{name} is not shown inside: add {_volume(folder, here)}{call}" if folder != "/" else None
    if is_shown(outside):
        return f'{name} is not below {directory}, the working directory inside: add -w "$PWD"'
    return f'{name} is not shown inside: add {_volume(here, here)} -w "$PWD"'


def _volume(directory: str, here: str) -> str:
    """The option that shows a directory at its own place."""
    if ":" in directory:
        table = inline({"source": directory, "target": directory})
        return f"--set {quoted(f'rootfs.volumes.add=[{table}]')}"
    return "-v " + ('"$PWD:$PWD"' if directory == here else quoted(f"{directory}:{directory}"))


def _in_root(root: str, files: Mapping[str, File], path: str) -> bool | None:
    if os.path.isabs(root):
        return on_host(root, path)
    parts = (root + path).split("/")
    steps = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    if any(isinstance(files.get(step), Symlink) for step in steps):
        return None
    return steps[-1] in files
