"""What seccomp files in docker's format come to here, and what the engines make of them.

``python -m tests.plugins.seccomp.files [--podman] FILE|FOLDER…`` reads each file as a layer, alone, with capabilities and
over ``default``; says which are taken, and which are refused why; and holds the composed program against the file's own
meaning, which `resolve` works out from the description of the format. ``--podman`` has podman itself read each file,
compares what it hands on with `resolve`, and has crun make a container with it. Needs root for that.
"""

from __future__ import annotations

import argparse
import errno
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble import pipeline
from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import HardeningError
from hardening_seccomp import bpf
from hardening_seccomp.actions import ActionKind
from hardening_seccomp.spec import FILE
from tests.support import podman, runs, shipped

#: Findings that say of a call that it is answered more strictly than the file says.
TOLD = ("seccomp/overlap", "seccomp/multiplexed", "seccomp/stricter", "seccomp/unknown-syscall")
SOME = ("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN")
_RUN = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_KINDS = {ActionKind.ALLOW: "SCMP_ACT_ALLOW", ActionKind.LOG: "SCMP_ACT_LOG"}
_ARCHITECTURES = ("x86_64", "x86", "x32")
_ALL = (1 << 64) - 1
_TESTS = {
    "SCMP_CMP_EQ": int.__eq__,
    "SCMP_CMP_NE": int.__ne__,
    "SCMP_CMP_LT": int.__lt__,
    "SCMP_CMP_LE": int.__le__,
    "SCMP_CMP_GE": int.__ge__,
    "SCMP_CMP_GT": int.__gt__,
}
_KEYS = {
    key.lower(): key
    for key in (
        *(
            "defaultAction",
            "defaultErrnoRet",
            "defaultErrno",
            "archMap",
            "architecture",
            "subArchitectures",
            "architectures",
        ),
        *("syscalls", "name", "names", "action", "args", "index", "value", "valueTwo", "op", "errnoRet", "errno"),
        *("includes", "excludes", "caps", "arches", "minKernel"),
    )
}

Vector = tuple[int, ...]


def read(file: Path) -> dict[str, Any]:
    """The JSON of a file, with keys as `spelled`."""
    found = json.loads(file.read_bytes(), object_hook=spelled)
    assert isinstance(found, dict)
    return found


def spelled(item: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the keys of the format as they are written there: Go reads them in any case."""
    return {_KEYS.get(key.lower(), key): value for key, value in item.items()}


def resolve(profile: Mapping[str, Any], capabilities: Sequence[str], kernel: tuple[int, int]) -> dict[str, Any]:
    """The ``linux.seccomp`` that a file in docker's format means on x86_64, for a container that holds ``capabilities``."""
    listed = list(profile.get("architectures") or ())
    for item in profile.get("archMap") or ():
        if item["architecture"] == "SCMP_ARCH_X86_64":
            listed = [item["architecture"], *(item.get("subArchitectures") or ())]
    calls = []
    for rule in profile.get("syscalls") or ():
        wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
        without = (
            "amd64" in (unwanted.get("arches") or ())
            or any(name in capabilities for name in unwanted.get("caps") or ())
            or (unwanted.get("minKernel") and kernel >= _version(unwanted["minKernel"]))
        )
        within = (
            "amd64" in (wanted.get("arches") or ("amd64",))
            and all(name in capabilities for name in wanted.get("caps") or ())
            and (not wanted.get("minKernel") or kernel >= _version(wanted["minKernel"]))
        )
        names = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
        if within and not without and names:
            tests = [
                {
                    "index": test["index"],
                    "value": test["value"],
                    "valueTwo": test.get("valueTwo") or 0,
                    "op": test["op"],
                }
                for test in rule.get("args") or ()
            ]
            number = _errno(rule.get("errno"), rule.get("errnoRet"))
            calls.append({"names": names, "action": rule["action"], "errnoRet": number, "args": tests})
    number = _errno(profile.get("defaultErrno"), profile.get("defaultErrnoRet"))
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": number,
        "architectures": listed,
        "syscalls": calls,
    }


