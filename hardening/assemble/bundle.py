"""Spec -> bundle: a directory with ``config.json``, ``rootfs`` and the files that mechanisms put beside them.

A bundle is written under a temporary name in the same directory and renamed when it is whole, so that a bundle that
exists is complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hardening.assemble import bundles
from hardening.base import files, jsontext, state, wholefile
from hardening.base.jsontext import MAX_BYTES
from hardening.base.pointer import CONFIG, lookup
from hardening.errors import HardeningError, LaunchError
from hardening.launch.record import behalf
from hardening.mechanism.fragment import Directory, File, Spec, Symlink

#: Of the files beside the root, for the caller alone: they hold the words and the variables of a command. And of what a
#: container's mapped ids must find their way through.
_PRIVATE, _OPEN = 0o600, 0o644
_HINT = "name a bundle, which is a directory with a config.json, or the file itself"


def write(spec: Spec, path: Path, *, private: bool = False) -> None:
    """Write the bundle ``path``, which must not exist or be an empty directory; only the caller can read the files
    beside its root. A ``private`` one is in the state directory; any other is where the caller says, and is written with
    their rights. Raises `LaunchError`."""
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}")

    def make() -> None:
        os.close(behalf.find_folder(str(path)))
        partial.mkdir()
        try:
            partial.chmod(0o711)
            for name, content in {**spec.files, **_working_directory(spec)}.items():
                _write_file(partial / name, content, mode_of(name))
            _write_file(partial / CONFIG, spec.config, mode_of(CONFIG))
            # rename(2) replaces an empty directory and refuses any other.
            partial.rename(path)
        except OSError:
            bundles.discard(partial)
            raise

    try:
        make() if private else behalf.write(make)
    except OSError as error:
        hint = state.remedy(error) if private else _elsewhere(error)
        raise LaunchError(f"cannot write the bundle: {error.strerror}", origin=path, hint=hint) from None


def _working_directory(spec: Spec) -> dict[str, File]:
    """The working directory, by its path in the bundle, where the root is the bundle's own and lacks it. A runtime would
    make it as an id of the container, whose directories the caller cannot remove, and not at all where that has no rights in
    the root. Nothing where a mount shows it, or only the kernel knows where it is."""
    document = spec.document
    root, inside = (str(lookup(document, pointer) or "") for pointer in ("/root/path", "/process/cwd"))
    if root not in spec.files or ".." in inside.split("/"):
        return {}
    inside = files.absolute(inside)
    mounts = [str(mount["destination"]) for mount in document.get("mounts") or ()]
    if any(inside == place or files.is_below(inside, place) for place in mounts):
        return {}
    path = Path(root + inside)
    above = [spec.files.get(str(step), Directory()) for step in path.parents]
    missing = str(path) not in spec.files and all(isinstance(content, Directory) for content in above)
    return {str(path): Directory()} if missing else {}


def mode_of(name: str) -> int:
    """The mode of a new file of a bundle, by its path in that."""
    return _OPEN if "/" in name else _PRIVATE


def _elsewhere(error: OSError) -> str:
    if error.errno in wholefile.FULL:
        return "free space on that disk, or choose a directory on another"
    return "choose a directory that does not exist yet, in one that you can write to"


def _write_file(path: Path, content: File, file_mode: int) -> None:
    """Make one file with its exact mode, ``file_mode`` where the content has none: the caller's umask must
    not lock out a container's mapped ids."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    match content:
        case Directory(mode):
            path.mkdir(exist_ok=True)
            path.chmod(mode)
        case Symlink(target):
            path.symlink_to(target)
        case bytes():
            files.create(str(path), content, file_mode)


def read_config(path: Path) -> dict[str, Any]:
    """The OCI configuration at ``path``, a bundle or its ``config.json``: a regular file of at most 8 MiB, and in a
    bundle no symbolic link, as for a launch. Raises `HardeningError`."""
    is_bundle = path.is_dir()
    file = path / CONFIG if is_bundle else path
    try:
        with open(files.open_file(str(file), follow=not is_bundle), "rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise HardeningError(f"cannot read the configuration: {error.strerror}", origin=file, hint=_HINT) from None
    return parse_config(text, file)


def given_config(path: Path) -> dict[str, Any]:
    """The same, or for ``-`` that of standard input."""
    return read_config(path) if str(path) != "-" else parse_config(*given_text(path))


def given_text(path: Path) -> tuple[bytes, str]:
    """The bytes of a file that somebody wrote, at most one more than may be read of a configuration, and where they come
    from; of standard input for ``-``. Raises `HardeningError`."""
    piped = str(path) == "-"
    origin = "standard input" if piped else str(path)
    try:
        with open(0 if piped else files.open_file(str(path)), "rb", closefd=not piped) as file:
            return file.read(MAX_BYTES + 1), origin
    except OSError as error:
        raise HardeningError(f"cannot read the configuration: {error.strerror}", origin=origin) from None


def parse_config(text: bytes, origin: Path | str) -> dict[str, Any]:
    """The OCI configuration in ``text``, which came from ``origin``: at most 8 MiB. Raises `HardeningError`."""
    if len(text) > MAX_BYTES:
        raise HardeningError(
            f"the configuration is larger than {MAX_BYTES} bytes",
            origin=origin,
            hint=_HINT,
        )
    try:
        document = jsontext.parse(text, str(origin))
    except LaunchError as error:
        hint = "an OCI configuration is one JSON object in UTF-8, each of its keys once"
        raise HardeningError(f"not a JSON configuration: {error.message}", origin=error.origin, hint=hint) from None
    if not isinstance(document, dict):
        raise HardeningError("a configuration is a JSON object", origin=origin, hint="`runc spec` writes an example")
    return document
