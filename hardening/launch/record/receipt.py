"""What the kernel says of a started command (proc(5), ptrace(2)): read from the host's side, and by a process of ours that
enters the container (`hardening.launch.record.observe`)."""

from __future__ import annotations

import errno
import os

from hardening.base.digest import canonical, of_filter, sha256
from hardening.base.linux import mountinfo, ptrace
from hardening.base.pointer import lookup, table
from hardening.errors import LaunchError
from hardening.launch.cgroup.hierarchy import read_hierarchies
from hardening.launch.config import confinement, variables
from hardening.launch.record import behalf
from hardening.launch.record.helpercalls import HelperCalls
from hardening.launch.record.observe import Observation, References, descriptors, environment, observe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from hardening.launch.config.bundle import Bundle
    from hardening.launch.secret.handed import Handed

# Key of the receipt -> file in /proc/PID, kept as text.
FILES = {
    "uid_map": "uid_map",
    "gid_map": "gid_map",
    "setgroups": "setgroups",
    "mountinfo": "mountinfo",
    "limits": "limits",
    "cgroup": "cgroup",
    "loginuid": "loginuid",
    "oom_score_adj": "oom_score_adj",
    "label": "attr/current",
    "apparmor": "attr/apparmor/current",
    "personality": "personality",
    "timens_offsets": "timens_offsets",
}
#: What limits a control group, in cgroups of version 2 and of version 1.
_CEILINGS = (
    "pids.max", "memory.max", "memory.swap.max", "cpu.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
    "cpu.cfs_quota_us", "cpu.cfs_period_us",
)  # fmt: skip
#: Of the types of namespaces those that /proc/PID/ns calls otherwise.
_PROC_NAMES = {"network": "net", "mount": "mnt"}
_TTY = 4  # of the fields of proc_pid_stat(5) behind the name


class Report:
    """The receipt of one launch. It is made before anything is started: what the command is compared with is the caller as
    it was then."""

    def __init__(self, bundle: Bundle, secrets: Handed | None) -> None:
        self._bundle = bundle
        self._secrets = secrets
        self._variables = variables.public(bundle.document)
        self._status = _status("/proc/self")
        #: What was learnt of new namespaces, for those who look at others against the same configuration.
        self.references: References = {}
        #: What is done before the command.
        self.helpers = HelperCalls(len(confinement.helpers(bundle.document)))
        own = namespaces()
        self._caller = {"caller_namespaces": own, "caller_mountinfo": _text("/proc/self/mountinfo")}
        # A launcher that leaves them may be the last in one, whose number the kernel then gives to a new one.
        self._kept = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in own]

    def outside(self, pid: int) -> dict[str, Any]:
        """What /proc says of a process, and, where that stands traced, which filters it has."""
        place = f"/proc/{pid}"
        status = _status(place)
        found: dict[str, Any] = {
            "pid": pid,
            "status": status,
            "namespaces": namespaces(place),
            "joined": sorted(_joined(self._bundle.document)),
            **self._caller,
            "caller_cgroup": _text(
                "/proc/self/cgroup"
            ),  # now: for a rootless runtime this process is in another namespace
            "exe": _link(f"{place}/exe"),
            "cwd": _link(f"{place}/cwd"),
            "tty": _tty(place),
            "enforce": _enforce(_mounts(_text("/proc/self/mountinfo"))),
            "descriptors": descriptors(place),
            "environment": environment(place, self._variables),
            "cgroup_values": dict(_cgroup_values(place)),
            "helpers": self.helpers.found,
            "seccomp": {
                "filters": _filters(pid, status.get("Seccomp", "")),
                "digest": None,
                "caller": int(self._status["Seccomp_filters"]) if "Seccomp_filters" in self._status else None,
            },
        }
        while self._kept:
            os.close(self._kept.pop())
        for key, name in FILES.items():
            text = _text(f"{place}/{name}")
            found[key] = text.rstrip("\0\n") if text is not None else None
        return found

    def gather(self, pid: int, program: bytes | None = None) -> dict[str, Any]:
        """Everything that a launch promises, of a process that stands traced at its first instruction.

        ``program`` is the filter that this process has given to it; None where a runtime makes it from the configuration.
        The parts are described in docs/reference/receipts.md. Of variables it has the names, and the values that a
        profile says, and of secrets what their files are.
        """
        found = self.outside(pid)
        found["seccomp"]["digest"] = self._digest(program)
        observed = self._observe(pid, found["mountinfo"] or "")
        for key in (
            "environment",
            "descriptors",
            "personality",
        ):  # of another user they are the container's root's to read
            inside = observed.pop(key, None)
            found[key] = inside if found[key] is None else found[key]
        self.references.update(observed.pop("references", {}))
        found["observed"] = observed
        if self._secrets is not None:
            found["secrets"] = self._secrets.observe(pid)
        return found

    def write(self, path: str, pid: int, program: bytes | None = None) -> None:
        """Write the receipt of a process as JSON; the file appears whole or not at all. `LaunchError` where it cannot."""
        found = self.gather(pid, program)
        try:
            write(path, found)
        except OSError as error:
            raise LaunchError(
                f"cannot write the receipt: {error.strerror}",
                origin=path,
                hint="name another file, or leave --receipt out",
            ) from None

    def _digest(self, program: bytes | None) -> str | None:
        """What was loaded: the configuration's filter, with its program where it was ours to load."""
        seccomp = lookup(self._bundle.document, "/linux/seccomp")
        if not seccomp:
            return None
        return of_filter(seccomp, program) if program is not None else sha256(canonical(seccomp))

    def _observe(self, pid: int, mounts: str) -> dict[str, Any]:
        document = self._bundle.document
        linux = table(document, "/linux")
        paths = [path for key in ("maskedPaths", "readonlyPaths") for path in linux.get(key) or ()]
        host = {mount.device for mount in _mounts(self._caller["caller_mountinfo"])}
        places, memory = [], []
        for mount in _mounts(mounts):
            places.append(mount.place)
            if mount.kind == "tmpfs" and mount.device not in host and "nodev" not in mount.options:
                memory.append(mount.place)
        nodes = [str(path) for entry in _listed(document, "devices") for path in _under(entry, "path")]
        directory = os.path.realpath(self._bundle.directory)
        root = os.path.realpath(os.path.join(directory, str(lookup(document, "/root/path") or "/")))
        sysctls = {str(name): str(value) for name, value in (linux.get("sysctl") or {}).items()}
        wanted = Observation(paths=tuple(paths), mounts=frozenset(places), memory=tuple(memory), nodes=tuple(nodes),
                        made=root.startswith(f"{directory}/"), sysctls=sysctls, variables=self._variables,
                        references=self.references)  # fmt: skip
        return observe(pid, wanted)


