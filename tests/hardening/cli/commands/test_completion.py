"""Completion, by a real bash with the script that `hardening completion bash` prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.images import archive, entry, layout

PROGRAM = Path(sys.executable).with_name("hardening")
#: What a person has typed, the last word of it not yet whole, and what there is for that word.
TYPED = {
    "hardening expl": ["explain"],
    "hardening run -p stri": ["strict"],
    "hardening run --set rootfs.prop": ["rootfs.propagation"],
    "hardening compose --exception selinux.rel": ["selinux.relabel"],
    "hardening explain capabilities.no": ["capabilities.no_new_privileges"],
    "hardening rmi oci": ["oci:{image}:v1"],
    "hardening explain --image oci": ["oci:{image}:v1"],
    "hardening run -p strict oci": ["oci:{image}:v1"],
    "hardening run -p strict -- oci": [],
}
_SCRIPT = """
source <(hardening completion bash)
typed() { COMP_WORDS=($1) COMPREPLY=(); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hardening_completion hardening 2>/dev/null
          echo "${COMPREPLY[*]}"; }
"""


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
