"""The commands that show and change a policy, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hardening import cli
from hardening.base import places
from hardening_trust import policy, registriesd
from hardening_trust.requirements import ACCEPT, ExactReference, RemapIdentity, SignedBy
from tests.support.cached import PROGRAM
from tests.support.disks import fill, small_disk
from tests.support.gpg import Keys
from tests.support.homes import set_home

LAYER = """
[trust]
default = "reject"
[trust.docker]
"docker.io/library" = "accept"
"registry.example.com/team" = { signedBy = "KEY", signedIdentity = "matchRepository" }
[trust.oci]
"" = "accept"
[trust.lookaside]
"registry.example.com" = { lookaside = "https://registry.example.com/sigs", lookaside-staging = "file:///srv/sigs" }
default-docker = "file:///var/sigs"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def layer(here: Path, gpg_keys: Keys) -> Path:
    (here / "team.gpg").write_bytes(gpg_keys.public(gpg_keys.good))
    (here / "team.toml").write_text(LAYER.replace("KEY", str(here / "team.gpg")))
    return here / "team.toml"


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["trust", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("name", ["all.toml", "all.json"])
def test_what_is_set_at_once_is_all_set(here: Path, name: str) -> None:
    argv = [str(PROGRAM), "trust", "set", "-t", "accept", "--into", name]
    started = [subprocess.Popen([*argv, f"h{number}.example.com"], stdout=subprocess.DEVNULL) for number in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    text = (here / name).read_text()
    assert all(f'"h{number}.example.com"' in text for number in range(4))


def test_a_full_disk_leaves_a_policy_as_it_is(here: Path, layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(here / "disk") as disk:
        for name in ("a.toml", "a.json"):
            assert typed(capsys, "set", "-t", "reject", "--into", f"disk/{name}", "docker.io")[0] == 0
        assert typed(capsys, "export", "-p", str(layer), "disk/out")[0] == 0
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        filler = fill(disk)
        (here / "team.toml").write_text('[trust]\ndefault = "accept"\n')
        for words, place in (
            (("set", "-t", "accept", "--into", "disk/a.toml", "docker.io"), "disk/a.toml"),
            (("set", "-t", "accept", "--into", "disk/a.json", "docker.io"), "disk/a.json"),
            (("set", "-t", "accept", "--into", "disk/b.toml", "docker.io"), "disk/b.toml"),
            (("export", "-p", str(layer), "disk/out"), "disk/out/policy.json"),
        ):
            code, _, err = typed(capsys, *words)
            assert (code, f"{place}: cannot be written: No space left on device" in err) == (125, True), err
            assert "nothing was changed; free space on that disk" in err
        filler.unlink()
        assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before


def test_the_table_is_that_of_podman(
    layer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # places have no spaces
    code, out, _ = typed(capsys, "show", "-p", str(layer))
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert rows[0] == ["TRANSPORT", "NAME", "TYPE", "ID", "STORE", "ORIGIN"]
    assert [row[:3] for row in rows[1:]] == [
        ["all", "default", "reject"],
        ["repository", "docker.io/library", "accept"],
        ["repository", "registry.example.com/team", "signed"],
        ["oci", "accept", f"{layer}:8"],
    ]
    assert rows[3][3:] == ["good@example.com", "https://registry.example.com/sigs", f"{layer}:6"]


def test_as_data_it_has_what_podman_says_and_where_it_stands(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = json.loads(typed(capsys, "show", "-p", str(layer), "--json")[1])
    assert rows[0] == {
        "transport": "all",
        "name": "* (default)",
        "repo_name": "default",
        "type": "reject",
        "scope": "default",
        "requirements": [{"type": "reject"}],
        "store": "file:///var/sigs",
        "origin": f"{layer}:3",
    }
    (here := layer.parent / "raw.json").write_text(typed(capsys, "show", "-p", str(layer), "--raw")[1])
    again: list[dict[str, Any]] = json.loads(typed(capsys, "show", "--policy", str(here), "--json")[1])
    assert [row["requirements"] for row in again] == [row["requirements"] for row in rows]


def test_a_key_that_cannot_be_read_is_named_by_its_path(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (layer.parent / "team.gpg").unlink()
    code, out, _ = typed(capsys, "show", "-p", str(layer))
    assert code == 0
    assert str(layer.parent / "team.gpg") in out


def test_without_gnupg_the_table_is_shown_and_lint_says_so(
    layer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "OF_COMMANDS", str(layer.parent / "empty"))
    code, out, _ = typed(capsys, "show", "-p", str(layer))
    assert (code, "team.gpg" in out) == (0, True)
    code, _, error = typed(capsys, "lint", "-p", str(layer))
    assert (code, "GnuPG (gpg) is not installed" in error) == (125, True)


def test_it_is_explained_by_scope_rule_place_and_history(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(typed(capsys, "explain", "-p", str(layer), "--json", "registry.example.com/team/app:1")[1])
    assert (found["scope"], found["rule"]) == ("docker.registry.example.com/team", "a namespace above the repository")
    assert found["origin"] == f"{layer}:6"
    assert found["requirements"][0]["signedIdentity"] == {"type": "matchRepository"}
    assert [item["scope"] for item in found["passed"]] == [
        "docker.registry.example.com/team/app:1",
        "docker.registry.example.com/team/app",
    ]
    assert [step["outcome"] for step in found["history"]] == ["stated"]
    code, _, error = typed(capsys, "explain", "-p", str(layer), f"busybox:1@sha256:{'0' * 64}")
    assert (code, "both a tag and a digest" in error) == (2, True)


def test_the_name_that_a_signature_has_to_bear_is_told_where_nothing_says_it(
    layer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "registry.example.com/team/app"
    assert "signed as:" not in typed(capsys, "explain", "-p", str(layer), f"{name}:1")[1]
    layer.write_text(layer.read_text().replace(', signedIdentity = "matchRepository"', ""))
    out = typed(capsys, "explain", "-p", str(layer), f"{name}:1")[1]
    assert (
        "\nsigned as: this very name (matchRepoDigestOrExact, where nothing is said); `hardening trust set --identity"
        in out
    )
    out = typed(capsys, "explain", "-p", str(layer), f"{name}@sha256:{'0' * 64}")[1]
    assert f"\nsigned as: any of {name} (matchRepoDigestOrExact, where nothing is said)\n" in out


def test_what_is_rejected_is_told_with_what_permits_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "explain", "-p", "default", "docker.io/library/busybox")
    assert code == 0
    assert "to permit: `hardening trust set --into mine.toml -t accept docker.io/library/busybox`" in out
    assert "`hardening run -p default -p ./mine.toml docker.io/library/busybox:latest …`" in out
    code, out, _ = typed(capsys, "explain", "-p", "strict", "oci:/srv/x:v1")
    assert code == 0
    assert "to permit: `hardening explain -p strict trust.oci./srv/x`" in out
    assert cli.main(["explain", "-p", "strict", "trust.oci./srv/x"]) == 0
    assert 'oci."/srv/x" = "accept"' in capsys.readouterr().out


def test_what_is_exported_comes_back(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = layer.parent / "out"
    assert typed(capsys, "export", "-p", str(layer), str(target))[0] == 0
    found = policy.read(target / "policy.json")
    assert found.transports["oci"][""] == found.transports["docker"]["docker.io/library"] == ACCEPT
    places = registriesd.read(target / "registries.d").scopes
    assert places["registry.example.com"] == {
        "lookaside": "https://registry.example.com/sigs",
        "lookaside-staging": "file:///srv/sigs",
    }
    assert places[""] == {"lookaside": "file:///var/sigs"}
    (layer.parent / "file").write_text("")
    code, _, error = typed(capsys, "export", "-p", str(layer), str(layer.parent / "file"))
    assert (code, "cannot make the directory" in error) == (125, True)


def test_what_registries_d_says_is_exported_with_a_policy(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_home(monkeypatch, here)
    folder = here / registriesd.USER
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        "default-docker:\n  sigstore: file:///a\n  sigstore-staging: file:///b\n"
        "docker:\n  a.example.com:\n    use-sigstore-attachments: true\n    lookaside-staging: file:///c\n"
        "  b.example.com:\n    use-sigstore-attachments: false\n"
    )
    (here / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    assert typed(capsys, "export", "--policy", "policy.json", "out")[0] == 0
    assert registriesd.read(here / "out/registries.d").scopes == {
        "": {"lookaside": "file:///a", "lookaside-staging": "file:///b"},
        "a.example.com": {"lookaside-staging": "file:///c", "use-sigstore-attachments": True},
        "b.example.com": {"use-sigstore-attachments": False},
    }


def test_sigstore_signatures_lie_in_the_registry_unless_a_profile_says_otherwise(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = '{ sigstoreSigned = "/key.pub" }'
    (here / "a.toml").write_text(
        f'[trust]\ndefault = {signed}\n[trust.docker]\n"a.example.com" = {signed}\n"b.example.com/team" = {signed}\n'
        '"c.example.com" = "reject"\n[trust.oci]\n"/srv" = "reject"\n[trust.lookaside]\n'
        '"a.example.com" = "file:///a"\n"b.example.com" = { use-sigstore-attachments = false }\n'
        '"d.example.com" = { use-sigstore-attachments = true, lookaside = "file:///d" }\n'
    )
    assert typed(capsys, "export", "-p", "./a.toml", "out")[0] == 0
    assert registriesd.read(here / "out/registries.d").scopes == {
        "": {"use-sigstore-attachments": True},
        "a.example.com": {"lookaside": "file:///a", "use-sigstore-attachments": True},
        "b.example.com": {"use-sigstore-attachments": False},
        "d.example.com": {"lookaside": "file:///d", "use-sigstore-attachments": True},
    }


def test_a_policy_and_profiles_exclude_each_other(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = typed(capsys, "show", "-p", str(layer), "--policy", "x.json")
    assert (code, "exclude each other" in error) == (2, True)
    code, _, error = typed(capsys, "show", "--set", "trust.default=accept", "--policy", "x.json")
    assert (code, "exclude each other" in error) == (2, True)


def test_set_begins_a_profile_of_the_user_s_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / "config/hardening/profiles/trust.toml"
    assert typed(capsys, "set", "-t", "accept", "docker.io/library") == (
        0,
        f"{path}\n",
        "it applies where it is named, after others: hardening run -p default -p trust IMAGE -- COMMAND\n",
    )
    assert path.read_text() == '[trust.docker]\n"docker.io/library" = "accept"\n'
    assert "docker.io/library" in typed(capsys, "show", "-p", "trust")[1]


def test_set_writes_identities(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, key = layer.parent / "policy.json", str(layer.parent / "team.gpg")
    words = ("set", "--into", str(path), "-f", "team.gpg", "--identity")
    assert typed(capsys, *words, "remapIdentity=mirror.example.com=example.com", "mirror.example.com")[0] == 0
    assert typed(capsys, *words, "exactReference=example.com/x:1", "oci:/srv/x")[0] == 0
    found = policy.read(path).transports
    assert found["docker"]["mirror.example.com"] == {
        SignedBy((key,), identity=RemapIdentity("mirror.example.com", "example.com"))
    }
    assert found["oci"]["/srv/x"] == {SignedBy((key,), identity=ExactReference("example.com/x:1"))}


def test_set_takes_a_relative_path_from_the_working_directory(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "images").mkdir()
    (here / "link").symlink_to("images")
    assert typed(capsys, "set", "--into", "mine.toml", "-t", "accept", "dir:link")[0] == 0
    assert (here / "mine.toml").read_text() == f'[trust.dir]\n"{here.resolve()}/images" = "accept"\n'


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("docker.io/busybox", "note: docker.io/busybox is the namespace of images such as docker.io/busybox/NAME; "
         "the image busybox is docker.io/library/busybox\n"),
        ("Docker.io/foo/x", "warning: Docker.io is another host than docker.io: scopes are compared letter by letter; "
         "write docker.io/foo/x, unless images are named with capitals\n"),
        ("docker-archive:", ""),
    ],
)  # fmt: skip
def test_set_says_what_a_scope_is_that_looks_like_another(
    here: Path, capsys: pytest.CaptureFixture[str], scope: str, said: str
) -> None:
    assert typed(capsys, "set", "--into", "mine.toml", "-t", "reject", scope) == (0, "mine.toml\n", said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("busybox",), "At least one public key must be defined for type 'signedBy'"),
        (("-f", "absent.gpg", "docker.io"), "the key absent.gpg is missing"),
        (("-t", "accept", "-f", "team.gpg", "docker.io"), "accept takes no key"),
        (("-t", "accept", "busybox"), "never matches"),
        (("-f", "team.toml", "docker.io"), "team.toml holds no OpenPGP key"),
        (("-t", "sigstoreSigned", "-f", "team.toml", "docker.io"), "team.toml holds no public key"),
        (("-t", "accept", "oci:/srv/x:tag"), "looked up by its directory, /srv/x"),
        (("-t", "accept", "docker-archive:/x"), "write docker-archive: for all of it"),
        (("-f", "team.gpg", "--identity", "exact", "docker.io"), "is not a kind of identity"),
        (("-f", "team.gpg", "--identity", "exactReference=example.com/x", "docker.io"), "neither a tag nor digest"),
        (("-f", "team.gpg", "--identity", "remapIdentity=a", "docker.io"), "is not a kind of identity"),
        (("-t", "accept", "--into", "policy.yaml", "docker.io"), "neither a profile nor a policy"),
    ],
)
def test_what_is_wrong_changes_nothing(
    layer: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    (layer.parent / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    before = {path: (layer.parent / path).read_bytes() for path in os.listdir(layer.parent) if "." in path}
    into = () if "--into" in words else ("--into", "policy.json")
    code, _, error = typed(capsys, "set", *into, *words)
    assert code == 2
    assert message in error
    assert {path: (layer.parent / path).read_bytes() for path in os.listdir(layer.parent) if "." in path} == before


def test_a_malformed_policy_is_refused_with_its_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "policy.json").write_text('{"default": [{"type": "reject"}],\n "transports": {"docker": {"a": []}}}')
    for words in (("show",), ("explain", "busybox"), ("lint",), ("export", "out")):
        code, _, error = typed(capsys, *words, "--policy", "policy.json")
        assert (code, error.splitlines()[0]) == (
            2,
            "error: policy.json:2: transports.docker.a: List of verification policy requirements must not be empty",
        )
