"""The other commands: what they show, write and answer with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from hardening.cli import start
from hardening.cli.session import Request, Session
from hardening.launch.request import LaunchRequest
from hardening.plugin.plugins import Plugin, Plugins
from tests.hardening.cli import samples
from tests.hardening.cli.samples import call, foreign, process, profile, session, shown, shown_by
from tests.support import sarif


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    profile(tmp_path, "default", 'description = "the default"\n[box]\nclosed = true\nsize = 5\ncolours = ["red"]\n')
    profile(tmp_path, "open", "[box]\nclosed = false\nsize = 5\n")
    profile(tmp_path, "lax", "[box]\nrequirement = 'best-effort'\n")
    return tmp_path


# compose


def test_compose_shows_the_spec(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = shown(folder, capsys, "compose", "-e", "A=1", "-e", "B=2", "--", "id", "-u")
    assert document["process"] == {"args": ["id", "-u"], "env": ["A=1", "B=2"]}
    assert document["annotations"]["box"] == "5"


def test_compose_writes_a_bundle_that_launch_runs(folder: Path) -> None:
    assert process(folder, "compose", "-o", "b", "--", "sh", "-c", "echo hi; exit 3").code == 0
    done = process(folder, "launch", "b")
    assert (done.code, done.stdout) == (3, "hi\n")
    assert (folder / "b/config.json").exists()


def test_launch_hands_the_digest_of_what_was_admitted_to_the_launch_stage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(session(folder), "compose", "-q", "-o", "b", "--", "id") == 0
    requests: list[LaunchRequest] = []

    def command(self: object, bundle: Path, request: LaunchRequest) -> list[str]:
        requests.append(request)
        return ["/bin/true"]

    monkeypatch.setattr(samples.Shell, "command", command)
    monkeypatch.setattr(start, "start", lambda argv: None)
    assert call(session(folder), "launch", "b") == 0
    (request,) = requests
    assert request.sha256 == hashlib.sha256((folder / "b/config.json").read_bytes()).hexdigest()
    assert not request.remove


def test_compose_as_toml_composes_to_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "rich", "[limits.box]\nsize = 9\ncolours = ['red', 'blue']\n"
            "[box]\nlid.lock = 'single'\nlabel = 'a \"b\"'\ncolours.add = ['blue']\nenv = ['A=1']\n")  # fmt: skip
    first = shown(folder, capsys, "compose", "--format", "settings", "--json", "-p", "rich")
    assert call(session(folder), "compose", "--format", "toml", "-p", "rich") == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["limits"]["box"]["size"] == 9
    profile(folder, "flat", text)
    second = shown(folder, capsys, "compose", "--format", "settings", "--json", "-p", "flat")
    for one, other in zip(first["leaves"], second["leaves"], strict=True):
        assert (one["leaf"], one["value"], one["stated"]) == (other["leaf"], other["value"], other["stated"])
        assert (one["limit"] or {}).get("shown") == (other["limit"] or {}).get("shown")


def test_compose_as_settings_names_what_decided(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert call(session(folder), "compose", "--format", "settings") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["box.size", "5", f"{folder}/default.toml:4"] in rows
    assert ["box.lid.lock", "double", "default", "(tests.hardening.cli.samples)"] in rows


def test_compose_as_sarif_exits_1_for_warnings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = shown(folder, capsys, "compose", "-p", "open", "--format", "sarif", code=1)
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["box/open"]
    sarif.check(log)
    assert shown(folder, capsys, "compose", "--format", "sarif")["runs"][0]["results"] == []


def test_a_report_escapes_what_profiles_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = "</script><img src=x onerror=alert(1)>\\u202e{{ 7 * 7 }}"
    said = 'title = "<b>x</b>"\nowner = "the team"\n'
    said += 'controls = [{ framework = "CIS Docker", version = "1.6", ids = ["5.3", "5.4"] }]\n'
    profile(folder, "evil", f'description = "<script>alert(1)</script>"\n[profile]\n{said}[box]\nlabel = "{label}"\n')
    assert call(session(folder), "report", "-p", "evil") == 0
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>")
    assert page.count("<script") == page.count("</script>") == 1
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;x&lt;/b&gt; · the team" in page
    assert "CIS Docker 1.6: 5.3, 5.4" in page
    assert "\\u202e{{ 7 * 7 }}" in page
    assert call(session(folder), "report", "-p", "evil", "-o", "report.html") == 0
    assert Path("report.html").read_text() == page
    assert call(session(folder), "report", "-p", "evil", "-o", "report.html") == 0


def test_no_profile_of_the_stack_is_written_over_and_a_report_replaces_reports(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.json").write_text("{}")
    Path("index.html").write_text("<!doctype html>\n<title>of mine</title>")
    Path("link.html").symlink_to(profile(folder, "shop", "extends = 'default'"))
    for words, option, target in (
        (["report", "-p", "shop"], "-o", "./link.html"),
        (["report", "-p", "shop"], "-o", "default.toml"),
        (["run", "-p", "shop"], "--receipt", "default.toml"),
        (["apply", "config.json"], "-o", "default.toml"),
        (["why"], "-o", "default.toml"),
        (["learn"], "-o", "default.toml"),
    ):
        before = Path(target).read_text()
        command = ["--", "true"] if words[0] in ("run", "why", "learn") else []
        assert call(session(folder), *words, option, target, *command) == 2
        said = f"{option} {Path(target)}: it is a profile of the stack, and would be replaced\nhint: name another file"
        assert said in capsys.readouterr().err
        assert Path(target).read_text() == before
    assert call(session(folder), "report", "-o", "index.html") == 2
    assert "-o index.html: it is no report, and would be replaced\nhint: name another" in capsys.readouterr().err
    assert "of mine" in Path("index.html").read_text()


# run


def test_dry_run_names_the_real_bundle_and_ends_with_the_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(folder), "run", "--dry-run", "--", "id") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("argv ")
    bundle = str(Path(os.environ["HARDENING_STATE"]) / "launches") + "/"
    assert bundle in lines[-1]
    assert any(line.startswith("spec ") and bundle in line for line in lines)
    assert not Path(os.environ["HARDENING_STATE"]).exists()


@pytest.mark.parametrize(
    ("arguments", "told"), [((), True), (("-i",), False), (("-q",), False)], ids=["plain", "interactive", "quiet"]
)
def test_input_that_is_not_passed_on_is_said(folder: Path, arguments: tuple[str, ...], told: bool) -> None:
    (folder / "input").write_text("data")
    full, filling = os.pipe()
    idle, silent = os.pipe()
    os.write(filling, b"data")
    with (folder / "input").open() as file, (folder / "empty").open("w+") as empty, open(os.devnull) as null:
        given = {file.fileno(): True, full: True, empty.fileno(): False, idle: False, null.fileno(): False}
        for stdin in (stdin for stdin, something in given.items() if something or told):
            done = process(folder, "run", *arguments, "--", "true", stdin=stdin)
            assert done.code == 0
            assert ("standard input is not passed on: add -i" in done.stderr) is (told and given[stdin])
    for descriptor in (full, filling, idle, silent):
        os.close(descriptor)


def test_dry_run_shows_everything_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    answer = shown(folder, capsys, "run", "-p", "open", "--dry-run", "--json", "--", "id")
    assert answer["command"] == ["id"]
    assert answer["runtime"] == "native"
    assert answer["argv"][0].startswith("/")
    assert answer["mechanisms"] == [
        {"mechanism": "box", "requirement": "required", "state": "enforced", "unsupported": []}
    ]
    assert [finding["rule"] for finding in answer["findings"]] == ["box/open"]
    assert answer["spec"]["process"]["args"] == ["id"]
    assert call(session(folder), "run", "--dry-run", "--", "id") == 0
    assert "enforced" in capsys.readouterr().out
    assert sorted(folder.rglob("*")) == before


def test_a_run_says_what_is_not_enforced_and_excepted(folder: Path) -> None:
    profile(folder, "used", "extends = ['lax', 'default']\n[[exceptions]]\nsetting = 'box.size'\nreason = 'why'\n"
            "[box]\nsize = 6\n")  # fmt: skip
    done = process(folder, "run", "-p", "used", "--", "true", broken=True)
    assert done.code == 0
    assert done.stderr.splitlines() == [
        "not enforced: box.closed: the hinge is broken",
        f"exception: box.size: why ({folder}/used.toml:2)",
    ]
    told = folder / "state/told"
    for before, *again in (
        (None, "run"),
        (None, "run", "--fresh"),
        ("another start\n" + told.read_text().partition("\n")[2], "run", "--fresh"),
        ("\0\udc80\n", "run", "--fresh"),
    ):
        if before is not None:
            told.write_bytes(os.fsencode(before))
        done = process(folder, *again, "-p", "used", "--", "true", broken=True)
        assert len(done.stderr.splitlines()) == (1 if before is None else 2), (before, again)
        assert told.read_text().splitlines()[1:] == ["not enforced: box.closed: the hinge is broken"]
    composed = process(folder, "compose", "-p", "used", broken=True)
    assert composed.stderr == f"exception: box.size: why ({folder}/used.toml:2)\n"
    told.unlink()
    assert len(process(folder, "compose", "-p", "used", broken=True).stderr.splitlines()) == 2
    assert told.read_text().splitlines()[1:] == ["not enforced: box.closed: the hinge is broken"]
    told.unlink()
    told.mkdir()  # nothing can be kept
    done = process(folder, "run", "--fresh", "-p", "used", "--", "true", broken=True)
    assert (done.code, len(done.stderr.splitlines())) == (0, 2)
    for _ in range(2):  # what lacks a part of it may be another thing with the next run
        done = process(folder, "run", "-p", "lax", "--", "true", broken=True)
        assert done.stderr == "not enforced: box.closed: the hinge is broken\n"
    quiet = process(folder, "run", "-q", "-p", "used", "--", "true", broken=True)
    assert (quiet.code, quiet.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [("run", "--", "true"), ("compose", "-o", "b"), ("compose",), ("apply", "config.json", "--check")],
    ids=" ".join,
)
def test_warnings_are_one_line_each(arguments: tuple[str, ...], folder: Path) -> None:
    foreign(folder)
    name, *rest = arguments
    lines = process(folder, name, "-p", "open", *rest).stderr.splitlines()
    assert [line for line in lines if line.startswith("warning")] == ["warning: box.closed: the lid is open"]
    shutil.rmtree(folder / "b", ignore_errors=True)
    assert "warning" not in process(folder, name, "-q", "-p", "open", *rest).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--dry-run", "--", "true"),
        ("run", "--dry-run", "--json", "--", "true"),
        ("compose", "--format", "sarif"),
        ("report",),
        ("apply", "config.json", "--check", "--json"),
    ],
    ids=" ".join,
)
def test_what_a_report_holds_is_not_said_again(
    arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign(folder)
    profile(folder, "open", "[box]\nclosed = false\nrequirement = 'best-effort'\n")
    call(session(folder, broken=True), arguments[0], "-p", "open", *arguments[1:])
    captured = capsys.readouterr()
    assert captured.err == ""
    for text in ("the lid is open", "the hinge is broken", "buy a hinge"):
        assert text in captured.out


@pytest.mark.parametrize(
    "arguments",
    [("run", "--", "true"), ("compose",), ("explain", "box.size"), ("apply", "config.json")],
    ids=" ".join,
)
def test_an_exception_of_the_command_line_permits_a_loosening(arguments: tuple[str, ...], folder: Path) -> None:
    foreign(folder)
    name, *rest = arguments
    assert process(folder, name, "--set", "box.size=9", *rest).code == 2
    done = process(folder, name, "--set", "box.size=9", "--exception", "box.size=many things", *rest)
    assert done.code == 0
    assert "many things (--exception box.size=many things)" in done.stdout + done.stderr


def test_a_name_of_two_profiles_is_listed_twice_and_composed_by_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hardening.profile.layers import SearchDirectory, SearchPath

    nearer = folder / "nearer"
    nearer.mkdir()
    profile(nearer, "default", "[box]\nsize = 1\n")
    here = Session(samples.plugins(), SearchPath((SearchDirectory(nearer, "near"), SearchDirectory(folder, "far"))))
    assert call(here, "compose") == 2
    assert f'"default" names 2 profiles: {nearer}/default.toml, {folder}/default.toml' in capsys.readouterr().err
    assert call(here, "profile", "list", "--json") == 1
    entries = [item for item in json.loads(capsys.readouterr().out) if item["name"] == "default"]
    assert [item["owner"] for item in entries] == ["near", "far"]
    assert all('"default" names 2 profiles' in item["problem"] for item in entries)
    assert call(here, "compose", "-p", f"{nearer}/default.toml") == 0


# receipt


def receipt(folder: Path, size: str) -> str:
    from hardening.testing.mechanisms import gathered

    data = gathered() | {"oom_score_adj": size}
    (folder / "r.json").write_text(json.dumps(data))
    return "r.json"


def test_a_receipt_that_holds_is_0_and_one_that_does_not_is_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = shown(folder, capsys, "receipt", receipt(folder, "5"), "--json")
    assert answer == {
        "holds": True,
        "checks": [{"leaf": "box.size", "expected": "5", "kernel": "5", "result": "holds"}],
    }
    assert call(session(folder), "receipt", receipt(folder, "7")) == 1
    shown_last = capsys.readouterr()
    assert "does not hold" in shown_last.out
    assert shown_last.err.startswith("hint: if the run had other profiles, options or image, give them")


# doctor


def test_doctor_shows_facts_runtimes_and_the_state_directory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(folder, capsys, "doctor", "--json")
    found = {(line["area"], line["name"]): (line["mark"], line["detail"]) for line in lines}
    assert found["host", "kernel"][1].startswith(os.uname().release)
    assert found["tests", "version"] == ("", "1.2.3")
    assert found["tests", "lids"] == ("", "oak, pine")
    assert found["runtime", "native"] == ("ok", "1.0")
    assert found["runtime", "crun"] == ("warn", "not installed")
    assert found["host", "state directory"] == ("ok", f"{folder}/state")
    assert found["mechanism", "box"] == ("ok", "enforced")


def test_doctor_exits_1_where_a_required_mechanism_cannot_be_enforced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(folder, capsys, "doctor", "--json", code=1, broken=True)
    assert lines[-1] == {
        "area": "mechanism",
        "name": "box.closed",
        "mark": "fail",
        "detail": "the hinge is broken",
        "remedy": 'buy a hinge, or set requirement = "best-effort" in [box]',
    }
    lines = shown(folder, capsys, "doctor", "-p", "lax", "--json", broken=True)
    assert lines[-1]["mark"] == "warn"


def test_doctor_fails_without_a_state_directory(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENING_STATE", "/proc/nowhere")
    assert call(session(folder), "doctor") == 1
    assert "set HARDENING_STATE" in capsys.readouterr().out


def test_doctor_warns_of_stores_in_the_environment_of_the_program(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("secrets", "images"):
        monkeypatch.setenv(f"HARDENING_{name.upper()}", f"{folder}/data/{name}")
    assert "store of" not in json.dumps(shown(folder, capsys, "doctor", "--json"))
    (folder / "data").mkdir()
    (folder / "data/pyvenv.cfg").touch()
    lines = {line["name"]: line for line in shown(folder, capsys, "doctor", "--json")}
    for name in ("secrets", "images"):
        assert lines[f"store of {name}"]["mark"] == "warn"
        assert f"another place than {folder}/data" in lines[f"store of {name}"]["remedy"]


def test_doctor_shows_the_host_even_where_the_profile_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(folder), "doctor", "-p", "missing") == 2
    captured = capsys.readouterr()
    assert "kernel" in captured.out
    assert 'no such profile: "missing"' in captured.err


# lists and completion


def test_profile_list_marks_what_cannot_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["name"] for entry in shown(folder, capsys, "profile", "list", "--json")] == ["default", "lax", "open"]
    profile(folder, "wrong", "= 1\n")
    entries = {entry["name"]: entry for entry in shown(folder, capsys, "profile", "list", "--json", code=1)}
    assert entries["wrong"]["problem"].startswith("not TOML")
    assert entries["default"]["description"] == "the default"


def test_profile_show_is_a_profile_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "profile", "show", "default") == 0
    assert tomllib.loads(capsys.readouterr().out) == tomllib.loads((folder / "default.toml").read_text())
    answer = shown(folder, capsys, "profile", "show", "default", "--json")
    assert answer["text"] == (folder / "default.toml").read_text()
    assert answer["stack"] == ["default"]


def test_profile_show_shows_what_was_checked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be another one by the time that it is shown: its digest and its text are of one reading."""
    here = session(folder)
    layers = here.stack(Request(("default",)))
    kept = (folder / "default.toml").read_bytes()
    monkeypatch.setattr(here, "stack", lambda _: layers)
    profile(folder, "default", "[box]\nsize = 1\n")
    assert call(here, "profile", "show", "default", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"].encode() == kept
    assert answer["sha256"] == hashlib.sha256(kept).hexdigest()


def test_plugin_list_names_what_each_brings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = shown(folder, capsys, "plugin", "list", "--json")
    assert (entry["name"], entry["distribution"], entry["version"]) == ("box", "box-shop", "4.2")
    assert [item["name"] for item in entry["mechanisms"]] == ["box"]
    assert [item["name"] for item in entry["runtimes"]] == ["crun", "native"]
    assert call(session(folder), "plugin", "list") == 0
    assert "runtime native  a shell" in capsys.readouterr().out


def test_plugin_show_has_all_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (listed,) = shown(folder, capsys, "plugin", "list", "--json")
    assert shown(folder, capsys, "plugin", "show", "box", "--json") == listed
    assert (listed["interface"], listed["requires"], listed["problem"]) == ("1", [], "")
    settings = listed["mechanisms"][0]["settings"]
    assert call(session(folder), "plugin", "show", "box") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    whole = " ".join(" ".join(lines).split())
    assert settings
    for part in ("plugin box (box-shop 4.2)", *(f"setting {each['name']}: {each['summary']}" for each in settings)):
        assert part in whole
    assert call(session(folder), "plugin", "show", "bux") == 2
    assert 'did you mean "box"?' in capsys.readouterr().err


def test_plugin_list_names_every_judging_hook(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from types import ModuleType

    from hardening.plugin.hookspecs import hookimpl
    from hardening.profile.layers import SearchPath

    module = ModuleType("judge")
    module.hardening_inspect = hookimpl(lambda composition: ())  # type: ignore[attr-defined]
    module.approve = hookimpl(specname="hardening_admit")(lambda candidate: None)  # type: ignore[attr-defined]
    here = Session(Plugins([Plugin("judge", module, "court", "1")]), SearchPath(()))
    (entry,) = shown_by(here, capsys, "plugin", "list", "--json")
    assert entry["hooks"] == ["hardening_inspect", "hardening_admit"]
    assert call(here, "plugin", "list") == 0
    assert "judge   court 1  hook hardening_inspect\n                 hook hardening_admit" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "completion", shell) == 0
    text = capsys.readouterr().out
    assert "_HARDENING_COMPLETE" in text
    assert f"{shell}_complete" in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("hardening expl", ["explain"]),
        ("hardening run -p d", ["default"]),
        ("hardening run --runtime n", ["native"]),
        ("hardening run --la", ["--label"]),
        ("hardening explain box.c", ["box.closed", "box.colours"]),
        ("hardening profile show o", ["open"]),
        ("hardening completion f", ["fish"]),
    ],
)
def test_completion_knows_profiles_runtimes_options_and_settings(words: str, found: list[str], folder: Path) -> None:
    done = process(
        folder, _HARDENING_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
    )
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == found


