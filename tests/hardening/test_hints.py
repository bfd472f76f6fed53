"""What stands in a hint as a command can be pasted as it stands: whatever is put into it is quoted for the shell."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.cli.root import COMMANDS
from hardening.errors import HardeningError, quoted
from hardening.fold import permission
from hardening.layers import Layer
from hardening.schema import Leaf
from hardening.source import Document

ROOT = Path(__file__).parents[2]
#: A command that has begun in a text, and not ended.
_OURS = "|".join((*COMMANDS, "secret", "trust", "scan"))
COMMAND = re.compile(
    r"(?:^|[`:;,(] ?|\bor |\bwrite )"
    rf"(?:(?:chmod|chown|rm|mv|mkdir|podman|skopeo|gpg|pass)|hardening (?:{_OURS})) [^`;]*$"
)
QUOTING = {"quoted"}  # and not shlex.quote(), which lets through what cannot be printed
#: What is the program's own, or made of words that are quoted each.
SAFE = {"_MINE", "_named(profiles)", "_named([*profiles, f'./{_MINE}'])", "named", "__version__"}


def texts() -> Iterator[tuple[str, ast.JoinedStr]]:
    """Every f-string, with its place."""
    for file in sorted([*ROOT.glob("hardening/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def unquoted(text: ast.JoinedStr) -> Iterator[str]:
    """What is put into a command in a text, and not quoted."""
    before = ""
    for part in text.values:
        if isinstance(part, ast.Constant):
            before += str(part.value)
            continue
        assert isinstance(part, ast.FormattedValue)
        shown = ast.unparse(part.value)
        call = part.value.func if isinstance(part.value, ast.Call) else None
        name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        if COMMAND.search(before) and name not in QUOTING:
            yield shown
        before += "x"


def test_what_is_put_into_a_command_is_quoted() -> None:
    found = [f"{place}: {shown}" for place, text in texts() for shown in unquoted(text)]
    assert [item for item in found if item.rpartition(": ")[2] not in SAFE] == []


def test_nothing_quotes_in_another_way() -> None:
    """shlex.quote() lets a control character through, which drives the terminal on which a hint is read."""
    found = [file.name for file in [*ROOT.glob("hardening/**/*.py"), *ROOT.glob("plugins/**/*.py")]
             if "shlex.quote(" in file.read_text()]  # fmt: skip
    assert sorted(set(found)) == ["audit_text.py", "completion.py"]  # a remark, and what is no hint


@pytest.mark.parametrize("name", ["a\x7fb", "a\nb", '"', "\\", "é", "\x1b[31m"], ids=ascii)
def test_an_exception_to_paste_names_the_setting(name: str) -> None:
    document = Document("app", Path("/app.toml"), {}, {})
    layer = Layer("app", document, "", (), {}, {}, ())
    text = permission(Leaf("rootfs", "volumes", f"/{name}"), layer)
    (found,) = tomllib.loads(text.partition("\n")[2])["exceptions"]
    assert found["setting"] == f"rootfs.volumes./{name}"


def test_the_test_sees_what_is_not() -> None:
    (tree,) = [node for node in ast.walk(ast.parse('f"chmod go-w {path}"')) if isinstance(node, ast.JoinedStr)]
    assert list(unquoted(tree)) == ["path"]


NAMES = [
    "a b",
    "a;touch PWN;.toml",
    "$(touch PWN)",
    "`touch PWN`",
    "'",
    '"',
    "a\nb",
    "\x1b[31m",
    "é",
    "-x",
    "*",
    "\udcff",
    "\\",
    "a'\nb\\",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_quoted_name_is_one_word_with_which_nothing_runs(name: str, tmp_path: Path) -> None:
    script = f"printf %s {quoted(name)}"
    done = subprocess.run(
        ["bash", "-c", script.encode("utf-8", "surrogateescape")], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout == name.encode("utf-8", "surrogateescape")
    assert quoted(name).isprintable()
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_line_feed_begins_no_line_of_an_error() -> None:
    assert str(HardeningError("no a\nerror: b", origin="c\nd", hint="x")).splitlines() == [
        "c\\nd: no a\\nerror: b",
        "hint: x",
    ]
