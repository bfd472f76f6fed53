"""`plugins/hardening_trust/commands`: `verify`, `sign` and `serve` as they are typed: what they print and refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hardening import cli
from hardening.base import places
from hardening.base.digest import sha256
from tests.support.disks import fill, name_all, small_disk
from tests.support.gpg import Keys

NAME = "registry.example.com/team/app:1"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpg_keys: Keys) -> Path:
    """A directory of skopeo's with an image, beside a policy that believes the good key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    folder = tmp_path / "image"
    folder.mkdir()
    _manifest(folder / "manifest.json")
    (tmp_path / "good.gpg").write_bytes(gpg_keys.public(gpg_keys.good))
    _policy(tmp_path / "policy.json", keyPath=str(tmp_path / "good.gpg"))
    return folder


def _manifest(path: Path, **more: Any) -> None:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{'0' * 64}", "size": 2}
    kind = "application/vnd.oci.image.manifest.v1+json"
    path.write_text(json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [], **more}))


def _policy(path: Path, **key: str) -> None:
    identity = {"type": "exactReference", "dockerReference": NAME}
    signed = {"type": "signedBy", "keyType": "GPGKeys", "signedIdentity": identity, **key}
    path.write_text(json.dumps({"default": [signed]}))


def verify(*words: str) -> int:
    return cli.main(["trust", "verify", "--policy", "policy.json", *words])


def sign(gpg_keys: Keys, *words: str) -> int:
    return cli.main(["trust", "sign", "--key", gpg_keys.good, *words])


