"""The JSON Schema of profiles: it takes what composes, and refuses what is mistyped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hardening.compose.composition import compose
from hardening.report.authoring import schema
from hardening.report.authoring.scaffold import scaffold
from hardening_capabilities import Capabilities
from tests.docs.examples import ROOT, blocks
from tests.support.runs import host_of, installed
from tests.support.texts import TODAY, stack

MECHANISMS = installed().mechanisms
VALIDATOR = jsonschema.Draft7Validator(schema.schema(MECHANISMS))


def problems(text: str) -> list[str]:
    data = json.loads(json.dumps(tomllib.loads(text), default=str))
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def test_it_is_one_and_takes_every_profile_that_is_shipped_or_documented() -> None:
    jsonschema.Draft7Validator.check_schema(VALIDATOR.schema)
    texts = {str(path): path.read_text() for path in (ROOT / "profiles").rglob("*.toml")}
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
    assert re.search(r"^\| `read_only` \| `true` or `false` \| `true` \| Whether the root", text, re.MULTILINE)


def values(text: str) -> dict[str, Any]:
    found = compose(stack(text), MECHANISMS, host_of(None, installed()), TODAY)
    return {str(leaf): entry.value for leaf, entry in found.leaves.items()}


def test_a_new_profile_is_one_and_offers_what_stands_anyway() -> None:
    text = scaffold("orders", [], "me", MECHANISMS)
    assert problems(text) == []
    # Each line of a setting, taken out of its comment, is the default.
    offered = text.partition("# expires")[2].partition("\n")[2]
    tables = re.sub(r"^# (\[\w+\]|[\w.]+ = .*)$", r"\1", offered, flags=re.MULTILINE)
    assert problems(tables) == []
    assert values(tables) == values(text) == values("")


def test_taplo_checks_profiles_by_it(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(VALIDATOR.schema))
    bad = tmp_path / "bad.toml"
    bad.write_text(
        '[rootfs]\npropagation = "privat"\n[[exceptions]]\nsetting = "a.b"\nreason = "r"\nexpires = 2030-12-31\n'
    )
    argv = [str(Path(sys.executable).parent / "taplo"), "check", "--schema", (tmp_path / "schema.json").as_uri()]
    shipped = sorted(str(path) for path in (ROOT / "profiles").rglob("*.toml"))
    assert subprocess.run([*argv, *shipped], capture_output=True, check=False, cwd=tmp_path).returncode == 0
    done = subprocess.run([*argv, str(bad)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert '"privat" is not one of' in done.stderr
    assert "expires" not in done.stderr
