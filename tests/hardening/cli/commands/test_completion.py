"""Completion, by real shells with the scripts that `hardening completion` prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from hardening.cli.root import root
from hardening.cli.session import Session
from tests.support.images import archive, entry, layout

PROGRAM = Path(sys.executable).with_name("hardening")
#: What a person has typed, the last word of it not yet whole, and what there is for that word.
TYPED = {
    "hardening expl": ["explain"],
    "hardening run -p stri": ["strict"],
    "hardening run --set rootfs.prop": ["rootfs.propagation"],
    "hardening rmi oci": ["oci:{image}:v1"],
    "hardening explain --image oci": ["oci:{image}:v1"],
    "hardening run -p strict oci": ["oci:{image}:v1"],
    "hardening run -p strict -- oci": [],
}
#: The same without a shell.
KNOWN = {
    "hardening compose --exception selinux.rel": ["selinux.relabel"],
    "hardening explain capabilities.no": ["capabilities.no_new_privileges"],
    "hardening run --seccomp-al": ["--seccomp-allow"],
    "hardening why -p stri": ["strict"],
    "hardening check stri": ["strict"],
    "hardening lint --explain seccomp/unk": ["seccomp/unknown-syscall"],
    "hardening --without root": ["rootfs"],
    "hardening explain capabilities.NET_R": ["capabilities.NET_RAW"],
    "hardening run --cap-add NET_R": ["NET_RAW"],
}
_SCRIPT = """
source <(hardening completion bash)
typed() { COMP_WORDS=($1) COMPREPLY=(); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hardening_completion hardening 2>/dev/null
          echo "${COMPREPLY[*]}"; }
"""


def test_names_that_the_installed_plugins_bring_are_known() -> None:
    complete = ShellComplete(root, {"obj": Session()}, "hardening", "_HARDENING_COMPLETE")
    for typed, names in KNOWN.items():
        _, *words, last = typed.split()
        assert [item.value for item in complete.get_completions(words, last)] == names, typed


def test_files_are_completed_where_files_are_named() -> None:
    complete = ShellComplete(root, {"obj": Session()}, "hardening", "_HARDENING_COMPLETE")
    for words in ("lint", "test", "exceptions", "profile verify", "profile sign", "profile format", "diff", "prove"):
        assert [item.type for item in complete.get_completions(words.split(), "shop")] == ["file"], words


#: The same in the others: fish(1) is asked, and of zsh(1) what its completion system would be given.
_OTHERS = {
    "fish": ["hardening completion fish | source", 'complete -C "{words}"'],
    "zsh": [
        "compdef() { :; }; compadd() { print -l ${(P)@[-1]}; }; _describe() { print -l ${(P)@[-2]}; }",
        "source <(hardening completion zsh)",
        "words=({words}); CURRENT=$#words; _hardening_completion",
    ],
}


@pytest.mark.parametrize("shell", _OTHERS)
def test_other_shells_complete_names_with_what_they_are(shell: str) -> None:
    *script, asked = _OTHERS[shell]
    lines = [*script, *(asked.replace("{words}", words) for words in ("hardening run -p stri", "hardening expl"))]
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run([shell, "-c", "\n".join(lines)], env=environment, text=True, capture_output=True, check=True)
    found = [line.replace("\t", ":").split(":")[:2] for line in done.stdout.splitlines()]
    assert [(name, bool(told)) for name, told in found] == [("strict", True), ("explain", True)], done.stderr


def test_names_of_all_kinds_are_completed(tmp_path: Path) -> None:
    environment = {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8",
        "HARDENING_IMAGES": str(tmp_path / "images"), "HARDENING_STATE": str(tmp_path / "state"),
    }  # fmt: skip
    layout(tmp_path / "image", [archive([entry("etc/motd", b"hello")])], {})
    (tmp_path / "open.toml").write_text('[trust]\ndefault = "accept"\n')
    pulled = [str(PROGRAM), "pull", "-q", "-p", "./open.toml", "oci:image:v1"]
    subprocess.run(pulled, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    script = _SCRIPT + "".join(f"typed '{words}'\n" for words in TYPED)
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script], cwd=tmp_path, env=environment, text=True, capture_output=True, check=True
    )
    found = dict(zip(TYPED, (line.split() for line in done.stdout.splitlines()), strict=True))
    assert found == {words: [name.format(image=tmp_path / "image") for name in names] for words, names in TYPED.items()}