def test_the_path_of_a_profile_is_the_shell_s_to_complete(folder: Path) -> None:
    done = process(folder, _HARDENING_COMPLETE="bash_complete", COMP_WORDS="hardening run -p ./", COMP_CWORD="3")
    assert done.stdout.splitlines() == ["file,./"]


def test_profile_list_shows_files_only_where_they_matter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "profile", "list") == 0
    assert str(folder) not in capsys.readouterr().out
    profile(folder, "broken", "[[")
    assert call(session(folder), "profile", "list") == 1
    assert capsys.readouterr().out.count(str(folder)) == 1


def test_a_bundle_without_a_command_is_noted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), "compose", "-o", str(folder / "empty")) == 0
    assert capsys.readouterr().err == "the bundle has no command to run: add `-- COMMAND`\n"
    assert call(session(folder), "compose", "-o", str(folder / "full"), "--", "id") == 0
    assert capsys.readouterr().err == ""


HOSTILE = ("zz$(touch PWN)", "zz;touch PWN;", "zz`touch PWN`", "zz'", "zz a", "zz*")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_no_name_of_a_stranger_s_is_completed_that_a_shell_would_evaluate(folder: Path, shell: str) -> None:
    """zsh and fish quote what they put into a line, and bash does not; a name of two lines would be more than one answer."""
    for name in (*HOSTILE, "zz\nplain,zyother", "zzfine"):
        profile(folder, name, "")
    words = "hardening compose -p zz"
    current = "zz" if shell == "fish" else str(len(words.split()) - 1)
    done = process(folder, _HARDENING_COMPLETE=f"{shell}_complete", COMP_WORDS=words, COMP_CWORD=current)
    assert "zzfine" in done.stdout
    assert "zyother" not in done.stdout
    assert not [name for name in HOSTILE if name in done.stdout] or shell != "bash"


def test_what_permits_a_loosening_can_be_pasted_as_it_stands(folder: Path) -> None:
    profile(folder, "more", "extends = ['default']\n[box]\nsize = 9\n")
    refused = process(folder, "compose", "-p", "more")
    pasted = refused.stderr.partition("at the end of the same layer:\n")[2]
    assert (refused.code, pasted.splitlines()[0]) == (2, "[[exceptions]]")
    with (folder / "more.toml").open("a") as file:
        file.write(pasted)
    assert process(folder, "compose", "-p", "more").code == 0
