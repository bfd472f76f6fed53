"""Files of assertions: which are meant, what they say, and what is wrong with them at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.assertions.testfile import Expected, files, read
from hardening.errors import Problems, ProfileError

GOOD = """profiles = ["./web.toml", "org"]
[[test]]
name = "serves"
allows = ["bind :80"]
denies = ["mount", { what = "write /etc", by = "rootfs" }]
runs = [{ command = ["true"] }, { command = ["false"], exit = 1, prints = "x" }]
"""


def written(folder: Path, text: str) -> str:
    path = folder / "web.test.toml"
    path.write_text(text)
    return str(path)


def test_all_that_a_file_says_is_read(tmp_path: Path) -> None:
    found = read(written(tmp_path, GOOD))
    assert found.profiles == (str(tmp_path / "web.toml"), "org")
    (case,) = found.cases
    assert [(item.expected, item.asked, item.by) for item in case.assertions] == [
        (Expected.ALLOWS, "bind :80", ""),
        (Expected.DENIES, "mount", ""),
        (Expected.DENIES, "write /etc", "rootfs"),
    ]
    assert [(item.command, item.exit, item.prints) for item in case.commands] == [
        (("true",), 0, ""),
        (("false",), 1, "x"),
    ]
    assert str(case.assertions[0].origin).endswith("web.test.toml:4")


def test_without_profiles_it_is_about_the_one_beside_it(tmp_path: Path) -> None:
    assert read(written(tmp_path, '[[test]]\nname = "x"\ndenies = ["mount"]\n')).profiles == (
        str(tmp_path / "web.toml"),
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "no assertions"),
        ('[[test]]\ndenies = ["mount"]\n', 1, "without a name"),
        ('[[test]]\nname = "x"\n', 1, "asserts nothing"),
        ('[[test]]\nname = "x"\ndeny = ["mount"]\n', 3, "unknown key"),
        ('[[tests]]\nname = "x"\n', 1, "unknown key"),
        (
            '[[test]]\nname = "x"\nallows = [{ what = "mount", by = "seccomp" }]\n',
            3,
            "nothing denies what is permitted",
        ),
        ('[[test]]\nname = "x"\ndenies = [{ by = "seccomp" }]\n', 3, "no operation"),
        ('[[test]]\nname = "x"\ndenies = "mount"\n', 3, "where an array is expected"),
        ('[[test]]\nname = "x"\nruns = [{ exit = 1 }]\n', 3, "no command"),
        ('[[test]]\nname = "x"\nruns = [{ command = ["a"], exit = 256 }]\n', 3, "out of range"),
        (
            '[[test]]\nname = "x"\ndenies = ["mount"]\n[[test]]\nname = "x"\ndenies = ["bpf"]\n',
            4,
            "the name of another test",
        ),
        ('[[test]]\nname = " "\ndenies = ["mount"]\n', 2, "without a name"),
        ('[[test]]\nname = "x"\nallows = []\n', 1, "asserts nothing"),
        ('profiles = []\n[[test]]\nname = "x"\ndenies = ["mount"]\n', 1, "no profile"),
        ('[[test]]\nname = "x"\nruns = ["true"]\n', 3, "no command"),
        ("[test]\nname = 1\n", 1, "where an array is expected"),
        (GOOD + '[[untested]]\nsetting = "process"\n', 7, "no reason"),
        (GOOD + '[[untested]]\nsetting = "process"\nreason = "TODO"\n', 7, "no reason"),
        ("[[test]\n", 1, "not TOML"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(text: str, line: int, what: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=what) as caught:
        read(written(tmp_path, text))
    assert str(caught.value.origin).endswith(f"web.test.toml:{line}")
    assert caught.value.hint


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """profile = ["org", 3]
profiles = ["org", 3]
[[test]]
nme = "x"
denies = [
  { what = 1, by = 2 },
  { wat = "mount", bye = "seccomp" },
]
allows = "x"
runs = [{ command = [1], exit = "0", prints = 3 }]
[[test]]
name = "y"
allows = [{ what = "mount", by = "seccomp" }]
"""
    with pytest.raises(Problems) as caught:
        read(written(tmp_path, text))
    found = [(str(item.origin).rpartition(":")[2], item.message, item.hint or "") for item in caught.value.problems]
    assert [line for line, _, _ in found] == ["1", "2", "4", "6", "6", "7", "7", "9", "10", "10", "10", "13"], found
    assert [hint for _, what, hint in found if "unknown" in what] == [
        'did you mean "profiles"?', 'did you mean "name"?', 'did you mean "what"?', 'did you mean "by"?',
    ]  # fmt: skip


def test_a_directory_stands_for_the_files_in_it_and_a_profile_for_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("a.test.toml", "a.toml", "below/b.test.toml", ".hidden/c.test.toml"):
        (tmp_path / name).touch()
    assert files([str(tmp_path)]) == [str(tmp_path / name) for name in ("a.test.toml", "below/b.test.toml")]
    assert files([str(tmp_path / "a.toml")]) == [str(tmp_path / "a.test.toml")]
