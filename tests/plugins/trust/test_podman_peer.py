"""`plugins/hardening_trust/commands/export.py` before podman: it lists the scopes that are listed here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hardening import cli

LAYER = """
[trust]
default = "reject"
[trust.docker]
"docker.io/library" = "accept"
"docker.io" = "reject"
"registry.example.com/team" = { signedBy = "KEY", signedIdentity = "matchRepository" }
"*.example.org" = { sigstoreSigned = "KEY" }
"" = "reject"
[trust.oci]
"" = "accept"
[trust.dir]
"/srv/images" = "accept"
[trust.lookaside]
"registry.example.com" = "https://registry.example.com/sigs"
"""


def test_podman_lists_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.pub").write_text("")
    layer = tmp_path / "team.toml"
    layer.write_text(LAYER.replace("KEY", str(tmp_path / "key.pub")))
    assert cli.main(["trust", "export", "-p", str(layer), str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert cli.main(["trust", "show", "-p", str(layer), "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    paths = ["--policypath", f"{tmp_path}/out/policy.json", "--registrypath", f"{tmp_path}/out/registries.d"]
    done = subprocess.run(
        ["podman", "image", "trust", "show", "--json", *paths], capture_output=True, text=True, check=True, timeout=60
    )
    theirs = json.loads(done.stdout)
    words = ("transport", "name", "repo_name", "type")
    assert sorted([row.get(word, "") for word in words] for row in theirs) == sorted(
        [row[word] for word in words] for row in ours
    )
    (signed,) = [row for row in theirs if row["type"] == "signed"]
    assert signed["sigstore"] == "https://registry.example.com/sigs"