def test_a_signature_is_made_and_accepted(image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("dir:image") == 1
    said = f"A signature was required, but no signature exists (looked for {image}/signature-1)"
    assert capsys.readouterr().out == f"dir:{image}: refused\n  {said}\n"
    assert sign(gpg_keys, "--identity", NAME, "dir:image") == 0
    assert capsys.readouterr().out == f"{image}/signature-1\n"
    assert verify("dir:image") == 0
    digest = sha256((image / "manifest.json").read_bytes())
    assert capsys.readouterr().out == f"dir:{image}: accepted, signed by {gpg_keys.good}\n  sha256:{digest}\n"


def test_each_signature_has_its_reason(image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("registry.example.com/team/app:2", "registry.example.com/other:1"):
        sign(gpg_keys, "--identity", name, "dir:image")
    (image / "signature-3").write_bytes(b"\x88nonsense")
    capsys.readouterr()
    assert verify("dir:image") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"dir:{image}: refused"
    assert lines[1].startswith("  signedBy ")
    assert lines[2:4] == [
        f'    {image}/signature-1: Signature for identity "registry.example.com/team/app:2" is not accepted',
        f'    {image}/signature-2: Signature for identity "registry.example.com/other:1" is not accepted',
    ]
    assert lines[4].startswith(f"    {image}/signature-3: Invalid GPG signature: ")
    assert verify("dir:image", "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["reason"].startswith("None of the signatures were accepted, reasons: Signature for identity ")
    assert found["verdict"] == "refused"
    assert [item["accepted"] for item in found["requirements"][0]["signatures"]] == [False, False, False]


def test_json_tells_all(image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    capsys.readouterr()
    assert verify("dir:image", "oci:missing", "--json") == 125
    good, missing = json.loads(capsys.readouterr().out)
    assert (good["image"], good["accepted"], good["until"]) == (f"dir:{image}", True, None)
    (held,) = good["requirements"]
    assert (held["holds"], held["requirement"]["type"]) == (True, "signedBy")
    assert held["signatures"] == [
        {"origin": f"{image}/signature-1", "accepted": True, "key": gpg_keys.good, "reason": ""}
    ]
    assert good["verdict"] == "accepted"
    assert (missing["accepted"], missing["verdict"], missing["requirements"]) == (False, "no verdict", [])
    assert "index.json: cannot be read" in missing["reason"]


def test_one_image_that_cannot_be_had_keeps_no_other_from_its_verdict(
    image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    assert verify("oci:missing", "docker://127.0.0.1:1/team/app:1", "dir:image") == 125
    out = capsys.readouterr().out
    assert "docker://127.0.0.1:1/team/app:1: no verdict\n" in out
    assert "127.0.0.1:1: cannot be reached: Connection refused\n  hint: " in out
    assert f"dir:{image}: accepted" in out


def test_what_the_policy_rejects_or_accepts_by_name(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reject, accept = [{"type": "reject"}], [{"type": "insecureAcceptAnything"}]
    scopes = {"dir": {str(image): accept}, "docker": {"127.0.0.1:1/team": reject}}
    Path("policy.json").write_text(json.dumps({"default": reject, "transports": scopes}))
    # Nobody is asked about an image that is rejected.
    assert verify("dir:image", "docker://127.0.0.1:1/team/app:1") == 1
    out = capsys.readouterr().out
    assert f"dir:{image}: accepted\n" in out
    assert "  Running image docker://127.0.0.1:1/team/app:1 is rejected by policy.\n" in out


def test_a_reference_with_tag_and_digest_is_looked_up_by_neither(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(f"{NAME}@sha256:{'0' * 64}") == 2
    assert "both a tag and a digest" in capsys.readouterr().out


def test_a_key_that_is_missing_refuses_and_says_so(
    image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    Path("good.gpg").unlink()
    assert verify("dir:image") == 1
    assert "good.gpg: cannot read the key: No such file or directory" in capsys.readouterr().out
    Path("good.gpg").write_bytes(b"")
    assert verify("dir:image") == 1
    assert "No public keys imported" in capsys.readouterr().out


def test_a_key_that_others_can_write_decides_only_what_is_no_profile_s(
    image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    key = Path("good.gpg").absolute()
    identity = f'{{ type = "exactReference", dockerReference = "{NAME}" }}'
    Path("team.toml").write_text(f'[trust]\ndefault = {{ signedBy = "{key}", signedIdentity = {identity} }}\n')
    words = ["trust", "verify", "-p", "./team.toml", "dir:image"]
    assert cli.main(words) == 0
    key.chmod(0o666)
    assert cli.main(words) == 1
    assert f"{key}: the key can be written by others than its owner (mode 0666)" in capsys.readouterr().out
    assert verify("dir:image") == 0


def test_a_full_disk_is_told_with_its_place(
    image: Path, gpg_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    for options, leave_none in (("size=512k", fill), ("nr_inodes=24", name_all)):
        with small_disk(tmp_path / "disk", options) as disk:
            assert sign(gpg_keys, "--identity", NAME, "-o", "disk/signature", "dir:image") == 0
            monkeypatch.setenv("HARDENING_STATE", str(disk / "state"))
            assert verify("dir:image") == 0
            before = (disk / "signature").read_bytes()
            leave_none(disk)
            capsys.readouterr()
            assert verify("dir:image") == 125
            captured = capsys.readouterr()
            assert (captured.out, f"error: {disk}/state/keyrings: " in captured.err) == ("", True), captured.err
            assert "free space there" in captured.err
            for target in (("-o", "disk/signature"), ("-o", "disk/other")):
                assert sign(gpg_keys, "--identity", NAME, *target, "dir:image") == 125
                assert "cannot write the signature: No space left on device" in capsys.readouterr().err
            assert (disk / "signature").read_bytes() == before
            assert not (disk / "other").exists()
        (tmp_path / "disk").rmdir()


def test_a_signature_goes_into_what_is_no_file(image: Path, gpg_keys: Keys) -> None:
    os.mkfifo("pipe")
    read = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
    assert sign(gpg_keys, "--identity", NAME, "-o", "pipe", "dir:image") == 0
    assert gpg_keys.home.run("--decrypt", data=read.communicate(timeout=60)[0]).startswith(b'{"critical":')
    Path("signature").write_bytes(b"before")
    Path("link").symlink_to("signature")
    assert sign(gpg_keys, "--identity", NAME, "-o", "link", "dir:image") == 0
    assert Path("link").is_symlink()
    assert Path("signature").read_bytes() != b"before"


def test_without_gnupg_there_is_no_verdict(
    image: Path, gpg_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(gpg_keys, "--identity", NAME, "dir:image")
    capsys.readouterr()
    monkeypatch.setattr(places, "OF_COMMANDS", str(tmp_path))
    assert verify("dir:image") == 125
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "GnuPG (gpg) is not installed" in captured.err
    assert not list((tmp_path / "state/keyrings").iterdir())


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"default": []}', "must not be empty"), ('{"default": [{"type": "reject"}], "default": []}', "Duplicate key")],
)
def test_a_malformed_policy_is_refused_whole(
    image: Path, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("policy.json").write_text(text)
    assert verify("dir:image") == 2
    assert problem in capsys.readouterr().err


def test_a_malformed_registries_d_is_refused_with_its_line(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("places").mkdir()
    Path("places/a.yaml").write_text("docker:\n  a:\n    lokaside: x\n")
    assert verify("--registries-d", "places", "dir:image") == 2
    assert 'a.yaml:3: unknown key "lokaside"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["dir:image"], "has no name to sign it under"),
        (["--identity", "registry.example.com/team/app", "dir:image"], "neither a tag nor a digest"),
        (["--identity", NAME, "dir:missing"], "cannot be read"),
        (["--identity", NAME, "--key", "nobody", "dir:image"], 'there is no secret key "nobody"'),
        (["--identity", NAME, "--passphrase-file", "missing", "dir:image"], "cannot read the passphrase"),
        (["--identity", NAME, "-o", "missing/file", "dir:image"], "cannot write the signature"),
        ([f"{NAME}@sha256:{'0' * 64}"], "both a tag and a digest"),
    ],
)
def test_what_cannot_be_signed(
    image: Path, gpg_keys: Keys, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(gpg_keys, *words) in (2, 125)
    assert problem in capsys.readouterr().err
    assert not list(image.glob("signature-*"))


def test_a_layout_has_no_place_for_a_signature_and_a_file_takes_it(
    image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["umoci", "init", "--layout", "layout"], check=True)
    subprocess.run(["umoci", "new", "--image", "layout:v1"], check=True)
    assert sign(gpg_keys, "--identity", NAME, "oci:layout:v1") == 2
    assert "cannot keep signatures" in capsys.readouterr().err
    assert sign(gpg_keys, "--identity", NAME, "-o", "signature", "oci:layout:v1") == 0
    assert gpg_keys.home.run("--decrypt", data=Path("signature").read_bytes()).startswith(b'{"critical":')


def test_an_index_in_a_directory_is_signed_with_each_image_in_it(
    image: Path, gpg_keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = (image / "manifest.json").read_bytes()
    kind = "application/vnd.oci.image.manifest.v1+json"
    entry = {"mediaType": kind, "digest": f"sha256:{sha256(inner)}", "size": len(inner)}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    (image / f"{sha256(inner)}.manifest.json").write_bytes(inner)
    (image / "manifest.json").write_text(json.dumps(index))
    assert sign(gpg_keys, "--identity", NAME, "-o", "signature", "dir:image") == 2
    assert "is an index" in capsys.readouterr().err
    assert sign(gpg_keys, "--identity", NAME, "dir:image") == 0
    assert capsys.readouterr().out.split() == [f"{image}/signature-1", f"{image}/{sha256(inner)}.signature-1"]
    assert verify("dir:image") == 0
    (image / f"{sha256(inner)}.signature-1").unlink()
    assert verify("dir:image") == 1
    # Nothing is signed of which nobody knows what it is.
    for entries in ([{**entry, "digest": f"sha256:{'e' * 64}"}], [{**entry, "size": size} for size in range(65)]):
        (image / "manifest.json").write_text(json.dumps({**index, "manifests": entries}))
        assert sign(gpg_keys, "--identity", NAME, "dir:image") == 125
        assert not (image / "signature-2").exists()
    (image / "manifest.json").write_text(json.dumps(index))
    (image / f"{sha256(inner)}.manifest.json").write_bytes(b"[" + inner[1:])
    capsys.readouterr()
    assert verify("dir:image") == 1
    assert f"dir:{image}: refused\n" in capsys.readouterr().out


def test_a_key_that_needs_a_passphrase_is_not_waited_for(image: Path, gpg_keys: Keys) -> None:
    reload = ["gpgconf", "--homedir", str(gpg_keys.home.path), "--reload", "gpg-agent"]
    subprocess.run(reload, check=True, capture_output=True, timeout=30)
    program = [str(Path(sys.executable).with_name("hardening")), "trust", "sign", "--key", gpg_keys.locked]
    done = subprocess.run(
        [*program, "--identity", NAME, "dir:image"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 125
    assert "nobody can be asked for it" in done.stderr
    assert "--passphrase-file" in done.stderr
    assert not list(image.glob("signature-*"))


def test_serve_says_where_and_ends_when_it_is_told_to(image: Path, gpg_keys: Keys) -> None:
    place = Path(f"store/team/app@sha256={'0' * 64}")
    place.mkdir(parents=True)
    (place / "signature-1").write_bytes(b"one")
    argv = [str(Path(sys.executable).with_name("hardening")), "trust", "serve", "store", "127.0.0.1:0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/team/app@sha256={'0' * 64}/signature-1", timeout=30) as answer:
            assert answer.read() == b"one"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_serve_needs_a_directory_and_an_address(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trust", "serve", "missing", "127.0.0.1:0"]) == 2
    assert "missing: cannot serve it: No such file or directory" in capsys.readouterr().err
    assert cli.main(["trust", "serve", ".", "nowhere"]) == 2
    assert '"nowhere" is not an address' in capsys.readouterr().err
