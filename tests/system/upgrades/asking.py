"""What `hardening check` foretells of a pair, and what really happens to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.support import elves
from tests.system.upgrades.pairs import AGED, LEARNT, STRICT, Pair

#: The last system call of Linux 5.2 on x86-64; seconds for one run of a command, and of the tool where it has several, or a
#: program to look through.
LAST, RUN, PATIENCE = 434, 30, 300
#: What the old one was seen to call.
SEEN = "seen.json"
_HARDENING = str(Path(sys.executable).with_name("hardening"))


@attrs.frozen
class Told:
    """A pair: whether it ``worked`` before and ``works`` now, what was foretold, as likely and perhaps, and whether it works
    once all of that is permitted: the ``cause`` was among what is likely, or among the rest. It is not ``answered`` where
    the check itself came to no end."""

    pair: Pair
    worked: bool
    works: bool
    likely: Sequence[str] = ()
    perhaps: Sequence[str] = ()
    cause: str = ""
    answered: bool = True

    @property
    def verdict(self) -> str:
        if not self.worked:
            return "no pair"
        if not self.answered:
            return "no answer"
        if self.works:
            return "false alarm" if self.likely else "right"
        return f"named as {self.cause}" if self.cause else "MISSED"


def ask(pair: Pair, old: Path, new: Path, folder: Path) -> Told:
    """Run both and check the new one; what is made for that stays in the folder."""
    stack = _stack(pair, old, folder)
    if stack is None or not _succeeds(stack, old, pair.command, folder):
        return Told(pair, worked=False, works=False)
    works = _succeeds(stack, new, pair.command, folder)
    words = ["check", str(stack), "--against", str(new), "--json"]
    if (folder / SEEN).exists():
        words += ["--seen", SEEN]
    printed = _hardening(*words, "--", pair.program, folder=folder, stdout=subprocess.PIPE).stdout
    if not printed:
        return Told(pair, True, works, answered=False)
    found: list[dict[str, Any]] = json.loads(printed)["breakages"]
    likely = [item for item in found if item["likely"]]
    cause = ""
    if not works:
        permitted = (
            (name, _succeeds(stack, new, pair.command, folder, [*_options(items)]))
            for name, items in (("likely", likely), ("perhaps", found))
        )
        cause = next((name for name, helps in permitted if helps), "")
    others = [item for item in found if not item["likely"]]
    return Told(pair, True, works, _names(likely), _names(others), cause)


def _names(found: Iterable[dict[str, Any]]) -> Sequence[str]:
    return sorted({item["leaf"].removeprefix("seccomp.") or item["what"] for item in found})


def _options(found: Iterable[dict[str, Any]]) -> Iterable[str]:
    """The options that permit what was foretold: calls themselves, for not everybody has the fallback that is offered."""
    for leaf in dict.fromkeys(item["leaf"] for item in found):
        mechanism, _, name = leaf.partition(".")
        if mechanism == "seccomp":
            yield from ("--exception", f"{leaf}=tried", "--seccomp-allow", name)
    for item in found:
        if not item["leaf"].startswith("seccomp.") and item["loosening"] is not None:
            yield from item["loosening"]["options"]


def _stack(pair: Pair, old: Path, folder: Path) -> Path | None:
    """The profile of a pair, with the old root; None where it cannot be learnt."""
    base = folder / "base.toml"
    above = "base" if pair.stack == AGED else "strict"
    seccomp = '[seccomp]\nprofile = "aged.json"\n' if pair.stack == AGED else ""
    base.write_text(f'extends = ["{above}"]\n{seccomp}[rootfs]\npath = "{old}"\n')
    if pair.stack == AGED:
        names = sorted(name for name, number in elves.numbers().items() if number <= LAST)
        rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
        (folder / "aged.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}))
    layer = folder / "learnt.toml"
    if pair.stack != STRICT and not layer.exists():
        words = ("learn", "-p", str(base), "-o", str(layer), "--into", SEEN, "--", *pair.command)
        _hardening(*words, folder=folder)
    if pair.stack != LEARNT:
        return base
    return layer if layer.exists() else None


def _succeeds(stack: Path, root: Path, command: Sequence[str], folder: Path, options: Sequence[str] = ()) -> bool:
    root_said = ("--set", f"rootfs.path={root}", "--exception", "rootfs.path=the other release")
    words = ("run", "-q", "-p", str(stack), *root_said, *options, "--", *command)
    return _hardening(*words, folder=folder, seconds=RUN).returncode == 0


def _hardening(
    *words: str, folder: Path, stdout: int = subprocess.DEVNULL, seconds: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    command = [_HARDENING, *words]  # a program of its own, since one that never ends is to be ended
    try:  # and since one may complain without an end, nobody keeps what it prints
        return subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, text=True,
            errors="replace", timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 128, "", "it took too long")
