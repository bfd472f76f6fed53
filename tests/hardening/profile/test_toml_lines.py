"""The scanner knows the line of every key and element that tomllib knows, and no others."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from hardening.profile.toml_lines import Path as KeyPath
from hardening.profile.toml_lines import key_lines


def paths(value: object, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """Every path of keys and indexes that a parsed document has."""
    members: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    for key, item in members:
        yield (*prefix, key)
        yield from paths(item, (*prefix, key))


# --- generated texts --------------------------------------------------------------------------------------------------
# A text is generated together with the value it stands for, line breaks and odd spelling included; tomllib confirms it.

ODD = st.text(st.sampled_from("ab \"'\\\t#=[]{}.,é\U0001f512"), max_size=6)
BARE = st.text(st.sampled_from("abcXYZ019_-"), min_size=1, max_size=4)
GAP = st.sampled_from(["", " ", "\t", "  "])
#: White space inside arrays and between statements, where TOML permits newlines and comments.
BREAK = st.sampled_from(["", " ", "\n", ' # a ] comment = { "\n', "\r\n", "\n\n\t"])


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "é": "\\u00e9", "\U0001f512": "\\U0001f512"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


@st.composite
def key_spelling(draw: st.DrawFn, key: str) -> str:
    forms = [basic(key)]
    if key and all(char.isascii() and (char.isalnum() or char in "_-") for char in key):
        forms.append(key)
    if "'" not in key and "\n" not in key:
        forms.append(f"'{key}'")
    return draw(st.sampled_from(forms))


@st.composite
def string(draw: st.DrawFn) -> str:
    text = draw(ODD)
    forms = [basic(text)]
    if "'" not in text:
        forms += [f"'{text}'", f"'''\n{text}\nand more'''"]
    # A multi-line string may end in quotes of its own, and hold line ends, escaped ones too.
    forms += ['"""\n' + basic(text)[1:-1] + '\\\n   "x" \n=[{"""', '"""two quotes"""""', "'''one quote''''", '""""x"""']
    return draw(st.sampled_from(forms))


SIMPLE = st.one_of(
    string(),
    st.sampled_from(["1", "+0x1F", "1e3", "-inf", "true", "false", "1979-05-27", "1979-05-27 07:32:00Z", "07:32:00"]),
)


@st.composite
def array(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    text = "["
    items = draw(st.lists(values, max_size=3))
    for number, item in enumerate(items):
        last = number == len(items) - 1
        text += draw(BREAK) + item + draw(BREAK) + ("" if last and draw(st.booleans()) else ",")
    return text + draw(BREAK) + "]"


@st.composite
def inline(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    keys = draw(st.lists(st.one_of(BARE, ODD), max_size=3, unique=True))
    pairs = []
    for key in keys:
        spelled = draw(key_spelling(key))
        if draw(st.booleans()):
            spelled += draw(GAP) + "." + draw(GAP) + draw(key_spelling("sub"))
        pairs.append(draw(GAP) + spelled + draw(GAP) + "=" + draw(GAP) + draw(values) + draw(GAP))
    return "{" + ",".join(pairs) + "}"


VALUE = st.recursive(SIMPLE, lambda inner: st.one_of(array(inner), inline(inner)), max_leaves=6)


@st.composite
def statements(draw: st.DrawFn) -> str:
    text = draw(BREAK)
    for _ in range(draw(st.integers(0, 3))):
        keys = draw(st.lists(st.one_of(BARE, ODD), min_size=1, max_size=3))
        dotted = (draw(GAP) + "." + draw(GAP)).join([draw(key_spelling(key)) for key in keys])
        comment = draw(st.sampled_from(["", " # = [", "\t#"]))
        text += f"{draw(GAP)}{dotted}{draw(GAP)}={draw(GAP)}{draw(VALUE)}{comment}\n{draw(BREAK)}"
    return text


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = draw(statements())
    for _ in range(draw(st.integers(0, 4))):
        keys = draw(st.lists(st.sampled_from(["a", "b", "c d", 'q"', ""]), min_size=1, max_size=3))
        name = (draw(GAP) + "." + draw(GAP)).join([draw(key_spelling(key)) for key in keys])
        gap, array_of_tables = draw(GAP), draw(st.booleans())
        text += f"[[{gap}{name}{gap}]]" if array_of_tables else f"[{gap}{name}{gap}]"
        text += draw(st.sampled_from(["\n", " # ]\n", "\r\n"])) + draw(statements())
    return text


def _valid(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def check(text: str) -> None:
    """The same paths as tomllib; each key's line holds the key's text, each element's line comes after its array's."""
    lines = key_lines(text)
    assert set(lines) == set(paths(tomllib.loads(text)))
    source = text.replace("\r\n", "\n").split("\n")
    for path, number in lines.items():
        line = source[number - 1]
        last = path[-1]
        if isinstance(last, str):
            spelled = {last, basic(last)[1:-1], last.encode("unicode_escape").decode()}
            assert any(form in line for form in spelled), (path, number, line)
        assert not path[:-1] or lines[path[:-1]] <= number


@given(documents().filter(_valid))
def test_knows_every_key_of_odd_spelling(text: str) -> None:
    check(text)


PLAIN = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), PLAIN, max_size=6), st.booleans())
def test_knows_every_key_that_a_writer_writes(data: dict[str, object], multiline: bool) -> None:
    text = tomli_w.dumps(data, multiline_strings=multiline)
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


# --- chosen texts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\n\nb = 2\n", ("b",), 3),
        ("[t]\nx = 1\n", ("t",), 1),
        ("[t]\nx = 1\n", ("t", "x"), 2),
        ("[a.b.c]\n", ("a", "b"), 1),
        ("[a.b]\n\n[a]\nx = 1\n", ("a", "x"), 4),
        ("a.b.c = 1\n", ("a", "b", "c"), 1),
        ("x = [\n  1,\n  # two\n  2,\n]\n", ("x", 1), 4),
        ("x = [{a = 1},\n {a = 2}]\n", ("x", 1, "a"), 2),
        ("[[e]]\ns = 1\n[[e]]\ns = 2\n", ("e", 1), 3),
        ("[[e]]\ns = 1\n[[e]]\ns = 2\n", ("e", 1, "s"), 4),
        ("[[e]]\n[e.sub]\nk = 1\n[[e]]\n[e.sub]\nk = 2\n", ("e", 1, "sub", "k"), 6),
        ("[[e]]\n[[e.f]]\n[[e.f]]\n[[e]]\n[[e.f]]\nk = 1\n", ("e", 1, "f", 0, "k"), 6),
        ('s = """\nb = 1\n"""\nc = 2\n', ("c",), 4),
        ("s = '''\n[t]\n'''\nc = 2\n", ("c",), 4),
        ('"a.b" = 1\n"c\\u0064" = 2\n', ("cd",), 2),
        ("x = 1 # y = 2\nz = 3\n", ("z",), 2),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
        ('s = """a""""\nb = 1\n', ("b",), 2),
        ('s = "\\\\"\nb = 1\n', ("b",), 2),
    ],
)
def test_line_of(text: str, path: KeyPath, line: int) -> None:
    assert key_lines(text)[path] == line


def test_a_key_inside_a_string_is_none() -> None:
    assert set(key_lines('s = "[t]\\nb = 1"\n')) == {("s",)}


def test_an_array_of_tables_stands_where_its_first_element_does() -> None:
    assert key_lines("\n[[e]]\n\n[[e]]\n")[("e",)] == 2


def test_shipped_profiles_are_known_key_by_key() -> None:
    profiles = sorted(Path(__file__).parents[3].glob("profiles/*/*.toml"))
    assert profiles
    for profile in profiles:
        check(profile.read_text())
