"""`hardening/cli`: what is wrong with what a person types or writes is one message, with its place and a hint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from hardening.launch.container.container_state import identify
from hardening.launch.container.directory import BLANK
from tests.hardening.cli.samples import Outcome, process, profile
from tests.support.features import require

FOLDER = "{folder}"


@attrs.frozen
class Case:
    """``text`` is the profile `bad`; ``place`` is where the message must point at, ``says`` and ``hint`` what it holds."""

    name: str
    text: str | bytes
    place: str
    says: str
    hint: str
    code: int = 2


BAD = "{folder}/bad.toml"
PROFILES = [
    Case("unknown table", "\n[bx]\na = 1\n", f"{BAD}:2", "bx: no plugin owns this table", 'did you mean "box"?'),
    Case("unknown limit table", "[limits.zzz]\na = 1\n", f"{BAD}:1", "no plugin owns this table", "installed"),
    Case("unknown key", "[box]\nclosde = true\n", f"{BAD}:2", "box.closde: unknown key", 'did you mean "closed"?'),
    Case("unknown key in a table", "[box.lid]\nlokc = 1\n", f"{BAD}:2", "box.lid.lokc: unknown key", 'did you mean "lock"?'),
    Case("unknown top-level key", "extend = 'a'\n", f"{BAD}:1", "extend: unknown key", 'did you mean "extends"?'),
    Case("unknown member", '[box]\ncolours = [\n"red",\n"grene"]\n', f"{BAD}:4", 'unknown colour "grene"', 'mean "green"?'),
    Case("unknown choice", '[box]\nlid.lock = "sngle"\n', f"{BAD}:2", '"sngle" is none of', 'did you mean "single"?'),
    Case("unknown list edit", "[box]\ncolours.ad = []\n", f"{BAD}:2", "unknown key", "`add` and `drop`"),
    Case("wrong type", "[box]\nclosed = 'yes'\n", f"{BAD}:2", "a string where true or false is expected", "without quotes"),
    Case("table for a value", "[box]\nsize = {a = 1}\n", f"{BAD}:2", "a table where an integer is expected", "whole number"),
    Case("value for a table", "box = 1\n", f"{BAD}:1", "box: unknown key", "a profile has"),
    Case("out of range", "[box]\nsize = 1001\n", f"{BAD}:2", "1001 is out of range, it must be from 0 to 1000", ""),
    Case("wrong limit", "[limits.box]\nlabel = 'a'\n", f"{BAD}:2", "no order, so it cannot be limited", ""),
    Case("limit exceeded", "[limits.box]\nsize = 3\n[box]\nsize = 4\n", f"{BAD}:4", f"limit 3 set at {BAD}:2", "lifts"),
    Case("loosening", "extends = 'default'\n[box]\nsize = 6\n", f"{BAD}:3", "set at {folder}/default.toml:4", "exceptions"),
    Case("expired exception",
         "[[exceptions]]\nsetting = 'box.size'\nreason = 'x'\nexpires = 2020-01-01\n",
         f"{BAD}:4", "ended on 2020-01-01", "renew the exception"),
    Case("exception for nothing", "[[exceptions]]\nsetting = 'box.sise'\nreason = 'x'\n", f"{BAD}:2", "a setting", "size"),
    Case("exception without reason", "[[exceptions]]\nsetting = 'box.size'\n", f"{BAD}:1", "needs a reason", "write"),
    Case("cycle", "extends = 'bad'\n", f"{BAD}:1", "is circular: bad -> bad", "remove one of them"),
    Case("missing parent", "extends = [\n'default', 'defualt']\n", f"{BAD}:2", 'no such profile: "defualt"', '"default"?'),
    Case("not TOML", "[box]\nsize = = 1\n", f"{BAD}:2", "not TOML", ""),
    Case("byte order mark", "\ufeff[box]\nsize = 1\n", f"{BAD}:1", "begins with a byte order mark", "sed -i '1s/"),
    Case("absurd number", f"[box]\nsize = {'9' * 5000}\n", BAD, "an integer of more than 64 bits", "no setting takes"),
    Case("absurd hexadecimal number", f"[box]\nsize = 0x{'f' * 5000}\n", BAD, "an integer of more than 64 bits", ""),
    Case("twice", "[box]\nsize = 1\nsize = 1\n", f"{BAD}:3", "not TOML", ""),
    Case("not UTF-8", b"[box]\n# \xff\n", f"{BAD}:2", "byte 0xff is not UTF-8", "save the profile as UTF-8"),
    Case("too large", "# " + "x" * (1 << 20), BAD, "larger than", ""),
    Case("too deep", "a = " + "[" * 20 + "]" * 20, f"{BAD}:1", "nested deeper than 16 levels", ""),
    Case("absurdly deep", "a = " + "[" * 100_000 + "]" * 100_000, BAD, "nested deeper than 16 levels", ""),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    profile(tmp_path, "default", 'description = "the default"\n[box]\nclosed = true\nsize = 5\ncolours = ["red"]\n')
    return tmp_path


def require_one_message(done: Outcome, code: int) -> str:
    """The message of a failed command: one, on standard error, with a hint and without a traceback."""
    assert done.code == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    # What is to be added to a profile may have lines of its own.
    errors = done.stderr.partition("\nhint: ")[0].splitlines()
    assert len(errors) == done.stderr.count("error: ") == done.stderr.count("\nhint: ") == 1, done.stderr
    assert errors[0].startswith("error: ")
    assert "\nhint: " in done.stderr
    return done.stderr


@pytest.mark.parametrize("case", PROFILES, ids=lambda case: case.name)
def test_a_bad_profile_is_one_message(case: Case, folder: Path) -> None:
    path = folder / "bad.toml"
    path.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    path.chmod(0o644)
    before = sorted(folder.rglob("*"))
    message = require_one_message(process(folder, "compose", "-p", "bad"), case.code)
    place, says = (text.replace(FOLDER, str(folder)) for text in (case.place, case.says))
    assert re.match(f"error: {re.escape(place)}:", message), message
    assert says in message
    assert case.hint in (message.partition("\nhint: ")[2] or message)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "says", "hint"),
    [
        (["nonsense"], 2, 'unknown command "nonsense"', "the commands are"),
        (["rnu", "--", "a"], 2, 'unknown command "rnu"', 'did you mean "run"?'),
        (["run", "--nonsense"], 2, "no such option: --nonsense", "`hardening run --help`"),
        (["run"], 2, "no command", "hardening run -- id"),
        (["run", "--json", "--", "id"], 2, "--json goes with --dry-run", "--receipt"),
        (["run", "-p"], 2, "requires an argument", "--help"),
        (["run", "-p", "defualt", "--", "id"], 2, 'no such profile: "defualt"', 'did you mean "default"?'),
        (["run", "-p", "./missing.toml", "--", "id"], 2, "missing.toml: cannot read the profile", ""),
        (["run", "-p", "", "--", "id"], 2, 'no such profile: ""', "hardening profile list"),
        (["run", "--runtime", "natve", "--", "id"], 2, 'unknown runtime "natve"', '"native"'),
        (["run", "--runtime", "crun", "--", "id"], 125, "crun is not installed", "hardening doctor"),
        (["run", "--set", "box.size", "--", "id"], 2, "--set box.size: no TABLE.KEY=VALUE", "write"),
        (["run", "--size", "--", "id"], 2, "--size needs a value", "write --size NUMBER, and then `--`"),
        (["run", "--set", "closed=true", "--", "id"], 2, "closed is a whole table", "did you mean box.closed?"),
        (["explain", "lock"], 2, 'there is no table "lock"', "did you mean box.lid.lock?"),
        (["explain", "open"], 2, 'there is no table "open"', "did you mean box.closed?"),
        (["help", "run"], 2, 'unknown command "help"', "`hardening --help`"),
        (["version"], 2, 'unknown command "version"', "`hardening --version`"),
        (["explain", "RED"], 2, 'there is no table "RED"', "did you mean box.colours.red?"),
        (["run", "--set", "box.sise=1", "--", "id"], 2, "--set box.sise=1: box.sise: unknown key", '"size"'),
        (["run", "--set", "bx.size=1", "--", "id"], 2, "no plugin owns this table", '"box"'),
        (["run", "--set", "box.closed=false", "--", "id"], 2, "false is looser than true, set at", "--exception"),
        (["run", "--open", "--", "id"], 2, "--open: box.closed: false is looser than true", "--exception"),
        (["run", "--size", "x", "--", "id"], 2, "--size x: box.size: a string where an integer", "whole number"),
        (["run", "--size", "9" * 5000, "--", "id"], 2, "a string where an integer", "whole number"),
        (["run", "--set", "box.size=" + "9" * 5000, "--", "id"], 2, "an integer of more than 64 bits", "smaller number"),
        (["run", "--set", "box.size=0x" + "f" * 5000, "--", "id"], 2, "an integer of more than 64 bits", "smaller number"),
        (["run", "--size", "1", "--size", "2", "--", "id"], 2, "already set by --size 1", "once"),
        (["run", "--exception", "box.size", "--", "id"], 2, "--exception box.size: no SETTING=REASON", "box.size=REASON"),
        (["run", "--exception", "box.sise=x", "--", "id"], 2, '--exception box.sise=x: the exception names "box.sise"', ""),
        (["run", "-e", "A", "--", "id"], 2, "-e A: box.env.add[0]: no NAME=VALUE", "write NAME=VALUE"),
        (["run", "--receipt", "missing/r.json", "--", "id"], 2, "missing/r.json: the folder of the receipt", "name a file"),
        (["run", "-d", "--debug", "--", "id"], 2, "nobody sees the operations of a detached launch", "leave out -d"),
        (["run", "--receipt", ".", "--", "id"], 2, ".: a receipt is a file", "name a file"),
        (["compose", "--format", "xml"], 2, "invalid value for '--format'", "--help"),
        (["compose", "--format", "toml", "--json"], 2, "--json does not go with", "settings"),
        (["compose", "--format", "toml", "-o", "b"], 2, "-o does not go with", ""),
        (["compose", "-o", "."], 125, "cannot write the bundle", "choose a directory"),
        (["compose", "-o", "/proc/b"], 125, "/proc/b: cannot write the bundle", "choose a directory"),
        (["launch", "missing"], 2, "missing: no such bundle", "hardening compose -o"),
        (["launch", "default.toml"], 2, "default.toml: a bundle is a directory", ""),
        (["launch", "."], 125, "holds no config.json", "hardening compose -o"),
        (["explain", "bx"], 2, 'bx: there is no table "bx"', 'did you mean "box"?'),
        (["explain", "box.sise"], 2, 'no setting "sise" in box', 'did you mean "size"?'),
        (["explain", "box.colours.grene"], 2, 'unknown colour "grene"', 'did you mean "green"?'),
        (["apply", "missing.json"], 2, "missing.json: cannot read the configuration", ""),
        (["apply", "default.toml"], 2, "default.toml: not a JSON configuration", ""),
        (["apply", "default.toml", "--check", "--in-place"], 2, "exclude each other", "choose one"),
        (["apply", "default.toml", "--json"], 2, "--json shows the report", "--check"),
        (["report", "-o", "missing/r.html"], 2, "missing/r.html: cannot write it", "name a file"),
        (["report", "-o", "."], 2, ".: cannot write it", "name a file"),
        (["report", "-p", "defualt"], 2, 'no such profile: "defualt"', 'did you mean "default"?'),
        (["receipt", "missing.json"], 2, "missing.json: cannot read the receipt", ""),
        (["receipt", "default.toml"], 2, "default.toml: not a receipt", ""),
        (["profile", "show", "defualt"], 2, 'no such profile: "defualt"', 'did you mean "default"?'),
        (["profile", "nonsense"], 2, "no such command 'nonsense'", "`hardening profile --help`"),
        (["completion", "csh"], 2, "'csh' is not one of", "--help"),
    ],
)  # fmt: skip
def test_a_bad_command_line_is_one_message(arguments: list[str], code: int, says: str, hint: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    message = require_one_message(process(folder, *arguments), code)
    assert says in message
    assert hint in (message.partition("\nhint: ")[2] or message)
    # A refused launch leaves its record, and nothing else.
    records = {folder / "state", folder / "state/records", folder / "state/records/records.jsonl"}
    assert sorted(set(folder.rglob("*")) - records) == before


def test_an_argument_that_is_not_utf8(folder: Path) -> None:
    word = os.fsdecode(b"\xff")
    assert "is not UTF-8" in require_one_message(process(folder, "run", "--", word), 2)
    program = Path(sys.executable).with_name("hardening")
    env = {**os.environ, "HARDENING_STATE": str(folder)}
    typed = subprocess.run([program, "run", "--", word], capture_output=True, text=True, check=False, env=env)
    assert "is not UTF-8" in require_one_message(Outcome(typed.returncode, typed.stdout, typed.stderr), 2)


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o644)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.chmod(0o666), "can be written by others than its owner"),
        (lambda path: path.parent.chmod(0o777), "can be written by others than its owner (mode 0777)"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
        (make_fifo, "not a regular file"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "cannot read the profile"),
        (lambda path: path.unlink(), 'no such profile: "default"'),
    ],
)
def test_an_unusable_file_is_one_message(damage: Callable[[Path], object], says: str, folder: Path) -> None:
    damage(folder / "default.toml")
    assert says in require_one_message(process(folder, "compose"), 2)


def test_several_problems_are_shown_together(folder: Path) -> None:
    profile(folder, "bad", "[bx]\na = 1\n[bxx]\na = 1\n")
    done = process(folder, "compose", "-p", "bad")
    assert done.code == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        f"{folder}/bad.toml:1",
        f"{folder}/bad.toml:3",
    ]


def test_what_the_host_cannot_enforce_stops_a_required_launch(folder: Path) -> None:
    message = require_one_message(process(folder, "run", "--", "id", broken=True), 125)
    assert "box.closed cannot be enforced here: the hinge is broken\nhint: buy a hinge" in message
    assert not [path for path in folder.glob("state/*/*") if path.name not in ("lock", "records.jsonl")]


def test_what_could_be_enforced_beside_the_default_profile_is_told_so(folder: Path) -> None:
    profile(folder, "default", '[box]\nrequirement = "best-effort"\n')
    profile(folder, "mine", "")
    message = require_one_message(process(folder, "run", "-p", "mine", "--", "id", broken=True), 125)
    beside = "where -p names a profile, default has to be named, too: -p default -p mine"
    assert message.endswith(f'hint: {beside}; or buy a hinge, or set requirement = "best-effort" in [box]\n')
    profile(folder, "default", "")
    message = require_one_message(process(folder, "run", "-p", "mine", "--", "id", broken=True), 125)
    assert "has to be named" not in message


def test_a_state_directory_that_cannot_be_used(folder: Path) -> None:
    message = require_one_message(process(folder, "run", "--", "id", HARDENING_STATE="/proc/hardening"), 125)
    assert "/proc/hardening: cannot use the state directory" in message
    assert "hint: set HARDENING_STATE" in message


OF_STATE = [
    ("run", "--", "id"), ("ps",), ("ps", "-aq"), ("logs", "theirs"), ("stop", "theirs"), ("kill", "theirs"),
    ("wait", "theirs"), ("rm", "theirs"), ("rm", "-f", "theirs"), ("cache", "list"), ("cache", "clear"), ("prune",),
]  # fmt: skip


@pytest.mark.parametrize("words", OF_STATE, ids=" ".join)
def test_a_state_directory_of_another_user(words: tuple[str, ...], folder: Path) -> None:
    require("root")
    state = folder / "theirs"
    with subprocess.Popen(["sleep", "600"]) as victim:
        try:
            their_state(state, victim.pid, folder / "precious")
            before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
            done = process(folder, *words, HARDENING_STATE=str(state))
            message = require_one_message(done, 125)
            assert f"{state}: cannot use the state directory: it is not a directory of uid 0" in message
            assert "hint: set HARDENING_STATE to a directory of your own" in message
            assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
            assert victim.poll() is None
        finally:
            victim.kill()


def their_state(state: Path, victim: int, precious: Path) -> None:
    """What somebody else lays out: a container that is this process, and a plan and a bundle that name a file as theirs."""
    precious.touch()
    document = {"annotations": {"org.hardening.leases": json.dumps([str(precious)])}}
    for bundle in (state / "cache/key/entry/bundle", state / "launches/one/bundle"):
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(document))
    (state / "cache/key/entry/entry.json").touch()
    container = state / "launches/one"
    found = identify(victim)
    description: dict[str, object] = {
        "id": "one",
        "name": "theirs",
        "command": ["x"],
        "profiles": "",
        "runtime": "native",
    }
    description |= {"detached": True, "auto_remove": True, "created": 0, "launcher": found, "process": found}
    (container / "container.json").write_text(json.dumps(description))
    (container / "exit").write_bytes(BLANK)
    for path in (state, *state.rglob("*")):
        os.chown(path, 48000, 48000, follow_symlinks=False)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (make_fifo, "config.json: is not a regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "config.json: is not a regular file"),
        (lambda path: os.truncate(path, 1 << 40), "config.json: is larger than"),
        (lambda path: path.write_text("[]"), "config.json: a configuration is a JSON object"),
        (lambda path: path.write_text('{"a": 1, "a": 2}'), "the key 'a' is given twice"),
        (lambda path: path.write_text("[" * 100_000), "config.json: nested too deep"),
        (lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"), "config.json: not JSON"),
        (lambda path: path.chmod(0o666), "config.json: can be written by others"),
        (lambda path: path.parent.chmod(0o777), "b: can be written by others"),
        (lambda path: (path.rename(path.with_name("c")), path.symlink_to("c")), "config.json: cannot be opened"),
    ],
)
def test_a_bundle_that_is_not_safe_to_read(damage: Callable[[Path], object], says: str, folder: Path) -> None:
    bundle = folder / "b"
    bundle.mkdir()
    (bundle / "config.json").write_text('{"process": {"args": ["id"]}}')
    damage(bundle / "config.json")
    assert says in require_one_message(process(folder, "launch", "b"), 125)


@pytest.mark.parametrize("name", [".", "config.json"])
def test_a_bundle_of_another_user(name: str, folder: Path) -> None:
    require("root")
    bundle = folder / "b"
    bundle.mkdir()
    (bundle / "config.json").write_text('{"process": {"args": ["id"]}}')
    os.chown(bundle / name, 48000, 48000)
    message = require_one_message(process(folder, "launch", "b"), 125)
    assert "belongs to another user (uid 48000)" in message


def test_a_runtime_that_refuses_a_field_names_its_pointer(folder: Path) -> None:
    bundle = folder / "b"
    bundle.mkdir()
    (bundle / "config.json").write_text('{"process": {"args": ["id"]}, "linux": {"oddity": 1}}')
    message = require_one_message(process(folder, "launch", "b"), 2)
    assert "error: config.json:/linux/oddity: it is not known (native)\nhint: remove it" in message
