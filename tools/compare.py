"""What the kernel says of the same command under each runtime, side by side: `tools/compare [-p PROFILE] [-- COMMAND]`.

Every value is read from /proc when the command has been executed and before it runs. Values that differ are either
explained by an entry of `DIFFERENCES`, or they are a finding: the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import attrs

from hardening.cli import output
from hardening.report.table import Table
from hardening.runs import receipt

RUNTIMES = ("native", "crun", "runc")
#: Fields of /proc/PID/status (proc_pid_status(5)) that a launch decides, or that must not change on its way.
STATUS = (
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("Uid", "Gid", "Umask", "SigBlk", "SigIgn", "SigCgt", "Speculation_Store_Bypass", "CoreDumping"),
)
FILES = ("uid_map", "gid_map", "setgroups", "loginuid", "oom_score_adj", "label", "exe")
ABSENT = "absent"

Value = tuple[str, ...]


@attrs.frozen
class Difference:
    """Why one runtime may report other words than the native launcher in the rows that match ``row``: it may have
    ``more`` words, and lack ``fewer`` of them, and no others."""

    row: str
    runtime: str
    more: frozenset[str]
    fewer: frozenset[str]
    reason: str

    def explains(self, row: str, runtime: str, native: Value, other: Value) -> bool:
        """Whether this is all that sets the two values apart."""
        more, fewer = set(other) - set(native), set(native) - set(other)
        return runtime == self.runtime and fnmatchcase(row, self.row) and more <= self.more and fewer <= self.fewer


def _difference(rows: str, runtime: str, more: str, fewer: str, reason: str) -> Iterator[Difference]:
    for row in rows.split():
        yield Difference(row, runtime, frozenset(more.split()), frozenset(fewer.split()), reason)


DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
#: How one runtime may differ from the native launcher, whatever the profile. Nothing here makes it looser than the profile.
DIFFERENCES = (
    *_difference(" ".join(DEVICES), "crun", "nosuid noexec rw", "ro",
                 "crun binds devices with nosuid and noexec, and leaves it to their owner to change their modes"),
    *_difference(" ".join(DEVICES), "runc", "rw", "ro", "runc leaves it to the owner of devices to change their modes"),
    *_difference("hidden-directory", "crun", "size=0k", "nosuid nodev noexec mode=555",
                 "crun hides directories below a tmpfs without room, read-only by its mount"),
    *_difference("hidden-directory", "runc", "ro-filesystem", "nosuid nodev noexec mode=555",
                 "runc hides directories below a tmpfs that is read-only by itself"),
    *_difference("hidden-file", "runc", "rw", "ro", "runc hides files below a /dev/null that is not mounted read-only"),
    *_difference("Groups", "runc", "its-own", "",
                 "runc drops no groups of an ordinary user, and one who has others than the primary one is refused"),
    *_difference("mount /", "crun", "", "nosuid nodev",
                 "the OCI spec has no such flags for the root, which holds nothing but what is mounted with them"),
    *_difference("mount /", "runc", "", "nosuid nodev",
                 "the OCI spec has no such flags for the root, which holds nothing but what is mounted with them"),
    *_difference("cgroup", "crun", "its-own", "the-caller's", "crun makes a cgroup for every container of root"),
    *_difference("cgroup", "runc", "its-own", "the-caller's", "runc makes a cgroup for every container of root"),
)  # fmt: skip


@attrs.frozen
class Row:
    """One thing that the kernel reports, by runtime. ``unexplained`` are the runtimes that differ without a reason."""

    name: str
    values: Mapping[str, Value]
    reasons: tuple[str, ...]
    unexplained: tuple[str, ...]


def arguments(
    profile: str, runtime: str, target: Path, command: Sequence[str], options: Sequence[str] = ()
) -> list[str]:
    """What follows ``hardening`` in the command line whose receipt `rows` reads."""
    return ["run", "-q", "-p", profile, *options, "--runtime", runtime, "--receipt", str(target), "--", *command]


def rows(receipts: Mapping[str, Mapping[str, Any]], caller: Mapping[str, str]) -> list[Row]:
    """Everything in the receipts (see `hardening.runs.receipt`) by runtime. ``caller`` maps the names in /proc/PID/ns to the
    namespaces of whoever called the runtimes."""
    seen = {runtime: dict(reported(item, caller)) for runtime, item in receipts.items()}
    names = dict.fromkeys(name for values in seen.values() for name in values)
    return [judged(name, {runtime: values.get(name, (ABSENT,)) for runtime, values in seen.items()}) for name in names]


def namespaces() -> dict[str, str]:
    """The namespaces of this process."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}


