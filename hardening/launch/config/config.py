"""`config.json` -> `Configuration`: strict, complete, and nothing of it interpreted later.

A field that the native launcher does not implement is refused, never skipped; so is one that the OCI runtime spec
does not know. Every refusal carries the JSON pointer (RFC 6901) of the field.
"""

from __future__ import annotations

from hardening.errors import HardeningError, LaunchError, raise_all
from hardening.launch.config.bundle import HELPERS, SECRETS
from hardening.launch.config.config_linux import read_linux
from hardening.launch.config.config_mounts import read_mounts
from hardening.launch.config.config_process import read_process
from hardening.launch.config.model import ConfigProcess, Configuration
from hardening.launch.config.reader import ConfigTable, Problem, Refused

__all__ = ["INTERPRETED_ANNOTATIONS", "examine", "read", "unsupported"]

# Annotations with which other runtimes do something: crun takes a seccomp program, WebAssembly handlers and more from
# them, crun and runc settings of checkpoints and of systemd units. What they do stands nowhere in the specification.
INTERPRETED_ANNOTATIONS = ("run.oci.", "module.wasm.", "org.criu.", "runc.", "org.systemd.property.")


UNSUPPORTED: dict[str, Refused] = {
    "hooks": (dict, "the native launcher runs no hooks"),
    "solaris": (dict, "is for Solaris"),
    "windows": (dict, "is for Windows"),
    "vm": (dict, "is for virtual machines"),
    "zos": (dict, "is for z/OS"),
    "freebsd": (dict, "is for FreeBSD"),
}


def read(document: object, origin: str = "config.json") -> Configuration:
    """What a configuration asks for; `LaunchError` (several: `Problems`) names each refused field."""
    parsed, problems = examine(document)
    errors: list[HardeningError] = [
        LaunchError(reason, origin=f"{origin}:{pointer or '/'}") for pointer, reason in problems
    ]
    raise_all(errors)
    assert parsed is not None  # noqa: S101 - examine() gives it, or a problem
    return parsed


def unsupported(document: object) -> list[Problem]:
    """(JSON pointer, reason) of every field that is malformed or that the native launcher would not honour."""
    return examine(document)[1]


def examine(document: object) -> tuple[Configuration | None, list[Problem]]:
    """The parsed configuration, or None with the problems that prevent it."""
    problems: list[Problem] = []
    config = ConfigTable(document, "", problems)
    _read_version(config)
    root, read_only = _read_root(config)
    process = read_process(config)
    annotations = config.mapping("annotations")
    named = dict(annotations)
    for name in named:
        if name.startswith(INTERPRETED_ANNOTATIONS):
            config.refuse(
                "annotations", "is an instruction to another runtime, which the native launcher does not follow", name
            )
    if HELPERS in named and process is not None:
        process = _behind_helpers(config, named[HELPERS], process)
    if SECRETS in named:
        _check_secrets(config, named[SECRETS], process)
    hostname, domainname = config.text("hostname", longest=64), config.text("domainname", longest=64)
    linux = read_linux(config, named)
    mounts = read_mounts(config, linux.pop("mount_label", ""))
    config.done(UNSUPPORTED)
    if process is None or problems:
        return None, problems
    parsed = Configuration(
        root=root,
        root_read_only=read_only,
        process=process,
        hostname=hostname,
        domainname=domainname,
        mounts=mounts,
        annotations=annotations,
        **linux,
    )
    _check_together(config, parsed, process)
    return (None if problems else parsed), problems


def _behind_helpers(config: ConfigTable, text: str, process: ConfigProcess) -> ConfigProcess:
    """The process with its command and the helpers before it told apart."""
    from hardening.launch.config import confinement

    try:
        found = confinement.parse(text)
    except LaunchError as error:
        config.refuse("annotations", error.message, HELPERS)
        return process
    before, args = confinement.joined(found, ()), process.command.args
    if list(args[: len(before)]) != before or not args[len(before) :]:
        config.problems.append(("/process/args", f"is no command behind the helpers that {HELPERS} names"))
        return process
    command = process.command.changed(args=args[len(before) :], helpers=tuple(map(tuple, found)))
    return process.changed(command=command)


def _check_secrets(config: ConfigTable, text: str, process: ConfigProcess | None) -> None:
    from hardening.launch.secret import secrets

    try:
        named = secrets.parse(text)
    except LaunchError as error:
        config.refuse("annotations", error.message, SECRETS)
        return
    there = {name for name, _ in process.command.env} if process is not None else set()
    for secret in named:
        if secret.kind == secrets.ENV and secret.target in there:
            config.refuse("annotations", f"the variable {secret.target} is set in /process/env already", SECRETS)


def _read_version(config: ConfigTable) -> None:
    version = config.text("ociVersion", required=True)
    numbers = version.split("-")[0].split("+")[0].split(".")
    if config.has("ociVersion") and not (len(numbers) == 3 and all(number.isdecimal() for number in numbers)):
        config.refuse("ociVersion", f"{version!r} is not a semantic version")
    elif version and numbers[0] != "1":
        config.refuse("ociVersion", f"version {version} is not 1.x, which is what this launcher reads")


def _read_root(config: ConfigTable) -> tuple[str, bool]:
    root = config.table("root", required=True)
    if root is None:
        return "", False
    path = root.text("path", required=True)
    read_only = root.flag("readonly")
    root.done()
    if root.has("path") and not path:
        root.refuse("path", "is empty")
    return path, read_only


def _check_together(config: ConfigTable, parsed: Configuration, process: ConfigProcess) -> None:
    """What no field shows alone."""
    if parsed.device_rules:
        from hardening.launch.config import device_rules

        config.problems += device_rules.problems(parsed)
    if not parsed.creates("mount"):
        joined = parsed.namespace("mount")
        pointer = joined.pointer if joined else "/linux/namespaces"
        config.problems.append((pointer, "the native launcher needs a new mount namespace"))
    if parsed.hostname and parsed.namespace("uts") is None:
        config.refuse("hostname", "needs a UTS namespace, or it would rename the host")
    if parsed.domainname and parsed.namespace("uts") is None:
        config.refuse("domainname", "needs a UTS namespace, or it would rename the host")
    if process.command.terminal and not any(mount.kind == "devpts" for mount in parsed.mounts):
        config.problems.append(("/process/terminal", "needs a devpts mount in /mounts"))
    for mount in parsed.mounts:
        if mount.own_idmap and not parsed.creates("user"):
            config.problems.append((mount.pointer, "is id-mapped, and there are neither maps nor a user namespace"))
