"""Profiles that are made, laid out, signed and shown: what is refused, and what is left alone then."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from hardening.cli import main
from hardening.cli.session import Session
from hardening.profile.layers import SearchPath
from hardening.profile.machine import Machine
from hardening.profile.source import Origin
from tests.support.gpg import Keys
from tests.support.runs import installed


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    return Session(installed(), SearchPath(()))


def test_a_new_profile_replaces_nothing_and_extends_what_is_there(
    here: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("base.toml").write_text('description = "x"\n')
    for path in (Path(), Path("base.toml")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert main(["profile", "new", "--extends", "./base.toml", "orders"], here) == 0
    text = Path("orders.toml").read_text()
    assert text.startswith('description = "orders: what it is for, in a line"\nextends = ["./base.toml"]\n')
    assert main(["profile", "format", "--check", "orders.toml"], here) == 0
    for words, says in {
        ("--extends", "./base.toml", "orders"): "orders.toml: is there already",
        ("--extends", "./bsae.toml", "other"): "bsae.toml: cannot read the profile",
        ("--extends", "./base.toml", "a/b"): "a/b: a profile is named as a file is",
        ("--extends", "./base.toml", "-o", "none/x.toml", "x"): "none/x.toml: cannot be written",
    }.items():
        assert main(["profile", "new", *words], here) == 2
        assert says in capsys.readouterr().err
    assert Path("orders.toml").read_text() == text
    assert not Path("other.toml").exists()
    # What it extends is the same file from its own folder on.
    Path("below").mkdir(mode=0o755)
    assert main(["profile", "new", "--extends", "./base.toml", "-o", "below/job.toml", "job"], here) == 0
    assert tomllib.loads(Path("below/job.toml").read_text())["extends"] == ["../base.toml"]


def test_of_several_files_none_is_laid_out_where_one_is_no_profile(
    here: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("one", "[process]\numask='077'\n"), ("two", "[process\n")):
        Path(f"{name}.toml").write_text(text)
        Path(f"{name}.toml").chmod(0o644)
    assert main(["profile", "format", "one.toml", "two.toml"], here) == 2
    assert "two.toml:1: not TOML" in capsys.readouterr().err
    assert Path("one.toml").read_text() == "[process]\numask='077'\n"
    assert main(["profile", "format", "one.toml"], here) == 0
    assert Path("one.toml").read_text() == "[process]\numask = '077'\n"


def test_what_is_no_profile_is_not_signed_and_without_keys_nobody_is_accepted(
    here: Session, capsys: pytest.CaptureFixture[str], gpg_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    for name, text in (("bad", "unknown = 1\n"), ("good", "[process]\numask = '077'\n")):
        Path(f"{name}.toml").write_text(text)
        Path(f"{name}.toml").chmod(0o644)
    assert main(["profile", "sign", "--key", gpg_keys.good, "good.toml", "bad.toml"], here) == 2
    assert "bad.toml:1: unknown: unknown key" in capsys.readouterr().err
    assert not Path("good.toml.sig").exists()
    assert main(["profile", "sign", "--key", gpg_keys.good, "good.toml"], here) == 0
    assert main(["profile", "verify", "./good.toml"], here) == 2
    assert "name a file of keys: --keys FILE" in capsys.readouterr().err
    for key, code in ((gpg_keys.good, 0), (gpg_keys.other, 1)):
        Path("keys").write_bytes(gpg_keys.public(key))
        Path("keys").chmod(0o644)
        assert main(["profile", "verify", "--json", "--keys", "keys", "./good.toml"], here) == code
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["key"], bool(row["problem"])) == ((gpg_keys.good, False) if code == 0 else (None, True))
    for name, says in (("./key", "key: cannot read the key"), ("./good.toml", "there is no OpenPGP key in good.toml")):
        assert main(["profile", "verify", "--keys", name, "./good.toml"], here) == 2
        assert f"--keys: {says}" in capsys.readouterr().err


def test_settings_are_listed_for_programs(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "docs", "--json"], here) == main(["schema"], here) == 0
    assert main(["profile", "docs"], here) == 0
    assert "## `[rootfs]`" in capsys.readouterr().out


def test_a_place_in_a_shipped_profile_is_short_in_an_error(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "-p", "web", "--set", 'process.umask="000"'], Session(installed())) == 2
    said = capsys.readouterr().err
    assert "web.toml:25 (shipped)" in said
    assert "hardening_profiles" not in said
    assert main(["profile", "sign", "--key", "x", "web"], here) == 2
    assert "hint: what is signed is named by the path of its file" in capsys.readouterr().err
    assert main(["prove", "web", "strict"], here) == 2
    assert (
        "strict: the word `within` stands between A and B\nhint: hardening prove A within B" in capsys.readouterr().err
    )


def test_a_new_profile_takes_no_shipped_name(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "new", "web"], Session(installed())) == 2
    assert "web: a shipped profile has that name" in capsys.readouterr().err
    assert not Path("web.toml").exists()


def test_a_default_of_the_machine_that_is_misspelt_is_told_at_its_line(
    here: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    here.machine = Machine(("defalt",), origin=Origin("hardening", "/etc/hardening/hardening.toml:3"))
    assert main(["explain", "process.umask"], here) == 2
    assert '/etc/hardening/hardening.toml:3: no such profile: "defalt"' in capsys.readouterr().err