def judged(name: str, values: Mapping[str, Value]) -> Row:
    """The values of one row by runtime, ``native`` among them, with the reasons why they differ."""
    native = values["native"]
    reasons: dict[str, None] = {}
    unexplained = []
    kind, _, place = name.partition(" ")
    for runtime, other in values.items():
        if set(other) == set(native):
            continue
        found = next((item for item in DIFFERENCES for row in (kind, place)
                      if item.explains(row, runtime, native, other)), None)  # fmt: skip
        if found is None:
            unexplained.append(runtime)
        else:
            reasons[found.reason] = None
    return Row(name, values, tuple(reasons), tuple(unexplained))


def reported(found: Mapping[str, Any], caller: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    """The names of rows and what one receipt says in them."""
    status = found["status"]
    for key in STATUS:
        yield key, tuple(status.get(key, ABSENT).split())
    primary = status["Gid"].split()[0]
    yield "Groups", tuple("its-own" if gid == primary else gid for gid in status["Groups"].split())
    for key in FILES:
        yield key, tuple(str(found[key]).split()) if found[key] is not None else (ABSENT,)
    for name in sorted(caller):
        if name.endswith("_for_children"):
            continue
        link = found["namespaces"].get(name)
        yield f"namespace {name}", ("the-caller's" if link == caller[name] else "its-own" if link else ABSENT,)
    unified = next((line[3:] for line in found["cgroup"].splitlines() if line.startswith("0::")), ABSENT)
    yield "cgroup", ("its-own" if unified != _own_cgroup() else "the-caller's",)
    yield from _limits(found["limits"])
    yield from _mounts(found["mountinfo"])


def _own_cgroup() -> str:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), ABSENT)


def _limits(text: str) -> Iterator[tuple[str, Value]]:
    """The lines of /proc/PID/limits: name, soft and hard limit in columns."""
    for line in text.splitlines()[1:]:
        soft, hard = line[26:].split()[:2]
        yield f"limit {line[:26].strip().removeprefix('Max ')}", (soft, hard)


def _mounts(lines: Sequence[str]) -> Iterator[tuple[str, Value]]:
    """The mounts by their place: type, flags, and the file system's own options where it was made for the container."""
    for line in sorted(lines, key=lambda text: text.split()[4]):
        before, _, after = line.partition(" - ")
        _, _, _, root, place, flags, *optional = before.split()
        kind, _, options = after.split(maxsplit=2)
        words = [kind, *flags.split(","), *(word.partition(":")[0] for word in optional)]
        if kind in ("tmpfs", "proc", "devpts"):
            words += ["ro-filesystem" if word == "ro" else word for word in options.split(",") if word != "rw"]
        yield f"{_meaning(place, root, kind)} {place}", tuple(words)


def _meaning(place: str, root: str, kind: str) -> str:
    """Whether something is mounted to hide what is there."""
    if root == "/null" and place != "/dev/null":
        return "hidden-file"
    made = ("/dev", "/run", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
    return "hidden-directory" if kind == "tmpfs" and root == "/" and place not in made else "mount"


def table(found: Sequence[Row]) -> Table:
    """The rows for people: what is equal stands once."""
    lines = []
    for row in found:
        texts = {runtime: " ".join(value) for runtime, value in row.values.items()}
        equal = len({frozenset(value) for value in row.values.values()}) == 1
        shown = [texts["native"], *("=" if equal or texts[name] == texts["native"] else texts[name]
                                    for name in texts if name != "native")]  # fmt: skip
        note = "; ".join((*row.reasons, *(f"{name}: not explained" for name in row.unexplained)))
        lines.append((row.name, *shown, note))
    return Table(("what", *found[0].values, "why it differs"), tuple(lines), "what the kernel says")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/compare", description=__doc__)
    parser.add_argument("-p", "--profile", default="strict")
    parser.add_argument("--rootfs", help="a directory; default: the host's root")
    parser.add_argument("command", nargs="*", default=["true"])
    asked = parser.parse_args()
    options = ["--rootfs", asked.rootfs] if asked.rootfs else []
    program = Path(sys.executable).with_name("hardening")
    with tempfile.TemporaryDirectory() as folder:
        targets = {runtime: Path(folder, runtime) for runtime in RUNTIMES}
        for runtime, target in targets.items():
            words = arguments(asked.profile, runtime, target, asked.command, options)
            subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)
        found = rows({runtime: receipt.read(target) for runtime, target in targets.items()}, namespaces())
    output.show_table(table(found))
    return int(any(row.unexplained for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
