"""`hardening diff`: two profiles, stacks, revisions and bundles, by what they permit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from hardening.cli import main
from tests.hardening.cli.samples import call, profile, session
from tests.support.repository import Repository

ORG = "[box]\nclosed = true\nsize = 5\ncolours = ['red', 'blue']\n"
WIDE = "[box]\nclosed = true\nsize = 9\ncolours = ['red', 'blue', 'green', 'amber']\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"org": ORG, "wide": WIDE}.items():
        profile(tmp_path, name, text)
    return tmp_path


def diff(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    code = call(session(folder), "diff", *arguments)
    found = capsys.readouterr()
    return code, found.out + found.err


def test_the_exit_code_says_how_the_second_stands_to_the_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "label", ORG + "label = 'x'\n")
    profile(folder, "mixed", ORG.replace("5", "4").replace("true", "false"))
    found = {
        name: diff(folder, capsys, *name.split())[0]
        for name in ("org org", "org label", "wide org", "org wide", "org mixed", "org nobody", "org", "org nobody:x")
    }
    assert [*found.values()] == [0, 1, 1, 3, 3, 2, 2, 2]


def test_what_becomes_allowed_stands_first_alike_together_with_both_lines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff(folder, capsys, "org", "./wide.toml") == (
        3,
        "becomes allowed:\n"
        "  box.colours: false -> true\n"
        "    amber, green\n"
        "    wide.toml:4, before: org.toml:4\n"
        "  box.size: 5 -> 9\n"
        "    wide.toml:3, before: org.toml:3\n"
        "\n"
        "./wide.toml is looser than org\n",
    )


def test_commas_make_a_stack_of_which_later_layers_decide(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "team", "[box]\nsize = 2\n")
    profile(folder, "a,b", ORG)
    code, text = diff(folder, capsys, "org", "org,./team.toml")
    assert (code, "box.size: 5 -> 2" in text, "becomes denied" in text) == (1, True, True)
    assert diff(folder, capsys, "org", "./a,b.toml")[0] == 0


def test_a_revision_of_git_with_all_that_it_extends(folder: Path, capsys: pytest.CaptureFixture[str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    repository = Repository(folder / "repository")
    files = {"profiles/app.toml": "extends = './base.toml'\n[box]\nlabel = 'app'\n", "profiles/base.toml": ORG}
    repository.commit(files)
    repository.commit({"profiles/base.toml": WIDE})
    (repository.folder / "profiles/base.toml").write_text("[box]\nsize = 100\n")
    monkeypatch.chdir(repository.folder)
    code, text = diff(folder, capsys, "HEAD~1:profiles/app.toml", "HEAD:profiles/app.toml")
    assert code == 3
    assert "HEAD:profiles/base.toml:3, before: HEAD~1:profiles/base.toml:3" in text
    assert diff(folder, capsys, "HEAD:profiles/app.toml", "main:./profiles/app.toml")[0] == 0
    repository.commit({"profiles/base.toml": "[box]\nsiz = 3\n"})
    code, text = diff(folder, capsys, "HEAD~1:profiles/app.toml", "HEAD:profiles/app.toml")
    assert code == 2
    assert "HEAD:profiles/base.toml:2: box.siz" in text


def test_a_bundle_is_held_against_a_stack_on_either_side(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "compose", "-p", "wide", "-o", "bundle", "--", "true") == 0
    capsys.readouterr()
    code, text = diff(folder, capsys, "./bundle", "wide")  # of the sample alone no mechanism owns its variables
    assert (code, re.findall("^  (\\S+):", text, re.MULTILINE)) == (1, ["/process/env"])
    code, text = diff(folder, capsys, "org", "bundle")
    assert code == 3
    assert "becomes allowed:\n  box.size: 5 -> 9\n    bundle/config.json:/annotations/box, before: org.toml:3" in text
    code, text = diff(folder, capsys, "bundle/config.json", "org")
    assert (code, "becomes denied:\n  box.size: 9 -> 5" in text) == (1, True)
    assert diff(folder, capsys, "bundle", "bundle") == (0, "bundle permits what bundle does\n")


def test_a_setting_with_a_colon_takes_nothing_of_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "said", ORG + "[[exceptions]]\nsetting = 'box.colours.a: b'\nreason = 'asked: by ops'\n")
    assert "| asked: by ops |" in diff(folder, capsys, "org", "said", "--format", "markdown")[1]


def test_markdown_is_a_table_in_which_nothing_of_a_profile_is_markup(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "label", ORG + "label = '`<b>|'\n[[exceptions]]\nsetting = 'box.size'\nreason = '[x](y) | <i>'\n")
    code, text = diff(folder, capsys, "org", "label", "--format", "markdown")
    assert code == 1
    assert text.splitlines()[0] == "**label permits what org does**"
    assert "| `box.label` | `(none)` | <code>&#96;&#60;b&#62;&#124;</code> | label.toml:5, before: default (" in text
    assert "| `box.size` | \\[x\\](y) \\| \\<i\\> | label.toml:6 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]} == {5}


@pytest.mark.parametrize(
    "text", ["`", "a``b", "|", "a\\|b", "\\", "</code>", "<!-- -->", "&amp;", "*_~#", "x\ny", "[a](b)"]
)
def test_whatever_a_profile_says_is_one_cell_of_the_table(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    said = json.dumps(text)
    profile(
        folder,
        "said",
        ORG.replace("5", "9") + f"label = {said}\n[[exceptions]]\nsetting = 'box.size'\nreason = {said}\n",
    )
    found = diff(folder, capsys, "org", "said", "--format", "markdown")[1]
    parsed = MarkdownIt("commonmark").enable("table").parse(found)
    rows: list[list[str]] = []
    for at, token in enumerate(parsed):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append("".join(
                part.content for part in parsed[at + 1].children or () if part.type != "html_inline"
            ))  # fmt: skip
    shown = " ".join(text.split())
    (label,) = (row for row in rows if row[0] == "box.label")
    assert label[2] == shown
    assert ["box.size", shown] in [row[:2] for row in rows]
    assert all(len(row) in (3, 4, 5) for row in rows)


def test_json_has_every_difference_with_its_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "tight", "[limits.box]\nsize = 5\n" + ORG.replace("5", "4"))
    code, text = diff(folder, capsys, "org", "tight", "--json")
    found: dict[str, Any] = json.loads(text)
    assert (code, found["order"], found["before"], found["after"]) == (1, "tighter", "org", "tight")
    assert [(item["leaf"], item["subject"], item["order"]) for item in found["differences"]] == [
        ("box.size", "value", "tighter"),
        ("box.size", "limit", "tighter"),
    ]
    assert found["differences"][0]["after"] == {"shown": "4", "origin": f"{folder}/tight.toml:5"}
    assert found["exceptions"] == {"added": [], "removed": []}


def test_the_bundle_of_a_shipped_profile_permits_what_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compose", "-p", "default", "-o", "bundle", "--", "true"]) == 0
    assert [main(["diff", *names]) for names in (("bundle", "default"), ("default", "bundle"))] == [0, 0]
    assert [main(["diff", *names]) for names in (("bundle", "strict"), ("strict", "bundle"))] == [1, 3]
    assert "seccomp.socket" in capsys.readouterr().out


def test_a_volume_is_no_part_of_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path / "repository")
    permitted = '[[exceptions]]\nsetting = "rootfs.volumes./data"\nreason = "a test"\n'
    text = f'extends = "strict"\n{permitted}[rootfs]\nvolumes.add = ["./data:/data:ro"]\n'
    repository.commit({"web.toml": text, "data/file": "text"})
    monkeypatch.chdir(repository.folder)
    assert main(["diff", "HEAD:web.toml", "./web.toml"]) == 0
    repository.commit({"web.toml": text.replace(":ro", ":rw")})
    assert main(["diff", "HEAD~1:web.toml", "HEAD:web.toml"]) == 3


def test_a_profile_that_is_new_is_held_against_what_it_extends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Repository(tmp_path / "repository")
    monkeypatch.chdir(made.folder)
    made.commit({"org.toml": "[box]\nsize = 5\n"})
    made.commit({"new.toml": "extends = './org.toml'\n[box]\nsize = 3\n", "own.toml": "[box]\nclosed = true\n"})
    here = session(tmp_path)
    for after, code in (
        ("HEAD:new.toml", 1),
        ("./new.toml", 1),
        ("HEAD:own.toml", 2),
        ("HEAD:org.toml,HEAD:new.toml", 2),
    ):
        assert call(here, "diff", "HEAD~1:new.toml", after) == code
        out, err = capsys.readouterr()
        if code == 1:
            assert "  box.size: 5 -> 3\n" in out
            assert out.endswith(f"\n{after} is tighter than what it extends (./org.toml)\n")
            assert err == "no such file in HEAD~1: what is new is held against what it extends\n"
        else:
            assert "HEAD~1:new.toml: no such file in HEAD~1" in err
    assert call(here, "diff", "HEAD~1:own.toml", "HEAD:own.toml") == 0
    assert "what it extends (nothing)" in capsys.readouterr().out
