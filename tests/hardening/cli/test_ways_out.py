"""`hardening/cli`: what a message names as the way out is one: pasted, it composes; what nobody may do is not advised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hardening.cli.session import Session
from tests.hardening.cli.samples import call
from tests.support.runs import workplace

Compose = Callable[[str], str]
STRICT = 'extends = ["strict"]\n'


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with workplace() as found:
        monkeypatch.chdir(found)
        monkeypatch.setenv("HARDENING_STATE", str(found / "state"))
        yield found


@pytest.fixture
def compose(session: Session, folder: Path, capsys: pytest.CaptureFixture[str]) -> Compose:
    def composed(text: str) -> str:
        """What is said on standard error of a profile that does not compose; "" of one that does."""
        (folder / "app.toml").write_text(text)
        code = call(session, "compose", "-p", "./app.toml")
        errors = capsys.readouterr().err
        assert code in (0, 2), errors
        return errors if code else ""

    return composed


def pasted(errors: str) -> str:
    """The exceptions that the hints of some messages give."""
    return "".join(
        "\n".join(hint.split("\n")[1:4]) + "\n" for hint in errors.split("hint: ")[1:] if "[[exceptions]]" in hint
    )


@pytest.mark.parametrize(
    "text",
    [
        '[seccomp]\nallow = ["@network"]\n',
        '[seccomp]\nallow = ["@network", "bpf"]\n',
        '[capabilities]\nadd = ["CHOWN"]\n',
        '[process.rlimits]\nnofile = "2048"\n',
    ],
)
def test_the_exceptions_of_hints_permit_what_was_refused(text: str, compose: Compose) -> None:
    errors = compose(STRICT + text)
    assert "arg0 &" not in errors
    assert compose(STRICT + text + pasted(errors)) == ""


def test_of_many_the_exception_of_the_first_is_given_and_that_the_others_need_theirs(compose: Compose) -> None:
    names = ["CHOWN", "FOWNER", "FSETID", "KILL"]
    text = f"{STRICT}[capabilities]\nadd = {names}\n".replace("'", '"')
    errors = compose(text)
    assert "hint: for CHOWN, and likewise for the others: " in errors
    first = pasted(errors)
    assert compose(text + "".join(first.replace("CHOWN", name) for name in names)) == ""


def test_of_a_shipped_profile_the_order_that_composes_is_named(
    session: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session, "compose", "-p", "strict", "-p", "web") == 2
    errors = capsys.readouterr().err
    first, *problems, hint = errors.splitlines()
    assert first == f"error: {len(problems)} problems with one remedy:"
    assert hint == "hint: name strict after web, as in `-p web -p strict`"
    assert all("toml:" in line.split()[0] and " (shipped): " in line and "strict.toml:" in line for line in problems)
    assert {"namespaces.net", "process.umask"} <= {line.split(": ")[1] for line in problems}
    assert "[[exceptions]]" not in errors
    assert call(session, "compose", "-p", "web", "-p", "strict") == 0


def test_a_limit_of_two_parts_has_a_value_within_both(compose: Compose) -> None:
    text = STRICT + '[process.rlimits]\nnofile = "2048"\n'
    assert 'hint: write "1024:2048" (soft:hard), the loosest that is within both, or add' in compose(text)
    assert compose(text.replace("2048", "1024:2048")) == ""


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('[exceptions]\nsetting = "a"\nreason = "b"\n', "exceptions: a table where", "write [[exceptions]]"),
        ('[seccomp.rules]\nnames = ["bpf"]\n', "seccomp.rules: a table where", "write [[seccomp.rules]]"),
        ("[limit.seccomp]\nallow = []\n", "limit: no plugin owns", 'did you mean "limits"?'),
        ('[finding]\nrefuse = "error"\n', "finding: no plugin owns", 'did you mean "findings"?'),
        ('[limits.findings]\nrefuse = "error"\n', "limits.findings.refuse: unknown key", "the keys are at and rules"),
        (
            'extends = ["nope.toml"]\n',
            "app.toml:1: extends nope.toml, and there is no nope.toml",
            "relative to the directory",
        ),
        ('[seccomp]\ndefault = "ENOSYS"\n', "seccomp.default: unknown action 'ENOSYS'", 'write "errno:ENOSYS"'),
        (STRICT + '[rootfs]\nproc.subset = ""\n', "rootfs.proc.subset: (none) is looser than pid", "exceptions"),
    ],
)
def test_what_a_message_names(text: str, says: str, hint: str, compose: Compose) -> None:
    message, _, remedy = compose(text).partition("hint: ")
    assert says in message
    assert hint in remedy


def test_a_name_is_without_slash_and_suffix(session: Session, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("nope.toml", "./strict"):
        assert call(session, "compose", "-p", path) == 2
        assert "a name, without `/` and `.toml`, is looked up" in capsys.readouterr().err


def test_an_empty_value_is_seen_in_a_loosening(
    session: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session, "explain", "-p", "strict", "rootfs.proc.subset") == 0
    assert "smallest loosening, to (none), in a later layer" in capsys.readouterr().out


def test_a_volume_beyond_a_limit_is_told_what_to_write(folder: Path, compose: Compose) -> None:
    (folder / "mine").mkdir()
    volume = '[rootfs]\nvolumes = ["./mine:/data"]\n'
    options = 'extends = ["default"]\n[limits.rootfs]\nvolume_options = ["rw"]\n'
    assert "hint: no exception lifts a limit: write noexec, or" in compose(options + volume)
    assert compose(options + volume.replace("/data", "/data:noexec")) == ""
    assert f"volumes may come from {folder}/other, or" in compose(
        f'[limits.rootfs]\nvolume_sources = ["{folder}/other"]\n{volume}'
    )


@pytest.mark.parametrize(
    ("options", "right"), [("ro", "rw"), ("rw,noexec", "exec"), ("ro,nosuid,exec", "rw"), ("rw", "")]
)
def test_the_next_right_of_a_volume_is_offered_and_composes(
    options: str, right: str, session: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine").mkdir()
    (folder / "app.toml").write_text(f'extends = ["default"]\n[rootfs]\nvolumes = ["./mine:/data:{options}"]\n')
    assert call(session, "explain", "-p", "./app.toml", "rootfs.volumes./data", "--json") == 0
    way = json.loads(capsys.readouterr().out)["loosening"]
    if not right:
        assert way is None
        return
    assert way["options"][:2] == ["--exception", "rootfs.volumes./data=why this is needed"]
    assert (way["options"][2], way["options"][3].startswith(f"{folder}/mine:/data:")) == ("-v", True)
    (folder / "looser.toml").write_text(way["toml"])
    for added in (way["options"], ["-p", "./looser.toml"]):
        assert call(session, "compose", "-q", "-p", "./app.toml", *added) == 0
        mounts = {item["destination"]: item for item in json.loads(capsys.readouterr().out)["mounts"]}
        assert (right in mounts["/data"]["options"]) is (right == "rw")
        assert "rnoexec" not in mounts["/data"]["options"]


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ('volumes = ["./mine:/data:ro"]', "no exception lifts a limit"),
        ('volume_options = ["exec"]', "it has the option rw: rootfs.volume_options.* is limited to false"),
        ('volumes = ["./mine:/data:rw"]', ""),
    ],
)
def test_no_right_of_a_volume_is_offered_beyond_a_limit(
    limit: str, says: str, session: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine").mkdir()
    (folder / "app.toml").write_text(
        f'extends = ["default"]\n[limits.rootfs]\n{limit}\n[rootfs]\nvolumes = ["./mine:/data:ro"]\n'
    )
    assert call(session, "explain", "-p", "./app.toml", "rootfs.volumes./data", "--json") == 0
    way = json.loads(capsys.readouterr().out)["loosening"]
    assert (says in way["barrier"], bool(way["options"])) == (True, not says)


@pytest.mark.parametrize(("option", "signal"), [("-9", "KILL"), ("-15", "SIGNAL"), ("-TERM", "SIGNAL")])
def test_a_signal_is_written_with_s(
    option: str, signal: str, session: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session, "kill", option, "some") == 2
    assert f"hint: write `hardening kill -s {signal} NAME`" in capsys.readouterr().err
