"""Policies of containers tools, taken over into a profile, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening import cli
from hardening.errors import ProfileError
from hardening_trust import Trust, policy, taken, view
from hardening_trust.kinds import Lookaside
from hardening_trust.policy import Policy
from tests.plugins.trust.policies import TAKEN
from tests.support.homes import set_home
from tests.support.texts import composed

#: What profiles refuse of what containers tools take.
REFUSED = {
    '"keyPath": "a"': '"a" is not an absolute path',
    "nosuch": 'unknown transport "nosuch"',
    "rekor.pub": '"rekor.pub" is not an absolute path',
    "ca.pem": '"ca.pem" is not an absolute path',
}


def said(found: Policy) -> tuple[object, object]:
    return found.default, {transport: scopes for transport, scopes in found.transports.items() if scopes}


@pytest.mark.parametrize("text", TAKEN)
def test_a_profile_requires_what_the_policy_does_or_nothing_is_taken_over(text: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text)
    found = policy.read(path)
    reason = next((why for part, why in REFUSED.items() if part in text), None)
    if reason is not None:
        with pytest.raises(ProfileError) as caught:
            taken.profile(found, {}, tmp_path / "team.toml")
        assert reason in caught.value.message
        assert str(caught.value.origin).startswith(f"{path}:")
        return
    profile = taken.profile(found, {}, tmp_path / "team.toml")
    assert said(view.of_composition(composed(profile, by=[Trust()])).policy()) == said(found)


def test_places_of_signatures_are_taken_over_under_their_names_of_now(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "default-docker:\n  sigstore-staging: file:///var/sigs\n"
        "docker:\n  a.example.com:\n    sigstore: https://a.example.com/s\n    lookaside-staging: file:///srv/s\n"
        "    use-sigstore-attachments: true\n  b: {}\n"
    )
    found = taken.places(tmp_path)
    assert found == {
        "": Lookaside("", "file:///var/sigs"),
        "a.example.com": Lookaside("https://a.example.com/s", "file:///srv/s", attachments=True),
    }
    empty = Policy(frozenset(), {}, {("", ""): "x"}, "policy.json")
    assert view.of_composition(composed(taken.profile(empty, found, tmp_path / "a.toml"), by=[Trust()])).places == found


def test_only_a_new_profile_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.json").write_text(TAKEN[0])
    line = ["trust", "import", "policy.json", "--into"]
    assert cli.main([*line, "team.toml"]) == 0
    assert Path("team.toml").read_text() == '# From policy.json\n[trust]\ndefault = "reject"\n'
    assert "hardening run -p default -p ./team.toml IMAGE" in capsys.readouterr().err
    for into, problem in (("team.toml", "is there already"), ("team.json", "is not a profile")):
        assert cli.main([*line, into]) == 2
        assert problem in capsys.readouterr().err


def test_without_a_file_the_policy_of_containers_tools_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of a variable, else the first of the user's, the administrator's, and the one that is shipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(policy.VARIABLE, raising=False)
    set_home(monkeypatch, tmp_path / "home")
    local, shipped = tmp_path / "etc.json", tmp_path / "share.json"
    monkeypatch.setattr(policy, "SYSTEM", (local, shipped))
    line = ["trust", "import", "--into"]
    assert cli.main([*line, "none.toml"]) == 2
    assert f"name a file: {tmp_path}/home/.config/containers/policy.json or {local}" in capsys.readouterr().err
    own, named = tmp_path / "home/.config/containers/policy.json", tmp_path / "named.json"
    own.parent.mkdir(parents=True)
    for number, place in enumerate((shipped, local, own)):
        place.write_text(TAKEN[0])
        assert cli.main([*line, f"{number}.toml"]) == 0
        assert Path(f"{number}.toml").read_text().startswith(f"# From {place}\n")
    monkeypatch.setenv(policy.VARIABLE, str(named))
    assert cli.main([*line, "named.toml"]) == 2
    named.write_text(TAKEN[0])
    assert cli.main([*line, "named.toml"]) == 0
    assert Path("named.toml").read_text().startswith(f"# From {named}\n")
    monkeypatch.setenv(policy.VARIABLE, "named.json")
    assert cli.main([*line, "other.toml"]) == 2
    assert "named.json is not an absolute path" in capsys.readouterr().err