def write(path: str, found: dict[str, Any]) -> None:
    """Write a receipt as JSON, with the rights of who has called; the file appears whole or not at all. `OSError`."""
    import json

    text = json.dumps(found, indent=1, sort_keys=True)
    behalf.save(path, f"{text}\n".encode(), own=True, mode=0o600, durable=False)


def namespaces(place: str = "/proc/self") -> dict[str, str | None]:
    """The links that name the namespaces of a process, given by its directory in /proc."""
    names = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
    return {name: _link(f"{place}/ns/{name}") for name in names if os.path.lexists(f"{place}/ns/{name}")}


def _joined(document: object) -> Iterator[str]:
    """The namespaces that a configuration joins by a path, as /proc/PID/ns calls them; no link tells whose one is. Keys are
    read in any case, as runc reads them."""
    for entry in _listed(document, "namespaces"):
        if any(_under(entry, "path")):
            yield from (_PROC_NAMES.get(str(name), str(name)) for name in _under(entry, "type"))


def _mounts(text: object) -> list[mountinfo.MountInfo]:
    return mountinfo.parse(mountinfo.lines(str(text or "")))


def _listed(document: object, key: str) -> list[object]:
    """The entries of a list under `linux`."""
    found = [listed for linux in _under(document, "linux") for listed in _under(linux, key)]
    return [entry for listed in found if isinstance(listed, list) for entry in listed]


def _under(table: object, key: str) -> list[Any]:
    return [value for name, value in table.items() if name.lower() == key] if isinstance(table, dict) else []


def _status(place: str) -> dict[str, str]:
    lines = (_text(f"{place}/status") or "").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines) if value}


def _filters(pid: int, mode: str) -> list[str] | None:
    """The programs of all filters, the last first, in hexadecimal; None where they may not be read (ptrace(2))."""
    found: list[str] = []
    while mode == "2":
        try:
            found.append(ptrace.seccomp_filter(pid, len(found)).hex())
        except OSError as error:
            return found if error.errno == errno.ENOENT else None
    return found


def _enforce(mounts: list[mountinfo.MountInfo]) -> int | None:
    """Whether SELinux denies (1) or only records (0), by its file system; None without one (selinux(8))."""
    place = next((mount.place for mount in mountinfo.seen(mounts) if mount.kind == "selinuxfs"), None)
    text = None if place is None else _text(f"{place}/enforce")
    return int(text) if text is not None and text.strip().isdecimal() else None


def _tty(place: str) -> int | None:
    text = _text(f"{place}/stat")
    return int(text.rpartition(")")[2].split()[_TTY]) if text else None


def _cgroup_values(place: str) -> Iterator[tuple[str, str]]:
    """What the control groups of a process limit, by the names of their files."""
    hierarchies = read_hierarchies()
    for line in (_text(f"{place}/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for hierarchy in hierarchies:
            if hierarchy.unified == (not controllers) and set(controllers.split(",")) & {"", *hierarchy.controllers}:
                for name in _CEILINGS:
                    text = _text(f"{hierarchy.mount}/{path.lstrip('/')}/{name}")
                    if text is not None:
                        yield name, text.strip()


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
