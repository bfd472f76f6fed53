"""How words are divided into options and a command, without a list of options."""

from __future__ import annotations

import pytest

from hardening.launch.cache import HOST, IMAGE, LAUNCH, Line, key, lines


def found(*words: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(line.kind, line.options, line.command) for line in lines(list(words))]


def test_the_first_end_of_the_options_is_the_one() -> None:
    host = (HOST, ("run", "-q"), ("echo", "--", "x"))
    assert found("run", "-q", "--", "echo", "--", "x") == [host]
    assert found("run", "--", "--", "echo") == [(HOST, ("run",), ("--", "echo"))]


def test_each_word_before_it_may_be_an_image() -> None:
    assert found("run", "-p", "web", "image", "--", "-x") == [
        (HOST, ("run", "-p", "web", "image"), ("-x",)),
        (IMAGE, ("run", "-p", "web"), ("image", "--", "-x")),
        (IMAGE, ("run", "-p", "web", "image"), ("-x",)),
    ]
    assert found("run", "image", "-x") == [], "which is an option at the wrong place"
    assert found("run", "image", "ls", "-l") == [(IMAGE, ("run", "image"), ("ls", "-l"))]
    assert found("run", "image") == [(IMAGE, ("run", "image"), ())]


@pytest.mark.parametrize("words", [(), ("ps",), ("--version", "run", "--", "x"), ("run",), ("run", "-q")])
def test_what_runs_nothing_has_no_key(words: tuple[str, ...]) -> None:
    assert found(*words) == []


def test_the_folder_counts_for_a_bundle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> set[str]:
        return {key(line) for words in (["launch", "./b"], ["run", "--", "x"]) for line in lines(words)}

    monkeypatch.chdir("/")
    before = keys()
    monkeypatch.chdir("/usr")
    assert len(before & keys()) == 1
    assert found("launch", "./b") == [(LAUNCH, ("launch", "./b", "/usr"), ())]


@pytest.mark.parametrize(
    ("options", "said", "name"),
    [
        (("run", "--name", "one", "-q"), ("run", "--name", "", "-q"), "one"),
        (("run", "--name=one", "-q"), ("run", "--name", "", "-q"), "one"),
        (("run", "--name"), ("run", "--name"), ""),
        (("run", "--name", "one", "--name", "two"), ("run", "--name", "one", "--name", "two"), ""),
        (("run", "--names"), ("run", "--names"), ""),
    ],
)
def test_the_name_of_a_container_is_no_part_of_the_key(
    options: tuple[str, ...], said: tuple[str, ...], name: str
) -> None:
    line = Line.of(HOST, options, ("true",))
    assert (line.options, line.name) == (said, name)