def _version(text: str) -> tuple[int, int]:
    first, second = text.split(".")[:2]
    return int(first), int(second)


def _errno(name: str | None, number: int | None) -> int | None:
    if not name:
        return number
    return int(name) if name.isdigit() else int(getattr(errno, name))


def runs_under(meaning: Mapping[str, Any], name: str, arguments: Vector) -> set[bool]:
    """Whether a call runs, by each entry that holds for its arguments: both where they disagree."""
    found = {
        entry["action"] in _RUN
        for entry in meaning["syscalls"]
        if name in entry["names"]
        for case in _cases(entry)
        if all(_holds(test, arguments) for test in case)
    }
    return found or {meaning["defaultAction"] in _RUN}


def _cases(entry: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """All tests must hold; where two look at one argument, each stands for itself (runtime-spec, "Seccomp")."""
    tests = entry.get("args") or []
    return [[test] for test in tests] if len({test["index"] for test in tests}) < len(tests) else [tests]


def _holds(test: Mapping[str, Any], arguments: Vector) -> bool:
    found = arguments[test["index"]]
    if test["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(found & test["value"] == (test.get("valueTwo") or 0) & test["value"])
    return bool(_TESTS[test["op"]](found, test["value"]))


def vectors(meanings: Sequence[Mapping[str, Any]], name: str, width: int) -> set[Vector]:
    """Arguments at, below and beyond the limits of every comparison that looks at a call."""
    found: set[Vector] = {(0,) * 6}
    for meaning in meanings:
        for case in (case for entry in meaning["syscalls"] if name in entry["names"] for case in _cases(entry)):
            held = [0] * 6
            for test in case:
                held[test["index"]] = next(value for value in _near(test) if _holds(test, (value,) * 6))
            for test in case:
                for value in _near(test):
                    found.add((*held[: test["index"]], value, *held[test["index"] + 1 :]))
            found.add(tuple(held))
    return {vector for vector in found if all(value >> width == 0 for value in vector)}


def _near(test: Mapping[str, Any]) -> list[int]:
    """Some values of which at least one holds, if any does."""
    first, second = test["value"], test.get("valueTwo") or 0
    base = second & first if test["op"] == "SCMP_CMP_MASKED_EQ" else first
    near = [base, base + 1, base - 1, base | 1 << 32, base ^ first, base | (_ALL & ~first), 0, _ALL]
    return [value & _ALL for value in near]


@cache
def library() -> Libseccomp:
    return Libseccomp.load()


@attrs.frozen
class Taken:
    """A composed stack: its program, the architectures it answers for, the capabilities, and the calls that it tells of."""

    program: bpf.Program
    document: Mapping[str, Any]
    capabilities: tuple[str, ...]
    told: Mapping[str, str]

    def runs(self, architecture: str, name: str, arguments: Vector) -> bool:
        """Whether a call runs."""
        number = _numbers(architecture)[name]
        token = library().architecture("x86_64" if architecture == "x32" else architecture)
        assert token is not None
        return bpf.evaluate(self.program, token, number, arguments).action.kind in _KINDS


@cache
def _numbers(architecture: str) -> Mapping[str, int]:
    token = library().architecture(architecture)
    assert token is not None
    return library().names(token)


def layer(folder: Path, file: Path, capabilities: Sequence[str] = (), *, plain: bool = True) -> str:
    """A profile that takes a file, which is copied beside it. A ``plain`` one says nothing else about system calls."""
    copied = folder / "seccomp.json"
    copied.write_bytes(file.read_bytes())
    copied.chmod(0o644)
    text = f'[seccomp]\nprofile = "{copied.name}"\n'
    text += "restrict_suid_sgid = false\n" if plain else ""
    text += f"[capabilities]\nadd = {json.dumps(list(capabilities))}\n" if capabilities else ""
    return shipped.layer(folder, "layer", text + '[selinux]\nrequirement = "best-effort"\n')


def taken(profiles: Sequence[str]) -> Taken:
    """The stack, as ``hardening compose`` would write it. Raises `HardeningError` where it is refused."""
    plugins, host = shipped.here()
    composition = shipped.composed(profiles)
    assembly = pipeline.assembled(plugins, composition, host, ["/bin/true"])
    told = {found.leaf.removeprefix("seccomp."): found.rule for found in assembly.findings if found.rule in TOLD}
    held = assembly.spec.document["process"].get("capabilities", {}).get("bounding", ())
    program = assembly.spec.files[FILE]
    assert isinstance(program, bytes)
    return Taken(bpf.decode(program), assembly.spec.document["linux"]["seccomp"], tuple(held), told)


@attrs.frozen
class Held:
    """How a composed program and the files behind it agree: of ``points`` asked, the calls that are ``looser`` or, without a
    word of it, ``stricter``; and what is said to be stricter."""

    points: int = 0
    looser: frozenset[str] = frozenset()
    stricter: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()


def held(found: Taken, meaning: Mapping[str, Any], under: Taken | None = None) -> Held:
    """Ask a program for every call of all architectures, with the arguments that matter; ``under`` is what the stack is
    without the file."""
    points, looser, stricter, told = 0, set[str](), set[str](), set[str]()
    for architecture in _ARCHITECTURES:
        listed = architecture == "x86_64" or f"SCMP_ARCH_{architecture.upper()}" in meaning["architectures"]
        others = [meaning, found.document, *([under.document] if under is not None else ())]
        for name in _numbers(architecture):
            for vector in vectors(others, name, 64 if architecture == "x86_64" else 32):
                points += 1
                wanted = runs_under(meaning, name, vector) if listed else {False}
                if under is not None and not under.runs(architecture, name, vector):
                    wanted = {False}
                ran = found.runs(architecture, name, vector)
                if ran and wanted != {True}:
                    looser.add(f"{architecture} {name}{vector}")
                elif not ran and wanted != {False}:
                    code = found.told.get(name)
                    (told if code else stricter).add(f"{code} {name}" if code else f"{architecture} {name}{vector}")
    return Held(points, frozenset(looser), frozenset(stricter), frozenset(told))


def judged(file: Path, folder: Path) -> dict[str, Held | HardeningError]:
    """What a file comes to ``alone``, with ``capabilities`` and over the profile ``default``."""
    _, host = shipped.here()
    result: dict[str, Held | HardeningError] = {}
    for name, before, capabilities in (
        ("alone", (), ()),
        ("capabilities", (), SOME),
        ("over default", ("default",), ()),
    ):
        try:
            found = taken([*before, layer(folder, file, capabilities, plain=not before)])
        except HardeningError as error:
            result[name] = error
            continue
        meaning = resolve(read(file), found.capabilities, host.kernel)
        result[name] = held(found, meaning, _under() if before else None)
    return result


@cache
def _under() -> Taken:
    with tempfile.TemporaryDirectory() as folder:
        text = '[selinux]\nrequirement = "best-effort"\n'
        return taken(["default", shipped.layer(Path(folder), "layer", text)])


_PODMAN = """
graph=$1 root=$2
podman() { command podman --root "$graph" --runroot "$graph/run" --storage-driver vfs --cgroup-manager cgroupfs \
    --log-level error --runtime crun "$@"; }
while read -r file; do
    echo "=file $file"
    set -- --cgroups disabled --network none --cap-drop ALL --security-opt no-new-privileges --security-opt "seccomp=$file"
    id=$(podman create "$@" --rootfs "$root" /bin/true 2>&1) || { echo "=refused $id"; continue; }
    said=$(podman init "$id" 2>&1 </dev/null) || echo "=refused $said"
    echo "=config $(tr -d '\\n' <"$graph/vfs-containers/$id/userdata/config.json")"
    podman rm -f "$id" >/dev/null 2>&1 </dev/null
done
"""


def podmans(files: Sequence[Path], folder: Path) -> Iterator[tuple[Path, str, dict[str, Any] | None]]:
    """For each file why podman or its crun refuses it, or nothing, and the filter that podman handed on."""
    root = folder / "root"
    runs.busybox_root(root)
    words = ["sh", "-c", _PODMAN, "sh", str(folder / "graph"), str(root)]
    given = "".join(f"{file.resolve()}\n" for file in files)
    done = subprocess.run(podman.apart(folder, words), input=given, capture_output=True, text=True, check=True)
    blocks = done.stdout.split("=file ")[1:]
    for file, block in zip(files, blocks, strict=True):
        filter_, refused = None, ""
        for line in block.splitlines()[1:]:
            word, _, rest = line.partition(" ")
            if word == "=config":
                filter_ = json.loads(rest)["linux"].get("seccomp", {})
            else:
                refused += line.removeprefix("=") + " "
        yield file, refused.strip(), filter_


def main(words: Sequence[str]) -> int:
    """Judge files, one line each, and count what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.plugins.seccomp.files", description=__doc__)
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE|FOLDER")
    parser.add_argument("--podman", action="store_true", help="also ask podman and crun (needs root)")
    given = parser.parse_args(words)
    files = [file for place in given.places for file in (sorted(place.rglob("*.json")) if place.is_dir() else [place])]
    with tempfile.TemporaryDirectory(dir=runs.FOLDER) as place:
        folder = Path(place)
        asked = {file: (refused, found) for file, refused, found in podmans(files, folder)} if given.podman else {}
        counts: Counter[str] = Counter()
        for file in files:
            outcomes = judged(file, folder)
            for way, outcome in outcomes.items():
                line = _said(outcome, file)
                counts[f"{way}: {line.partition(':')[0]}"] += 1
                print(f"{file.name}: {way}: {line}", flush=True)
            if file in asked:
                line = _compared(file, outcomes["alone"], *asked[file])
                counts[f"podman: {line.partition(':')[0]}"] += 1
                print(f"{file.name}: podman: {line}", flush=True)
    for what, count in sorted(counts.items()):
        print(f"{count:6} {what}")
    return int(any("LOOSER" in what or "UNTOLD" in what for what in counts))


def _said(outcome: Held | HardeningError, file: Path) -> str:
    if isinstance(outcome, HardeningError):
        return "refused: " + str(outcome).partition("\nhint")[0].replace("\n", " / ").removeprefix(f"{file}: ")
    if outcome.looser:
        return "LOOSER: " + ", ".join(sorted(outcome.looser)[:3])
    if outcome.stricter:
        return "UNTOLD: " + ", ".join(sorted(outcome.stricter)[:3])
    return f"equal but for what is told: {', '.join(sorted(outcome.told))}" if outcome.told else "equal"


def _compared(file: Path, here: Held | HardeningError, refused: str, found: Mapping[str, Any] | None) -> str:
    if found is None or refused:
        return f"{'refused' if isinstance(here, HardeningError) else 'REFUSED THERE ALONE'}: {refused[:300]}"
    if isinstance(here, HardeningError):
        return "REFUSED HERE ALONE"
    _, host = shipped.here()
    meaning = resolve(read(file), (), host.kernel)
    return "as resolved here" if _plain(found) == _plain(meaning) else "RESOLVED OTHERWISE"


def _plain(meaning: Mapping[str, Any]) -> dict[str, Any]:
    """A filter without what says nothing."""
    calls = [{key: value for key, value in call.items() if value} for call in meaning.get("syscalls") or ()]
    for test in (test for call in calls for test in call.get("args", ())):
        test.setdefault("valueTwo", 0)
    return {key: value for key, value in meaning.items() if value and key != "flags"} | {"syscalls": calls}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
