"""`hardening explain`: every say with its place, what decided, and loosenings that really work."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hardening.cli import main
from hardening.mechanism.mechanism import Context
from tests.hardening.cli import samples
from tests.hardening.cli.samples import call, profile, session

ORG = """description = "organisation"
[limits.box]
size = 100

[box]
closed = true
size = 50
"""
TEAM = """extends = "org"

[[exceptions]]
setting = "box.size"
reason = "many things"
ticket = "T-7"

[box]
size = 80
"""
APP = """extends = "team"
[box]
closed = false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"org": ORG, "team": TEAM, "app": APP, "default": "[box]\nsize = 5\n"}.items():
        profile(tmp_path, name, text)
    return tmp_path


def explained(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of one explanation."""
    assert call(session(folder), "explain", "--json", *arguments) == code
    return dict(json.loads(capsys.readouterr().out))


def test_three_layers_with_a_limit_an_exception_and_a_refused_loosening(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = explained(folder, capsys, "-p", "app", "box.size", code=2)
    assert [(step["layer"], step["origin"], step["said"], step["outcome"]) for step in size["history"]] == [
        ("org", f"{folder}/org.toml:3", "100", "limit"),
        ("org", f"{folder}/org.toml:7", "50", "stated"),
        ("team", f"{folder}/team.toml:9", "80", "loosened by exception"),
    ]
    assert size["history"][2]["exception"]["ticket"] == "T-7"
    assert size["limit"] == {"shown": "100", "origin": f"{folder}/org.toml:3"}
    closed = explained(folder, capsys, "-p", "app", "box.closed", code=2)
    assert [(step["layer"], step["origin"], step["said"]) for step in closed["history"]] == [
        ("org", f"{folder}/org.toml:6", "true")
    ]
    assert closed["pending"] == [
        {"layer": "app", "origin": f"{folder}/app.toml:3", "said": "false", "outcome": "refused"}
    ]


def test_a_refused_loosening_exits_2_and_names_both_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "explain", "-p", "app", "box.closed") == 2
    captured = capsys.readouterr()
    assert f"{folder}/app.toml:3: box.closed: false is looser than true, set at {folder}/org.toml:6" in captured.err
    for place in (f"{folder}/org.toml:6", f"{folder}/app.toml:3"):
        assert place in captured.out
    assert "refused" in captured.out


def test_pasting_the_offered_exception_repairs_a_refused_stack(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = explained(folder, capsys, "-p", "app", "box.closed", code=2)["loosening"]
    assert offered["options"] == []
    profile(folder, "app", 'extends = "team"\n' + offered["toml"])
    assert explained(folder, capsys, "-p", "app", "box.closed")["value"] is False
    assert 'has "why this is needed" for a reason' in warned(folder, capsys, "-p", "app")


def warned(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a composition is warned of."""
    assert call(session(folder), "compose", *arguments) == 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("question", "shown"),
    [("box.closed", "false"), ("box.size", "100"), ("box.lid.lock", "single"), ("box.colours.blue", "true")],
)
def test_the_smallest_loosening_works_as_a_layer_and_as_options(
    question: str, shown: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = explained(folder, capsys, "-p", "team", question)["loosening"]
    assert offered["shown"] == shown
    assert not offered["barrier"]
    profile(folder, "more", offered["toml"])
    assert explained(folder, capsys, "-p", "team", "-p", "more", question)["shown"] == shown
    assert explained(folder, capsys, "-p", "team", *offered["options"], question)["shown"] == shown


def test_what_is_refused_on_the_command_line_lacks_only_its_exception(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-p", "org", "--open", "box.closed"]
    offered = explained(folder, capsys, *arguments, code=2)["loosening"]
    assert offered["toml"] == ""
    assert offered["options"] == ["--exception", "box.closed=why this is needed"]
    assert explained(folder, capsys, *offered["options"], *arguments)["value"] is False
    assert 'has "why this is needed" for a reason' in warned(folder, capsys, *offered["options"], *arguments[:-1])
    assert call(session(folder), "explain", *arguments) == 2
    assert "smallest loosening, to false, on the command line:\n\n    --exception " in capsys.readouterr().out


def test_a_setting_whose_name_holds_the_sign_is_excepted_as_toml(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--exception` ends a name at the first `=`."""
    monkeypatch.setattr(samples, "COLOURS", ("a=b", *samples.COLOURS))
    profile(folder, "odd", "[box]\ncolours.drop = ['a=b']\n")
    offered = explained(folder, capsys, "-p", "odd", "box.colours.a=b")["loosening"]
    assert offered["options"][0] == "--set"
    assert offered["options"][1].startswith("exceptions=[")
    assert explained(folder, capsys, "-p", "odd", *offered["options"], "box.colours.a=b")["value"] is True


def test_what_people_write_is_offered_before_what_is_smallest(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples.Box, "permissions", lambda self, leaf: [("none", {"lid": {"lock": "none"}})])
    profile(folder, "locked", "[box]\nlid.lock = 'double'\n")
    offered = explained(folder, capsys, "-p", "locked", "box.lid.lock")["loosening"]
    assert (offered["shown"], offered["example"]) == ("none", True)
    assert explained(folder, capsys, "-p", "locked", *offered["options"], "box.lid.lock")["shown"] == "none"
    # Where a limit forbids it, the smallest one within the limit is.
    profile(folder, "locked", "[limits.box]\nlid.lock = 'single'\n[box]\nlid.lock = 'double'\n")
    offered = explained(folder, capsys, "-p", "locked", "box.lid.lock")["loosening"]
    assert (offered["shown"], offered["example"]) == ("single", False)


def test_a_question_with_arguments_is_answered_by_the_mechanism(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(
        self: samples.Box, settings: samples.BoxSettings, context: Context, name: str, arguments: Sequence[str]
    ) -> str | None:
        lacks = context.lacks("box.closed")
        return f"{name} of {settings.size} {list(arguments)} {lacks}" if name in ("size", "lid") else None

    monkeypatch.setattr(samples.Box, "answer", answer)
    found = explained(folder, capsys, "box.size( 1, x )")
    assert (found["leaf"], found["value"]) == ("box.size", 5)
    assert found["answer"] == {"arguments": ["1", "x"], "result": "size of 5 ['1', 'x'] False"}
    assert explained(folder, capsys, "box.size()")["answer"]["arguments"] == []
    assert explained(folder, capsys, "box.size")["answer"] is None
    assert explained(folder, capsys, "box.lid(7)")["answer"]["result"] == "lid of 5 ['7'] False"
    assert call(session(folder, broken=True), "explain", "box.size(1)") == 0
    assert capsys.readouterr().out.startswith("box.size(1): size of 5 ['1'] True\n\nbox.size = 5\n")
    assert call(session(folder), "explain", "box.sise(1)") == 2
    assert 'did you mean "size"?' in capsys.readouterr().err
    assert call(session(folder), "explain", "box.closed(1)") == 2
    assert 'no setting "closed(1)" in box' in capsys.readouterr().err


def test_a_question_may_have_the_name_that_the_kernel_s_log_has(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples.Box, "meant", lambda self, name, host: "size" if name == "7" else name)
    monkeypatch.setattr(samples.Box, "answer", lambda self, settings, context, name, arguments: f"{name}{arguments}")
    assert explained(folder, capsys, "box.7")["leaf"] == "box.size"
    assert explained(folder, capsys, "box.7(1)")["answer"]["result"] == "size('1',)"
    assert call(session(folder), "explain", "box.8") == 2
    assert 'there is no setting "8" in box' in capsys.readouterr().err


def test_what_a_stack_permits_beyond_another(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    found = explained(folder, capsys, "-p", "team", "--set", "box.colours=red", "--beyond", "default")
    assert found["floor"] == "default"
    size, red = sorted(found["beyond"], key=lambda item: str(item["leaf"]), reverse=True)
    assert (size["leaf"], size["shown"], size["floor"], size["origin"]) == (
        "box.size",
        "80",
        "5",
        f"{folder}/team.toml:9",
    )
    assert size["exception"]["ticket"] == "T-7"
    assert (red["leaf"], red["exception"]) == ("box.colours.red", None)
    assert len(explained(folder, capsys, "-p", "team", "--beyond", "default", "box.size")["beyond"]) == 1
    assert explained(folder, capsys, "-p", "team", "--beyond", "default", "box.siz")["beyond"] == []
    assert call(session(folder), "explain", "-p", "team", "--beyond", "default") == 0
    assert "box.size  80     5           " in capsys.readouterr().out
    assert call(session(folder), "explain", "-p", "default", "--beyond", "team") == 0
    assert capsys.readouterr().out == "nothing beyond team\n"
    assert call(session(folder), "explain", "-p", "team", "--beyond", "nobody") == 2
    assert 'no such profile: "nobody"' in capsys.readouterr().err


def test_an_exception_is_offered_only_where_one_is_needed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "exceptions" in tomllib.loads(explained(folder, capsys, "-p", "team", "box.closed")["loosening"]["toml"])
    assert list(tomllib.loads(explained(folder, capsys, "box.closed")["loosening"]["toml"])) == ["box"]


def test_what_a_limit_forbids_has_no_loosening(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "shut", "[limits.box]\nclosed = true\ncolours = ['red']\n")
    for question in ("box.closed", "box.colours.blue"):
        offered = explained(folder, capsys, "-p", "shut", question)["loosening"]
        assert offered["toml"] == ""
        assert f"{folder}/shut.toml:" in offered["barrier"]


def test_the_loosest_and_the_neutral_have_no_loosening(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "open", "[box]\nclosed = false\n")
    assert explained(folder, capsys, "-p", "open", "box.closed")["loosening"] is None
    assert explained(folder, capsys, "-p", "open", "box.label")["loosening"] is None


def test_a_say_beyond_a_limit_is_shown_as_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = explained(folder, capsys, "-p", "org", "--set", "box.size=101", "box.size", code=2)
    assert answer["pending"] == [
        {"layer": "command line", "origin": "--set box.size=101", "said": "101", "outcome": "refused"}
    ]
    assert f"{folder}/org.toml:3" in answer["loosening"]["barrier"]


def test_layers_after_a_refused_one_are_not_reached(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "last", "[box]\nclosed = true\n")
    answer = explained(folder, capsys, "-p", "app", "-p", "last", "box.closed", code=2)
    assert [(item["layer"], item["outcome"]) for item in answer["pending"]] == [
        ("app", "refused"),
        ("last", "not reached"),
    ]


def test_a_stack_that_cannot_be_read_at_all_is_still_explained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "broken", "[bx]\na = 1\n[box]\nclosed = true\n")
    answer = explained(folder, capsys, "-p", "broken", "-p", "team", "box.closed", code=2)
    # The unknown table is none of the box's: its own story is complete.
    assert [step["layer"] for step in answer["history"]] == ["broken", "org"]
    assert answer["error"][0]["origin"] == f"{folder}/broken.toml:1"


def test_a_member_that_nobody_names_has_the_value_of_all_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "red", "[box]\ncolours = ['red']\n")
    answer = explained(folder, capsys, "-p", "red", "box.colours.BLUE")
    assert (answer["leaf"], answer["value"], answer["origin"]) == ("box.colours.blue", False, f"{folder}/red.toml:2")


@pytest.mark.parametrize(
    ("question", "leaves"),
    [
        ("box.colours", ["box.colours.*", "box.colours.red"]),
        ("box.lid", ["box.lid.lock"]),
        ("box", ["box.closed", "box.colours.*", "box.colours.red", "box.env.*", "box.label", "box.lid.lock",
                 "box.requirement", "box.size"]),
    ],
)  # fmt: skip
def test_a_table_or_a_family_lists_its_leaves(
    question: str, leaves: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "red", "[box]\ncolours = ['red']\n")
    assert [leaf["leaf"] for leaf in explained(folder, capsys, "-p", "red", question)["leaves"]] == leaves


def test_without_a_question_the_stack_is_a_tree(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["explain", "-p", "team"], session(folder)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2. team")
    assert lines[1].startswith("└─ 1. org  organisation")
    answer = explained(folder, capsys, "-p", "app", code=2)
    assert [layer["name"] for layer in answer["stack"]] == ["org", "team", "app"]
    assert answer["mechanisms"][0]["mechanism"] == "box"


def test_profiles_of_one_name_stand_at_their_own_places_of_the_tree(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    profile(folder, "base", 'description = "the shipped one"\n')
    profile(folder, "middle", 'extends = "base"\n')
    own = tmp_path / "own"
    own.mkdir()
    profile(own, "base", 'description = "another one"\nextends = "middle"\n')
    profile(own, "app", 'extends = "./base.toml"\n')
    assert main(["explain", "-p", str(own / "app.toml")], session(folder)) == 0
    lines = [line.partition("  (")[0].strip() for line in capsys.readouterr().out.splitlines()[:4]]
    assert lines == ["4. app", "└─ 3. base  another one", "└─ 2. middle", "└─ 1. base  the shipped one"]


def test_options_of_mechanisms_are_says_with_their_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = explained(folder, capsys, "--size", "3", "box.size")
    assert answer["value"] == 3
    assert answer["origin"] == "--size 3"
    assert [step["outcome"] for step in answer["history"]] == ["stated", "tightened"]
    # No layer comes after it, and another option would contradict it: its place is taken.
    assert answer["loosening"]["replaces"] == ["--size 3"]
    assert answer["loosening"]["options"]


def test_a_member_that_nobody_names_can_have_a_loosening(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.toml").write_text('[selinux]\nrequirement = "best-effort"\n')
    assert main(["explain", "-p", str(tmp_path / "empty.toml"), "rootfs.volumes./data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shown"] == "none"


def test_a_loosening_is_of_the_secret_that_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for profile_name, exception in (
        ("strict", ["--exception", "secrets.given.tok=why this is needed"]),
        ("default", []),
    ):
        assert main(["explain", "-p", profile_name, "secrets.given.tok", "--json"]) == 0
        offered = json.loads(capsys.readouterr().out)["loosening"]
        assert offered["options"] == [*exception, "--secret", "tok,type=mount"]


def test_nothing_is_looser_than_the_loosest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "open", "[box]\nsize = 1000\n")
    assert call(session(folder), "explain", "-p", "open", "box.size") == 0
    assert capsys.readouterr().out.endswith("\nno loosening: nothing is looser than 1000\n")
    profile(folder, "open", "[box]\nsize = 999\n")
    assert explained(folder, capsys, "-p", "open", "box.size")["loosening"]["shown"] == "1000"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("socket", "seccomp.socket"),
        ("ptrace", "seccomp.ptrace"),
        ("net_raw", "capabilities.NET_RAW"),
        ("secrts", '"secrets"'),
    ],
)
def test_a_name_without_its_table_names_what_no_layer_has(
    name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "-p", "strict", name]) == 2
    assert capsys.readouterr().err.endswith(f"hint: did you mean {meant}?\n")


@pytest.mark.parametrize("quoted", ["{}", '"{}"', "'{}'"])
def test_a_part_of_a_name_may_be_quoted_as_in_toml(quoted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", "trust.docker." + quoted.format("127.0.0.1:5055/mine")]) == 0
    offered = json.loads(capsys.readouterr().out)
    assert offered["leaf"] == "trust.docker.127.0.0.1:5055/mine"
    assert 'docker."127.0.0.1:5055/mine" = "accept"' in offered["loosening"]["toml"]


def test_what_is_not_set_is_not_named_as_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "process.set_environment.FOO"]) == 0
    assert capsys.readouterr().out.startswith("process.set_environment.FOO = none\n")
