"""A bundle on disk: `config.json`, its root and `seccomp.bpf`, opened once and checked by descriptor."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import digest, files, jsontext, trusted
from hardening.base.digest import ANNOTATION
from hardening.base.files import Opened
from hardening.base.frozen import Frozen
from hardening.base.linux.system import os
from hardening.base.pointer import lookup
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any


FILTER = "seccomp.bpf"
MAX_FILTER = 8 * 65535  # BPF_MAXINSNS is 4096 for classic programs of users; libseccomp may write up to 65535
#: Annotations in which a bundle says how it was composed.
PROFILES = "org.hardening.profiles"
EXCEPTIONS = "org.hardening.exceptions"
MECHANISMS = "org.hardening.mechanisms"
IMAGE = "org.hardening.image.digest"
IMAGE_STORE = "org.hardening.image.store"
#: The annotation of a root that was made elsewhere and in whose own file system no device node may work.
NODES = "org.hardening.nodes"
#: The annotation with the names of the variables whose values stand in a profile (`hardening.launch.config.variables`).
VARIABLES = "org.hardening.variables"
#: The annotation with the names of secrets (`hardening.launch.secret.secrets`, which is imported only where a bundle
#: has it).
SECRETS = "org.hardening.secrets"
#: The annotation with the lease files (`hardening.launch.container.leases`, which likewise is imported only then).
LEASES = "org.hardening.leases"
#: The annotation with the helpers that stand before the command (`hardening.launch.config.confinement`).
HELPERS = "org.hardening.helpers"
#: How far a mechanism is enforced, as the third of them says.
STATES = ("enforced", "partly", "not_enforced")


class Bundle(Frozen):
    """A bundle's directory, its parsed `config.json`, the text of that file, and the text's SHA-256 in hexadecimal;
    ``program`` is its seccomp program where that was held to a digest of its own, else b''."""

    directory: str
    document: object
    text: bytes
    sha256: str
    program: bytes = b""


def is_judged(annotations: Container[str]) -> bool:
    """Whether the places that a configuration names were judged: composition and `apply`, which say by which profiles,
    write each with its links followed. A link on the way of one was laid since. Of a bundle made elsewhere nobody has
    judged any, and its links are followed."""
    return PROFILES in annotations


def load(directory: str, sha256: str = "", filter_sha256: str = "") -> Bundle:
    """Read `config.json` of a bundle; ``sha256`` is the digest of the text that was checked before, '' for none, and
    ``filter_sha256`` that of the seccomp program which was found to belong to it then.

    Raises `LaunchError` when one is missing, malformed, or not what was checked, and when the directory or a file
    belongs to neither the caller nor root, or others can write to it.
    """
    directory = files.absolute(directory)
    with Opened(_open(directory, os.O_DIRECTORY, None)) as fd:
        _require_configuration(fd, directory)
        _refuse_untrusted(fd, directory)
        text = read_file(fd, "config.json", directory, jsontext.MAX_BYTES)
        program = read_file(fd, FILTER, directory, MAX_FILTER) if filter_sha256 else b""
    origin = files.join(directory, "config.json")
    found = digest.sha256(text)
    if sha256 and found != sha256:
        raise _changed(origin)
    if filter_sha256 and digest.sha256(program) != filter_sha256:
        raise _changed(files.join(directory, FILTER))
    return Bundle(
        directory=directory,
        document=jsontext.parse(text, origin, checked=bool(sha256)),
        text=text,
        sha256=found,
        program=program,
    )


def _changed(origin: str) -> LaunchError:
    return LaunchError("has changed since it was checked", origin=origin, hint="launch it again once nothing writes it")


def load_filter(bundle: Bundle, sha256: str) -> bytes:
    """The seccomp program of the bundle; `LaunchError` unless ``sha256`` is the digest of it with what it is compiled
    from, or both were held to digests that were taken when it was."""
    return bundle.program or _read_program(bundle.directory, lookup(bundle.document, "/linux/seccomp"), sha256)


def check_filter(bundle: Bundle) -> None:
    """Hold the filter of a bundle to its configuration for a runtime that compiles one by itself: `LaunchError` unless
    ``linux.seccomp``, the annotation and ``seccomp.bpf`` belong together. A bundle made elsewhere has only the first.
    """
    seccomp, stated = lookup(bundle.document, "/linux/seccomp"), lookup(bundle.document, f"/annotations/{ANNOTATION}")
    origin = files.join(bundle.directory, "config.json")
    program = files.join(bundle.directory, FILTER)
    hint = "write the bundle again with `hardening compose -o` or `hardening apply`"
    if stated is None:
        if files.exists(program):
            raise LaunchError(f"no annotation {ANNOTATION} binds it to config.json", origin=program, hint=hint)
    elif seccomp is None:
        reason = f"is missing, and the annotation {ANNOTATION} announces a filter"
        raise LaunchError(reason, origin=f"{origin}:/linux/seccomp", hint=hint)
    else:
        _read_program(bundle.directory, seccomp, str(stated).lower())


def _read_program(directory: str, seccomp: object, sha256: str) -> bytes:
    with Opened(_open(directory, os.O_DIRECTORY, None)) as fd:
        program = read_file(fd, FILTER, directory, MAX_FILTER)
    origin = files.join(directory, FILTER)
    if not program or len(program) % 8:
        raise LaunchError("is not a BPF program of 8-byte instructions", origin=origin)
    if digest.of_filter(seccomp, program) != sha256:
        raise LaunchError(
            f"is not compiled from the linux.seccomp of config.json: the digest in {ANNOTATION} differs",
            origin=origin,
            hint="write the bundle again with `hardening compose -o` or `hardening apply`",
        )
    return program


def read_file(directory: int, name: str, where: str, longest: int) -> bytes:
    """The content of a regular file in an open directory, never through a symbolic link."""
    path = files.join(where, name)
    with Opened(_open(path, os.O_NOFOLLOW | os.O_NONBLOCK, directory)) as fd:
        _refuse_untrusted(fd, path)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise LaunchError("is not a regular file", origin=path)
        if status.st_size > longest:
            raise LaunchError(f"is larger than {longest} bytes", origin=path)
        parts = []
        while part := os.read(fd, status.st_size + 1):
            parts.append(part)
        return b"".join(parts)


def read_json(directory: str, name: str) -> object:
    """What a JSON file of a directory that is kept says. Raises `LaunchError` for one that is gone or damaged, and for
    what was put in its place: no caller waits for a FIFO, or reads a device without an end."""
    with Opened(_open(directory, os.O_DIRECTORY | os.O_NOFOLLOW, None)) as place:
        return jsontext.parse(read_file(place, name, directory, jsontext.MAX_BYTES), files.join(directory, name))


def read_table(directory: str, name: str) -> dict[str, Any]:
    """The same of a file that holds an object: {} for all that is damaged or gone, which hinders nothing else."""
    try:
        found = read_json(directory, name)
    except LaunchError:
        return {}
    return found if isinstance(found, dict) else {}


def _open(path: str, flags: int, directory: int | None) -> int:
    name = files.base(path) if directory is not None else path
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=directory)
    except OSError as error:
        hint = "it must not be a symbolic link" if error.errno == errno.ELOOP else None
        raise LaunchError(f"cannot be opened: {error.strerror}", origin=path, hint=hint) from error


def _require_configuration(fd: int, directory: str) -> None:
    try:
        os.stat("config.json", dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError as error:
        hint = "name the directory of a bundle: `hardening compose -o` writes one"
        raise LaunchError("holds no config.json", origin=directory, hint=hint) from error


def _refuse_untrusted(fd: int, path: str) -> None:
    try:
        trusted.require(os.fstat(fd), "", path, fd, (0, os.geteuid()), sticky=False)
    except trusted.UntrustedError as error:
        raise LaunchError(str(error).strip(), origin=path, hint=error.hint) from None
