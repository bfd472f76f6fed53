"""Opening a bundle."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from hardening.base.digest import ANNOTATION, of_filter, sha256
from hardening.errors import LaunchError
from hardening.launch.config import bundle, config
from tests.support import bundles
from tests.support.features import require


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    document = bundles.config("true")
    program = bytes(16)
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    document["annotations"] = {ANNOTATION: of_filter(document["linux"]["seccomp"], program)}
    (tmp_path / "seccomp.bpf").write_bytes(program)
    (tmp_path / "seccomp.bpf").chmod(0o644)
    return bundles.write(tmp_path, document)


def stated(found: bundle.Bundle) -> str:
    seccomp = config.read(found.document).seccomp
    assert seccomp is not None
    return seccomp.sha256


def test_a_bundle_and_its_filter(place: Path) -> None:
    found = bundle.load(str(place))
    assert bundle.load_filter(found, stated(found)) == bytes(16)


@pytest.mark.parametrize("content", [b"", b"1234567", bytes(24)])
def test_a_filter_that_is_not_the_stated_one(place: Path, content: bytes) -> None:
    found = bundle.load(str(place))
    (place / "seccomp.bpf").write_bytes(content)
    with pytest.raises(LaunchError, match=r"seccomp\.bpf"):
        bundle.load_filter(found, stated(found))


def test_a_filter_with_what_json_has_and_no_filter_needs(place: Path) -> None:
    document = json.loads((place / "config.json").read_bytes())
    document["linux"]["seccomp"]["defaultErrnoRet"] = 1.5
    (place / "config.json").write_text(json.dumps(document))
    found = bundle.load(str(place))
    with pytest.raises(LaunchError, match="is not compiled from"):
        bundle.check_filter(found)


def test_the_text_that_was_checked_is_the_one_that_is_read(place: Path) -> None:
    checked = bundle.load(str(place))
    digest = hashlib.sha256(checked.text).hexdigest()
    assert checked.text == (place / "config.json").read_bytes()
    assert bundle.load(str(place), digest).text == checked.text
    (place / "config.json").write_bytes(checked.text + b" ")
    with pytest.raises(LaunchError, match="has changed since it was checked"):
        bundle.load(str(place), digest)


def test_a_filter_that_was_held_to_its_own_digest_is_not_read_again(place: Path) -> None:
    text, program = ((place / name).read_bytes() for name in ("config.json", bundle.FILTER))
    found = bundle.load(str(place), sha256(text), sha256(program))
    (place / bundle.FILTER).write_bytes(bytes(24))
    assert bundle.load_filter(found, stated(found)) == program
    with pytest.raises(LaunchError, match=r"seccomp\.bpf: has changed since it was checked"):
        bundle.load(str(place), sha256(text), sha256(program))


@pytest.mark.parametrize("name", [".", "config.json"])
def test_what_belongs_to_another_user(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require("root")
    os.chown(place / name, 48000, 48000)
    with pytest.raises(LaunchError, match=r"belongs to another user \(uid 48000\)"):
        bundle.load(str(place))
    # Its owner may launch it, though the other part is root's.
    monkeypatch.setattr("hardening.launch.config.bundle.os.geteuid", lambda: 48000)
    bundle.load(str(place))


def test_a_missing_filter(place: Path) -> None:
    found = bundle.load(str(place))
    (place / "seccomp.bpf").unlink()
    with pytest.raises(LaunchError, match="cannot be opened"):
        bundle.load_filter(found, stated(found))


def test_a_missing_bundle_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="cannot be opened"):
        bundle.load(str(tmp_path / "nowhere"))
    with pytest.raises(LaunchError, match="holds no config"):
        bundle.load(str(tmp_path))


def test_a_link_is_not_followed(place: Path) -> None:
    (place / "config.json").rename(place / "real.json")
    (place / "config.json").symlink_to("real.json")
    with pytest.raises(LaunchError, match="symbolic link"):
        bundle.load(str(place))


def test_a_pipe_does_not_block(place: Path) -> None:
    (place / "config.json").unlink()
    os.mkfifo(place / "config.json", 0o600)
    with pytest.raises(LaunchError, match="not a regular file"):
        bundle.load(str(place))


def test_an_oversized_file(place: Path) -> None:
    with (place / "config.json").open("r+") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(LaunchError, match="is larger than"):
        bundle.load(str(place))


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize("name", [".", "config.json"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_can_write(place: Path, name: str, mode: int) -> None:
    path = place / name
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(LaunchError, match="can be written by others") as caught:
        bundle.load(str(place))
    assert "chmod go-w" in str(caught.value)


def test_a_filter_cannot_be_described_otherwise_than_it_is(place: Path) -> None:
    """What is audited is what runs: neither half of the filter changes without the other."""
    document = json.loads((place / "config.json").read_bytes())
    document["linux"]["seccomp"]["syscalls"] = [{"names": ["read"], "action": "SCMP_ACT_KILL_PROCESS"}]
    (place / "config.json").write_text(json.dumps(document))
    found = bundle.load(str(place))
    with pytest.raises(LaunchError, match="not compiled from"):
        bundle.load_filter(found, stated(found))
