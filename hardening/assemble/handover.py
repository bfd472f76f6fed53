"""What the launcher is given beside a bundle: the values of the secrets that its configuration names, and those of the
variables that were typed.

They go through a memfd (memfd_create(2)) that is sealed and inherited over execv(2), so that they stand in no file, no
argument and no variable. This process holds them for as long as that takes, and leaves no core dump from then on: the
launcher, which replaces it, can leave one again, and never reads them. Who goes on after that has another process open
them (`open_secrets_apart`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Container, Mapping
from typing import Any

import attrs

from hardening.assemble.spec import to_json
from hardening.base import files
from hardening.base.linux import abi, children, kernel
from hardening.base.pointer import ENVIRONMENT, lookup
from hardening.compose.composition import Composition
from hardening.errors import HardeningError, LaunchError, UsageError
from hardening.launch.config import confinement
from hardening.launch.config.bundle import SECRETS
from hardening.launch.config.variables import pack
from hardening.launch.request import LaunchRequest
from hardening.launch.secret import secrets
from hardening.mechanism.fragment import Spec
from hardening.mechanism.runtime import Runtime
from hardening.plugin.plugins import Plugins

_NAME = "hardening-secrets"
_NOEXEC_SEAL = 0x0008  # MFD_NOEXEC_SEAL, since Linux 6.3 (memfd_create(2))
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def leave_no_core() -> None:
    """Let nobody trace this process or find its memory in a core dump, until it executes something else (PR_SET_DUMPABLE).
    To be called before a value of a secret is read."""
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)


def seal(values: Mapping[str, bytes]) -> int:
    """A sealed, inheritable memfd with values by name, as the launcher reads them. Raises `OSError`."""
    return sealed(secrets.pack(values))


def sealed(data: bytes, name: str = _NAME) -> int:
    """A sealed, inheritable memfd with ``data``, of which nobody can change anything. Raises `OSError`."""
    fd = _memory(name)
    try:
        _fill(fd, data)
    except OSError:
        os.close(fd)
        raise
    return fd


def _memory(name: str) -> int:
    """An empty memfd that can be sealed. Raises `OSError`."""
    try:
        return os.memfd_create(name, os.MFD_ALLOW_SEALING | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, os.MFD_ALLOW_SEALING)


def _fill(fd: int, data: bytes) -> None:
    files.write_all(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)


def typed_variables(spec: Spec, composition: Composition) -> dict[str, str]:
    """The variables of a configuration whose value the command line gives or passes on, with it: any may be a secret."""
    found = {}
    for index, entry in enumerate(lookup(spec.document, ENVIRONMENT) or ()):
        name, _, value = entry.partition("=")
        pointer = f"{ENVIRONMENT}/{index}"
        if pointer not in spec.derived and composition.is_typed(spec.leaves.get(pointer, ()), value):
            found[name] = value
    return found


def left_open(spec: Spec, names: Container[str], *, whole: bool) -> Spec:
    """The configuration with the names alone of these variables, and unless it is to be ``whole`` without the command."""
    document = spec.document
    if not whole:
        document["process"].pop("args", None)
    entries = lookup(document, ENVIRONMENT) or []
    entries[:] = [name if (name := entry.partition("=")[0]) in names else entry for entry in entries]
    return attrs.evolve(spec, config=to_json(document))


def split(
    engine: Runtime, spec: Spec, values: Mapping[str, str], launch: LaunchRequest, *, whole: bool = True
) -> tuple[Spec, LaunchRequest]:
    """Take the ``values`` of variables out of what is to be written, and unless that is to be ``whole`` the command, where
    the runtime takes them from memory: what is written, and how it is launched. Raises `OSError`."""
    if not engine.takes_variables or (whole and not values):
        return spec, launch
    command = None if whole else confinement.command(spec.document) or None
    opened = seal(pack(values, command))
    return left_open(spec, values, whole=whole), launch.changed(variables=opened)


def open_secrets(plugins: Plugins, engine: Runtime, config: bytes) -> int:
    """Open the secrets that a configuration names, for the launcher: the descriptor for `LaunchRequest`, -1 where there
    are none. This is the last thing before the launcher is started. Raises `SecretError`, and `UsageError` for a runtime
    that gives none."""
    document = _giving(engine, config)
    if document is None:
        return -1
    leave_no_core()
    return seal(plugins.secrets(document))


def open_secrets_apart(plugins: Plugins, engine: Runtime, config: bytes) -> int:
    """The same for a process that goes on, and that never holds a value: else it could not make a user namespace any more,
    which is entered through files of /proc that belong to root where no core is left (proc(5))."""
    document = _giving(engine, config)
    if document is None:
        return -1
    fd = _memory(_NAME)
    try:
        answer, code = children.ask(
            lambda writer: _tell(writer, lambda: _fill(fd, secrets.pack(plugins.secrets(document))))
        )
        if code or answer:
            raise _error(answer)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _giving(engine: Runtime, config: bytes) -> Any:
    """The document of a configuration that names secrets; None for another one. `UsageError` where the runtime gives
    none."""
    if SECRETS.encode() not in config:
        return None
    document = json.loads(config)
    if not secrets.named(document):
        return None
    if not engine.takes_secrets:
        hint = "use --runtime native, crun or runc"
        raise UsageError(f"the runtime {engine.name} does not give secrets", origin="--runtime", hint=hint)
    return document


def _tell(writer: int, work: Callable[[], None]) -> None:
    """Do something with the values of secrets, and write down the error where there is one."""
    leave_no_core()
    try:
        work()
    except HardeningError as error:
        origin = None if error.origin is None else str(error.origin)
        told = {"message": error.message, "origin": origin, "hint": error.hint, "exit_code": error.exit_code}
        files.write_all(writer, json.dumps(told).encode())


def _error(answer: bytes) -> LaunchError:
    """The error that `_tell` has written."""
    return LaunchError(**json.loads(answer)) if answer else LaunchError("the values of the secrets cannot be opened")
