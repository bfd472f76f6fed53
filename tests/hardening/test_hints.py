"""`hardening`, `plugins`: what stands in a hint as a command can be pasted: what is put into it is quoted."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from hardening.cli import fetching
from hardening.cli.commands import COMMANDS
from hardening.cli.options.says import parse_exception, parse_set
from hardening.compose.fold import permission
from hardening.errors import HardeningError, UsageError, quoted
from hardening.images import reference
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import Layer
from hardening.profile.source import Document

N = TypeVar("N", ast.JoinedStr, ast.Raise)
ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("hardening/**/*.py"), *ROOT.glob("plugins/**/*.py")])
#: A command that has begun in a text, and not ended.
_OURS = "|".join((*COMMANDS, "secret", "trust", "scan"))
COMMAND = re.compile(
    r"(?:^|[`:;,(] ?|\bor |\bwrite )"
    rf"(?:(?:chmod|chown|rm|mv|mkdir|podman|skopeo|gpg|pass)|hardening (?:{_OURS})) [^`;]*$"
)
#: The value of an option, or the name of an image, to be typed; an option that was typed begins a text.
TYPED = re.compile(
    r"[ `](?:-[a-z]|--[a-z-]+)[ =]'?$|(?:\bwrite |[ `])(?:oci|dir|docker|docker-archive):(?://)?$|\bwrite --rootfs $"
)
QUOTING = {"quoted"}  # and not shlex.quote(), which lets through what cannot be printed
#: What is the program's own, or made of words that are quoted each.
SAFE = {
    "form",
    "asked.pull",
    "_pair(directory, here)",
    "_pair(folder, here)",
    "_MINE",
    "_named(profiles)",
    "_named(composition.stack.named)",
    "_named([*profiles, f'./{_MINE}'])",
    "named",
    "__version__",
}


def nodes(kind: type[N], word: str = "") -> Iterator[tuple[str, N]]:
    """Every node of a kind, with its place, in modules that have a word: parsing all takes seconds."""
    for file in FILES:
        source = file.read_text()
        for node in ast.walk(ast.parse(source)) if word in source else ():
            if isinstance(node, kind):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def test_whoever_reads_of_a_wrong_value_is_told_what_to_write() -> None:
    """`Node.error`: a second argument, which is no nearest word alone, for there may be none."""
    for place, node in nodes(ast.Raise, ".error("):
        made = node.exc
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr == "error":
            hints = [*made.args[1:], *(word.value for word in made.keywords if word.arg == "hint")]
            alone = [isinstance(hint, ast.Call) and getattr(hint.func, "id", "") == "nearest" for hint in hints]
            assert alone == [False], place


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
        if (COMMAND.search(before) or TYPED.search(before)) and name not in QUOTING:
            yield shown
        before += "x"


def test_what_is_put_into_a_command_is_quoted() -> None:
    found = [f"{place}: {shown}" for place, text in nodes(ast.JoinedStr) for shown in unquoted(text)]
    assert [item for item in found if item.rpartition(": ")[2] not in SAFE] == []


@pytest.mark.parametrize(
    "text", ["write oci:{x}", "see `-p {x}`", "write --exception '{x}'", "add -v {x}", "or, oci:{x}"]
)
def test_what_is_to_be_typed_is_seen(text: str) -> None:
    (node,) = (node for node in ast.walk(ast.parse(f"f{text!r}")) if isinstance(node, ast.JoinedStr))
    assert list(unquoted(node)) == ["x"]


def test_nothing_quotes_in_another_way() -> None:
    """shlex.quote() lets a control character through, which drives the terminal on which a hint is read."""
    found = [file.name for file in FILES if "shlex.quote(" in file.read_text()]
    assert found == ["completion.py"]  # which tries a value, and shows none


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


TYPED_NAME = "a';touch PWN;'b;touch PWN;$(touch PWN)"


def pasted(hint: str, folder: Path) -> None:
    """The words from the first option or name on that a hint tells to write, given to a shell in a folder."""
    words = re.search(r"(?:write|name a key:) (.*)", hint)
    assert words is not None
    subprocess.run(["bash", "-c", f"echo {words[1].partition('; ')[0]}"], cwd=folder, check=True)
    assert not (folder / "PWN").exists(), hint


@pytest.mark.parametrize("kind", ["oci-layout", "manifest.json", "root", "archive"])
def test_the_transport_of_what_lies_at_a_path_is_pasted_with_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / TYPED_NAME
    if kind == "archive":
        path.touch(0o644)
    else:
        path.mkdir()
        (path / kind).touch()
    hint = fetching.of_path(f"./{TYPED_NAME}")
    assert hint is not None
    pasted(hint, tmp_path)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_exception, f"{TYPED_NAME}="),
        (parse_set, f'"{TYPED_NAME}"=1'),
        (reference.parse, f"docker:{TYPED_NAME}"),
    ],
)
def test_what_was_typed_is_pasted_as_one_word(read: Callable[[str], object], text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(text)
    pasted(str(refused.value.hint), tmp_path)
