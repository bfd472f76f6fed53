"""The JSON Schema of profiles: it takes what composes, and refuses what is mistyped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest

from hardening.assertions import testfile
from hardening.cli.session import Request, Session
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.kinds import Flag
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import scalar
from hardening.profile import machine
from hardening.profile.layers import TEST_SUFFIX
from hardening.report.authoring import schema
from hardening.report.authoring.scaffold import scaffold
from hardening_capabilities import Capabilities
from tests.docs.examples import ROOT, blocks
from tests.support.features import require
from tests.support.runs import installed

MECHANISMS = installed().mechanisms
VALIDATOR = jsonschema.Draft7Validator(schema.schema(MECHANISMS))


def problems(text: str) -> list[str]:
    data = json.loads(json.dumps(tomllib.loads(text), default=str))
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def test_it_is_one_and_takes_every_profile_that_is_shipped_or_documented() -> None:
    jsonschema.Draft7Validator.check_schema(VALIDATOR.schema)
    shipped = {str(path): path.read_text() for path in (ROOT / "profiles").rglob("*.toml")}
    texts = {path: text for path, text in shipped.items() if not path.endswith(TEST_SUFFIX)}
    tests = jsonschema.Draft7Validator(schema.tests())
    assert all(tests.is_valid(tomllib.loads(text)) for path, text in shipped.items() if path not in texts)
    for page in ROOT.glob("docs/**/*.md"):
        texts |= {
            block.place: block.text for block in blocks(page) if block.language == "toml" and "profile" in block.marks
        }
    assert len(texts) > 20
    texts["all keys"] = (
        '[[exceptions]]\nsetting = "a.b"\nreason = "r"\nowner = "o"\nticket = "t"\nexpires = 2030-12-31\n'
    )
    assert {place: found for place, text in texts.items() if (found := problems(text))} == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("descripton = 'x'", "$: Additional properties"),
        ("[rootfs]\nread_onyl = true", "$.rootfs: Additional properties"),
        ("[rootfs]\nread_only = 'yes'", "$.rootfs.read_only: 'yes' is not of type 'boolean'"),
        ("[rootfs]\npropagation = 'privat'", "$.rootfs.propagation: 'privat' is not one of"),
        ("[limits.process]\numaks = '077'", "$.limits.process: Additional properties"),
        ("[process.rlimits]\nnofile = true", "$.process.rlimits.nofile: True is not of type"),
        ("[[exceptions]]\nsetting = 'rootfs.read_only'", "$.exceptions[0]: 'reason' is a required property"),
        ("[[profile.controls]]\nframwork = 'x'", "$.profile.controls[0]: Additional properties"),
    ],
)
def test_it_refuses_what_is_mistyped(text: str, says: str) -> None:
    assert any(problem.startswith(says) for problem in problems(text)), problems(text)


TESTED = """
profiles = ["strict", "./x.toml"]
[[test]]
name = "a"
allows = ["read /etc/hosts", { what = "bind 8080" }]
denies = ["mount", { what = "write /etc", by = "rootfs" }]
runs = [{ command = ["true"], exit = 255, prints = "x" }]
[[untested]]
setting = "process.rlimits"
reason = "sizes"
"""
MACHINE = f"default = ['a']\nprofiles = {{ require_signed_by = ['a.gpg', '{'0A' * 20}'], keyring = 'b.gpg' }}\n"
#: What each schema refuses, as the reader of the file does.
MISTYPED = {
    TESTED: ("exit = 255|exit = 256", "by = |with = ", "name = |named = ", "[[test]]|[[tests]]",
             'command = ["true"]|command = []', 'reason = "sizes"|', "{ what =|{ that =", '["strict", "./x.toml"]|[]'),
    MACHINE: ("default|defaults", "['a']|[]", "keyring|key", "require_signed_by|require_signed"),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTYPED, ids=["test", "machine"])
def test_the_schemas_of_other_files_take_what_their_readers_take(text: str, tmp_path: Path) -> None:
    if text == MACHINE:
        require("root")
    found = schema.tests() if text == TESTED else schema.machine()
    jsonschema.Draft7Validator.check_schema(found)
    validator = jsonschema.Draft7Validator(found)
    # Each key that a reader has, and no other.
    keys = {key for item in (found, *_tables(found)) for key in item.get("properties", {})}
    assert keys == set(re.findall(r"(\w+)(?= =|\]\])", text))
    file = tmp_path / "x.test.toml"
    tmp_path.chmod(0o755)
    for wrong in ("", *MISTYPED[text]):
        right, _, mistyped = wrong.partition("|")
        written = text.replace(right, mistyped, 1) if wrong else text
        file.write_text(written)
        file.chmod(0o644)
        with nullcontext() if not wrong else pytest.raises(HardeningError):
            testfile.read(str(file)) if text == TESTED else machine.configured(file, tmp_path / "none")
        assert validator.is_valid(tomllib.loads(written)) is not bool(wrong), wrong


def _tables(item: object) -> Iterator[dict[str, Any]]:
    below = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    for one in below:
        yield from _tables(one)
        if isinstance(one, dict) and one.get("type") == "object":
            yield one


def test_a_table_that_its_mechanism_reads_itself_is_open_until_it_says_how() -> None:
    opened: dict[str, Any] = schema.table(type("Open", (Capabilities,), {"forms": lambda _: None})())
    assert "additionalProperties" not in opened
    assert opened["properties"]["requirement"]["enum"] == ["required", "best-effort"]
    found: dict[str, Any] = schema.table(type("Closed", (Capabilities,), {"forms": lambda _: {"mine": {}}})())
    assert (found["additionalProperties"], found["properties"]["mine"]) == (False, {})


def test_every_setting_is_listed() -> None:
    listed = {(row["table"], row["setting"]) for row in schema.settings(MECHANISMS)}
    assert listed == {(item.name, name) for item in MECHANISMS for name in item.schema.settings}
    text = "\n".join(schema.markdown(MECHANISMS))
    kept = attrs.make_class("S", {"x": scalar(Flag(strict=True), True, "One | the\nother.")}, frozen=True)
    of_others = type("Others", (Mechanism,), {"name": "others", "summary": "", "settings_type": kept})()
    assert "| One \\| the other. |" in "\n".join(schema.markdown([of_others]))
    assert re.search(r"^\| `read_only` \| `true` or `false` \| `true` \| Whether the root", text, re.MULTILINE)


def values(found: Composition) -> dict[str, Any]:
    return {str(leaf): entry.value for leaf, entry in found.leaves.items()}


@pytest.mark.parametrize("extends", [(), ("web",), ("agent",)], ids=" ".join)
def test_a_new_profile_offers_what_holds_by_what_it_extends(extends: tuple[str, ...], tmp_path: Path) -> None:
    here = Session(installed())
    base = here.compose(Request(extends))
    text = scaffold("orders", extends, "me", base)
    # Each line of a setting, taken out of its comment, says what holds anyway.
    header, offered = text.split("# Below", 1)
    taken = header + re.sub(r"^# (\[\w+\]|[\w.\"/]+ = .*)$", r"\1", f"# Below{offered}", flags=re.MULTILINE)
    profile = tmp_path / "orders.toml"
    for written in (text, taken):
        assert problems(written) == []
        profile.write_text(written)
        profile.chmod(0o644)
        assert values(here.compose(Request((str(profile),)))) == values(base)
    # What no layer says yet has an example that is read, and nothing ends in the middle of a line's `name`.
    shown = tomllib.loads(re.sub(r"^#(?: (?=\[\w+\]$)|   such as: )", "", f"# Below{offered}", flags=re.MULTILINE))
    assert {"volume_sources", "hidden_paths"} <= {*shown["rootfs"]}
    assert all(shown[name] for name in ("secrets", "trust"))
    assert "groups" in shown["process"]
    assert "#   Other keys: default, profile, allow, deny," in text
    assert all(line.count("`") % 2 == 0 and len(line) <= 100 for line in text.splitlines())
    said = {
        (): '# umask = "077"\n',
        ("web",): '# umask = "027"  # web.toml:25 (shipped)\n',
        ("agent",): '# cwd = "{cwd}"  # agent.toml:27 (shipped)\n',
    }
    assert said[extends] in text
    assert len(tomllib.loads(taken)) > len(tomllib.loads(text)) + 8


def test_taplo_checks_profiles_by_it(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(VALIDATOR.schema))
    bad = tmp_path / "bad.toml"
    bad.write_text(
        '[rootfs]\npropagation = "privat"\n[[exceptions]]\nsetting = "a.b"\nreason = "r"\nexpires = 2030-12-31\n'
    )
    argv = [str(Path(sys.executable).parent / "taplo"), "check", "--schema", (tmp_path / "schema.json").as_uri()]
    shipped = [str(path) for path in (ROOT / "profiles").rglob("*.toml") if not path.name.endswith(TEST_SUFFIX)]
    assert subprocess.run([*argv, *shipped], capture_output=True, check=False, cwd=tmp_path).returncode == 0
    done = subprocess.run([*argv, str(bad)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert '"privat" is not one of' in done.stderr
    assert "expires" not in done.stderr
