"""The canonical layout: what it does to a text, that it says the same, and that it is one already."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.profile.layout import formatted
from hardening.profile.source import parse_toml
from tests.support.users import REPOSITORY

UNTIDY = '''# of the file


description="a"   # what
extends = [ "b",\t
  # why
  "c",   ]
# of rootfs
[ rootfs ]\r
read_only   =true
tmpfs . add = ["/a"]\t

[rootfs."volumes"]
# [not a table]
add = """
[x]
   = y  ""\t
"""
[[ exceptions ]]
setting='rootfs.read_only'
reason = "[ # no comment"


'''
TIDY = '''# of the file

description = "a"   # what
extends = [ "b",
  # why
  "c",   ]

# of rootfs
[rootfs]
read_only = true
tmpfs.add = ["/a"]

[rootfs."volumes"]
# [not a table]
add = """
[x]
   = y  ""\t
"""

[[exceptions]]
setting = 'rootfs.read_only'
reason = "[ # no comment"
'''
LINES = (
    "[a]", "[[b]]", "[a.c ]", " x=1", 'y = "#["', "z=[1,", "2]", "# c", "", "w={a=1}", "t='''", "'''", "\t",
    "[[b.d]] # e", "q.r = 1",
)  # fmt: skip


def test_spaces_and_blank_lines_are_one_way_and_the_rest_stays() -> None:
    assert formatted(UNTIDY) == TIDY
    assert formatted("") == formatted("\n\n") == ""
    assert formatted("a=1") == "a = 1\n"


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_it_says_the_same_and_is_the_same_if_it_is_done_again(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        data = parse_toml(text)
    except ValueError:
        return
    once = formatted(text)
    assert parse_toml(once) == data
    assert formatted(once) == once


@pytest.mark.parametrize("folder", ["profiles/hardening_profiles"])
def test_shipped_profiles_are_in_it(folder: str) -> None:
    for path in sorted(Path(REPOSITORY, folder).glob("*.toml")):
        assert formatted(path.read_text()) == path.read_text(), path.name
