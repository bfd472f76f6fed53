"""What `hardening check` foretells of a pair, and what really happens to it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.support import elves
from tests.support.forking import typed
from tests.system.upgrades.pairs import AGED, LEARNT, Pair

#: The last system call of Linux 5.2 on x86-64.
LAST = 434


@attrs.frozen
class Told:
    """A pair: whether it ``worked`` before and ``works`` now, and what was foretold, as likely and perhaps."""

    pair: Pair
    worked: bool
    works: bool
    likely: Sequence[str]
    perhaps: Sequence[str]

    @property
    def verdict(self) -> str:
        if not self.worked:
            return "no pair"
        if self.works:
            return "false alarm" if self.likely else "right"
        return "right" if self.likely else "perhaps" if self.perhaps else "MISSED"


def ask(pair: Pair, old: Path, new: Path, folder: Path) -> Told:
    """Run both and check the new one."""
    stack = _stack(pair, old, folder)
    if stack is None:
        return Told(pair, worked=False, works=False, likely=(), perhaps=())
    worked = _succeeds(stack, old, pair.command, folder)
    works = worked and _succeeds(stack, new, pair.command, folder)
    words = ("check", str(stack), "--against", str(new), "--json", "--", pair.program)
    found: dict[str, Any] = json.loads(_hardening(*words, folder=folder).stdout)
    likely, perhaps = (
        sorted(
            {
                item["leaf"].removeprefix("seccomp.") or item["what"]
                for item in found["breakages"]
                if item["likely"] is kind
            }
        )
        for kind in (True, False)
    )
    return Told(pair, worked, works, likely, perhaps)


def _stack(pair: Pair, old: Path, folder: Path) -> Path | None:
    """The profile of a pair, with the old root; None where it cannot be learnt."""
    base = folder / f"{pair.stack}-{pair.old}.toml"
    above = "base" if pair.stack == AGED else "strict"
    seccomp = '[seccomp]\nprofile = "aged.json"\n' if pair.stack == AGED else ""
    base.write_text(f'extends = ["{above}"]\n{seccomp}[rootfs]\npath = "{old}"\n')
    if pair.stack == AGED:
        names = sorted(name for name, number in elves.numbers().items() if number <= LAST)
        rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
        (folder / "aged.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}))
    if pair.stack != LEARNT:
        return base
    layer = folder / f"{pair.label.replace(' ', '-').replace(',', '')}.toml"
    if not layer.exists():
        _hardening("learn", "-p", str(base), "-o", str(layer), "--", *pair.command, folder=folder)
    return layer if layer.exists() else None


def _succeeds(stack: Path, root: Path, command: Sequence[str], folder: Path) -> bool:
    root_said = ("--set", f"rootfs.path={root}", "--exception", "rootfs.path=the other release")
    return _hardening("run", "-q", "-p", str(stack), *root_said, "--", *command, folder=folder).returncode == 0


def _hardening(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return typed(None, *words, cwd=folder, env=os.environ)
