"""Configurations that others wrote, tightened and run: what the kernel reports of the command, held against its report of a
command under the profile itself. More freedom than that is "looser"."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble import bundle, pipeline
from hardening.assemble.spec import to_json
from hardening.runs import receipt
from tests.support import runs, shipped
from tests.support.features import available
from tests.support.users import User
from tools import compare

CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
#: Where the kernel must be told things, or where the launcher makes the mount itself.
KERNEL_PLACES = ("/proc", "/dev/pts", "/dev/mqueue", *compare.DEVICES)


def tightened(document: Mapping[str, Any], profile: str, folder: Path, user: User | None = None) -> pipeline.Assembly:
    plugins, host = shipped.here(user)
    composition = shipped.composed([profile], user)
    return pipeline.tighten(plugins, composition, host, document, bundle=folder / "bundle")


def write(assembly: pipeline.Assembly, runtime: str, folder: Path, user: User | None = None) -> None:
    """Write ``folder / "bundle"`` for a runtime, without limits that this host, or the caller, cannot have under it."""
    ready = dict(assembly.spec.document)
    # An ordinary user has no control group, with which other runtimes than the native one keep rules for devices, too.
    # crun sees those of cgroup2 alone.
    kept = {"devices"} if runtime == "native" or user is None else set()
    if user is not None or (runtime == "crun" and not available("cgroup2-controllers")):
        resources = {key: value for key, value in ready["linux"].get("resources", {}).items() if key in kept}
        ready["linux"] = {**ready["linux"], "resources": resources}
    bundle.write(attrs.evolve(assembly.spec, config=to_json(ready)), folder / "bundle")
    runs.hand_over(folder / "bundle", user)


def receipt_of(folder: Path, runtime: str, user: User | None = None) -> dict[str, Any]:
    """Run ``folder / "bundle"`` to its end: the kernel's report."""
    target = folder / f"receipt-{runtime}.json"
    argv = runs.launch_argv(runtime, folder, user, receipt=target)
    environment = user.environment if user is not None else os.environ
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd="/", env=environment, timeout=60, input=""
    )
    assert done.returncode == 0, f"{runtime}: {done.stderr}"
    return receipt.read(target)


@cache
def reference(profile: str, user: User | None = None) -> dict[str, compare.Value]:
    """What the kernel reports of a command under the profile itself, in a root like the ones that are tightened."""
    # A profile in a directory of another user's is not trusted.
    with runs.workplace(user) as folder, runs.workplace() as ours:
        root = runs.busybox_root(folder / "root")
        layer = shipped.layer(ours, "root", f'extends = ["{profile}"]\n[rootfs]\npath = "{root}"\n')
        assembly = shipped.assembled([layer], ["/bin/true"], folder, user)
        bundle.write(assembly.spec, folder / "bundle")
        runs.hand_over(folder, user)
        return dict(compare.reported(receipt_of(folder, "native", user), compare.namespaces()))


def looser(found: Mapping[str, Any], profile: str, user: User | None = None) -> list[str]:
    """The rows in which the kernel reports more freedom than of a command under the profile."""
    own = dict(compare.reported(found, compare.namespaces()))
    bound = dict(reference(profile, user))
    root = ["0", own["Uid"][1]]
    if found["uid_map"].split()[:2] == root:  # the container's, which may have all that is bounded
        bound |= dict.fromkeys(("CapPrm", "CapEff"), bound["CapBnd"])
    wrong = [name for name in CAPABILITY_SETS if int(own[name][0], 16) & ~int(bound[name][0], 16)]
    wrong += [name for name in ("NoNewPrivs", "Seccomp") if own[name] != bound[name]]
    wrong += [
        name
        for name, value in bound.items()
        if name.startswith("namespace ") and value == ("its-own",) and own[name] != value
    ]
    wrong += [name for name, value in bound.items() if name.startswith("limit ") and _beyond(own[name], value)]
    if int(bound["Umask"][0], 8) & ~int(own["Umask"][0], 8):
        wrong.append("Umask")
    if int(own["oom_score_adj"][0]) < int(bound["oom_score_adj"][0]):
        wrong.append("oom_score_adj")
    if _maps_root(found["uid_map"]) and not _maps_root(" ".join(bound["uid_map"])):
        wrong.append("uid_map")
    return [*wrong, *_looser_mounts(own, bound)]


def _beyond(own: compare.Value, bound: compare.Value) -> bool:
    numbers = [[float("inf") if word == "unlimited" else float(word) for word in value] for value in (own, bound)]
    return any(mine > allowed for mine, allowed in zip(*numbers, strict=True))


def _maps_root(text: str) -> bool:
    words = text.split()
    return any(outside == "0" for outside in words[1::3])


def _looser_mounts(own: Mapping[str, compare.Value], bound: Mapping[str, compare.Value]) -> Iterator[str]:
    """A mount that the profile's own command does not have must be read-only and without rights."""
    for name, words in own.items():
        kind, _, place = name.partition(" ")
        allowed = bound.get(name, ("ro", "nosuid", "nodev"))
        guards = {"ro", "nosuid", "nodev", "noexec"} & set(allowed)
        if place == "/":
            # The specification has one option for the root; the native launcher adds the others by itself.
            guards &= {"ro"}
        if kind == "mount" and place not in KERNEL_PLACES and (guards - set(words) or _size(words) > _size(allowed)):
            yield name
    if not set(_options(bound["mount /proc"])) <= set(own["mount /proc"]):
        yield "mount /proc"
    for name in bound:
        if name.startswith("hidden-") and "/proc/" in name and name not in own:
            yield name


def _options(words: compare.Value) -> list[str]:
    return [word for word in words if "=" in word]


def _size(words: compare.Value) -> int:
    """The kernel's words for the size of a tmpfs in KiB; what has no room of its own counts as none."""
    sizes = [word[5:-1] for word in words if word.startswith("size=")]
    return int(sizes[0]) if sizes else 0
