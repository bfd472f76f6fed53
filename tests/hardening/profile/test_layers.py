from __future__ import annotations

import os
import pwd
from datetime import date
from pathlib import Path

import pytest

from hardening.errors import ProfileError
from hardening.profile.layers import SearchDirectory, SearchPath, Stack, resolve
from tests.support.texts import document, layer


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def put(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    path = folder / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def search(*folders: Path) -> SearchPath:
    return SearchPath(tuple(SearchDirectory(folder, folder.name) for folder in folders))


def names(stack: Stack) -> list[str]:
    return [layer.name for layer in stack.layers]


def refused(*profiles: str, by: SearchPath) -> str:
    with pytest.raises(ProfileError) as caught:
        resolve(profiles, by)
    return str(caught.value)


# --- the stack --------------------------------------------------------------------------------------------------------


def test_layers_go_left_to_right_and_what_is_extended_comes_first(shelf: Path) -> None:
    put(shelf, "base")
    put(shelf, "org", 'extends = "base"')
    put(shelf, "team", 'extends = ["org"]')
    put(shelf, "app")
    assert names(resolve(["team", "app"], search(shelf))) == ["base", "org", "team", "app"]


def test_each_profile_stands_once_at_its_first_place(shelf: Path) -> None:
    put(shelf, "base")
    put(shelf, "left", 'extends = ["base"]')
    put(shelf, "right", 'extends = ["base", "left"]')
    assert names(resolve(["left", "right", "base", "left"], search(shelf))) == ["base", "left", "right"]


def test_one_file_by_name_and_by_path_is_one_profile(shelf: Path) -> None:
    path = put(shelf, "base")
    (shelf / "other.toml").symlink_to(path)
    assert len(resolve(["base", str(path), "other"], search(shelf)).layers) == 1


def test_the_command_line_is_the_last_layer(shelf: Path) -> None:
    put(shelf, "base")
    said = document("[rootfs]\nread_only = true", "command line")
    assert names(resolve(["base"], search(shelf), said)) == ["base", "command line"]


def test_a_path_in_extends_is_relative_to_its_profile(shelf: Path) -> None:
    put(shelf / "one", "base")
    put(shelf / "two", "app", 'extends = "../one/base.toml"')
    assert names(resolve([str(shelf / "two/app.toml")], search())) == ["base", "app"]


@pytest.mark.parametrize(
    ("extends", "circle"), [({"a": "a"}, "a -> a"), ({"a": "b", "b": "c", "c": "a"}, "a -> b -> c -> a")]
)
def test_a_circle_is_refused_with_its_way(shelf: Path, extends: dict[str, str], circle: str) -> None:
    for name, parent in extends.items():
        put(shelf, name, f'\nextends = ["{parent}"]')
    assert f"`extends` is circular: {circle}" in refused("a", by=search(shelf))


def test_a_circle_is_found_whatever_the_way_of_naming(shelf: Path) -> None:
    put(shelf, "a", 'extends = "./b.toml"')
    put(shelf, "b", 'extends = "a"')
    assert "is circular" in refused("a", by=search(shelf))


def test_a_long_chain_is_refused(shelf: Path) -> None:
    for number in range(70):
        put(shelf, f"p{number}", f'extends = "p{number + 1}"')
    assert "deeper than 64 profiles" in refused("p0", by=search(shelf))


def test_a_missing_profile_is_refused_where_it_is_named(shelf: Path) -> None:
    put(shelf, "strict")
    app = put(shelf, "app", 'description = "x"\nextends = [\n  "strct",\n]')
    assert refused("app", by=search(shelf)) == (f'{app}:3: no such profile: "strct"\nhint: did you mean "strict"?')
    assert "hardening profile list" in refused("zzzzzz", by=search(shelf))
    assert "No such file" in refused("./none.toml", by=search(shelf))


# --- the search path --------------------------------------------------------------------------------------------------


def test_a_name_in_two_places_is_an_error_that_shows_both(shelf: Path) -> None:
    first, second = put(shelf / "a b", "p", 'description = "mine"'), put(shelf / "other", "p")
    extending = put(shelf / "other", "q", 'extends = "p"')
    by = search(shelf / "a b", shelf / "other")
    assert refused("p", by=by) == (
        f'"p" names 2 profiles: {first}, {second}\n'
        f"hint: name the one that is meant by its path, such as '{first}', or rename the others"
    )
    assert refused("q", by=by).startswith(f'{extending}:1: "p" names 2 profiles: ')
    assert resolve([str(first)], by).layers[0].description == "mine"


def test_one_file_in_two_folders_is_one_profile(shelf: Path) -> None:
    path = put(shelf / "mine", "p")
    (shelf / "other").mkdir(mode=0o755)
    (shelf / "other/p.toml").symlink_to(path)
    assert resolve(["p"], search(shelf / "mine", shelf / "other")).found[0].path == path


def test_a_dangling_link_is_not_passed_over(shelf: Path) -> None:
    (shelf / "mine").mkdir()
    (shelf / "mine/p.toml").symlink_to("nowhere")
    assert "cannot read the profile" in refused("p", by=search(shelf / "mine"))
    put(shelf / "other", "p")
    assert '"p" names 2 profiles' in refused("p", by=search(shelf / "mine", shelf / "other"))


def test_all_profiles_are_listed(shelf: Path) -> None:
    put(shelf / "mine", "b")
    put(shelf / "other", "b")
    put(shelf / "other", "a")
    (shelf / "other/notes.txt").touch()
    found = search(shelf / "mine", shelf / "other", shelf / "none").all()
    assert [(item.name, item.owner) for item in found] == [("a", "other"), ("b", "mine"), ("b", "other")]


def test_no_name_is_looked_up_where_the_caller_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for config in (str(tmp_path), "relative", "", None):
        if config is None:
            monkeypatch.delenv("XDG_CONFIG_HOME")
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", config)
        monkeypatch.setenv("HOME", ".")
        own = config if config == str(tmp_path) else f"{pwd.getpwuid(os.getuid()).pw_dir}/.config"
        folders = [str(folder.path) for folder in SearchPath.standard([SearchDirectory(Path("/shipped"), "x")]).folders]
        assert folders == ["/etc/hardening/profiles", f"{own}/hardening/profiles", "/shipped"]


# --- one layer --------------------------------------------------------------------------------------------------------


def test_a_layer_is_split_into_its_parts() -> None:
    parsed = layer(
        """
        description = "what"
        extends = ["a", "b"]
        [limits.rootfs]
        read_only = true
        [rootfs]
        read_only = true
        [[exceptions]]
        setting = "rootfs.read_only"
        reason = " why "
        ticket = "T-1"
        expires = 2030-01-31
        [[exceptions]]
        setting = "seccomp.ptrace"
        reason = "why"
        expires = "2031-01-31"
        """
    )
    assert (parsed.description, parsed.extends) == ("what", ("a", "b"))
    assert (list(parsed.tables), list(parsed.limits)) == (["rootfs"], ["rootfs"])
    first, second = parsed.exceptions
    assert (first.setting, first.reason, first.ticket, first.expires) == (
        "rootfs.read_only", "why", "T-1", date(2030, 1, 31),
    )  # fmt: skip
    assert (str(first.origin), second.ticket, second.expires) == ("profile.toml:7", "", date(2031, 1, 31))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('discription = "x"', 'unknown key\nhint: did you mean "description"?'),
        (
            "x = 1",
            "unknown key\nhint: a profile has description, extends, complete, exceptions, limits, findings, learnt, "
            "profile and tables",
        ),
        ("description = 1", "description: an integer where a string"),
        ("extends = [1]", "extends[0]: an integer where a string"),
        ("extends = 1", "extends: an integer where an array"),
        ("limits = 1", "limits: an integer where a table"),
        ('exceptions = "x"', "exceptions: a string where an array"),
        ("exceptions = [1]", "exceptions[0]: an integer where a table"),
        ('[[exceptions]]\nreason = "x"', "an exception needs a setting"),
        ('[[exceptions]]\nsetting = "x"', "an exception needs a reason"),
        ('[[exceptions]]\nsetting = "x"\nreason = "  "', "an exception needs a reason"),
        ('[[exceptions]]\nsetting = "x"\nreason = "y"\nexpire = 1', "unknown key"),
        ('[[exceptions]]\nsetting = "x"\nreason = "y"\nexpires = "soon"', '"soon" is not a date'),
        ('[[exceptions]]\nsetting = "x"\nreason = "y"\nexpires = 2030-01-01T00:00:00Z', "where a date is expected"),
        ('[[exceptions]]\nsetting = "x"\nreason = "y"\nexpires = 3', "where a date is expected"),
    ],
)
def test_wrong_headers_are_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        layer(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("profile.toml:")


def test_a_profile_says_where_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('description = "x"\ncomplete = true\n')
    (tmp_path / "b.toml").write_text("complete = false\n")
    stack = resolve([str(tmp_path / "a.toml"), str(tmp_path / "b.toml")], SearchPath(()))
    assert [str(layer.complete) if layer.complete else None for layer in stack.layers] == [f"{tmp_path}/a.toml:2", None]


def test_what_a_package_ships_is_told_from_what_lies_elsewhere(tmp_path: Path) -> None:
    for name in ("package", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "package/a.toml").write_text("")
    (tmp_path / "own/b.toml").write_text('extends = ["a"]\n')
    (tmp_path / "own/link.toml").symlink_to(tmp_path / "package/a.toml")
    search = SearchPath(
        (SearchDirectory(tmp_path / "package", "package", shipped=True), SearchDirectory(tmp_path / "own", "own"))
    )
    shipped = {name: [layer.shipped for layer in resolve([name], search).layers] for name in ("a", "b", "link")}
    assert shipped == {"a": [True], "b": [True, False], "link": [True]}
