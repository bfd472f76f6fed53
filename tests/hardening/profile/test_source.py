from __future__ import annotations

import hashlib
import os
import stat
from datetime import date
from pathlib import Path

import pytest

from hardening.base.wholefile import Owner
from hardening.errors import ProfileError
from hardening.profile.source import MAX_BYTES, MAX_DEPTH, command_line, read
from tests.support import features
from tests.support.texts import document, node, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def profile(folder: Path, text: str | bytes) -> Path:
    path = folder / "p.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return path


def refused(path: Path, *, owner: Owner = Owner.ANY) -> str:
    with pytest.raises(ProfileError) as caught:
        read(path, "p", owner=owner)
    return str(caught.value)


# --- reading files ----------------------------------------------------------------------------------------------------


def test_a_document_knows_its_tables_places_and_digest(folder: Path) -> None:
    path = profile(folder, "[rootfs]\nread_only = true\n")
    read_in = read(path, "team")
    assert read_in.name == "team"
    assert read_in.tables == {"rootfs": {"read_only": True}}
    assert str(read_in.origin(("rootfs", "read_only"))) == f"{path}:2"
    assert read_in.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_place_of_an_unknown_path_is_that_of_its_longest_known_part(folder: Path) -> None:
    read_in = read(profile(folder, "\n[a]\nb = 1\n"), "p")
    assert str(read_in.origin(("a", "b", "c"))).endswith(":3")
    assert str(read_in.origin(("x",))).endswith(":1")


def test_a_missing_file_is_refused(folder: Path) -> None:
    message = refused(folder / "none.toml")
    assert message.startswith(f"{folder}/none.toml: cannot read the profile: No such file or directory\nhint: ")


def test_a_folder_is_no_profile(folder: Path) -> None:
    (folder / "p.toml").mkdir()
    assert "not a regular file" in refused(folder / "p.toml")


def test_a_fifo_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "p.toml", 0o644)
    assert "not a regular file" in refused(folder / "p.toml")


def test_a_device_is_refused() -> None:
    assert "not a regular file" in refused(Path("/dev/null"))


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_profile_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    path = profile(folder, "")
    path.chmod(mode)
    assert refused(path) == (
        f"{path}: the profile can be written by others than its owner (mode 0{mode:o})\nhint: chmod go-w {path}"
    )


def test_a_profile_in_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    path = profile(folder, "")
    folder.chmod(0o777)
    assert "can be written by others" in refused(path)


def test_a_sticky_folder_is_safe_enough(folder: Path) -> None:
    path = profile(folder, "")
    folder.chmod(0o777 | stat.S_ISVTX)
    assert read(path, "p").tables == {}


def test_the_folder_of_a_link_is_that_of_its_target(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    target = profile(shared, "")
    shared.chmod(0o777)
    (folder / "link.toml").symlink_to(target)
    assert "can be written by others than its owner" in refused(folder / "link.toml")


def test_a_profile_of_another_user_is_refused_by_name_and_read_by_path(folder: Path) -> None:
    features.require("root")
    path = profile(folder, "")
    os.chown(path, 48000, 48000)
    assert "belongs to another user (uid 48000)" in refused(path, owner=Owner.OWN)
    assert read(path, "p").tables == {}


def test_a_profile_that_is_too_large_is_refused(folder: Path) -> None:
    path = profile(folder, "#" * MAX_BYTES)
    assert read(path, "p").tables == {}
    path = profile(folder, "#" * (MAX_BYTES + 1))
    assert refused(path).startswith(f"{path}: the profile is larger than {MAX_BYTES} bytes\nhint: ")


def test_bytes_that_are_not_utf8_are_shown_with_their_line(folder: Path) -> None:
    path = profile(folder, b"a = 1\nb = '\xff'\n")
    assert refused(path) == f"{path}:2: byte 0xff is not UTF-8\nhint: save the profile as UTF-8"


@pytest.mark.parametrize(
    ("text", "key", "line", "first"),
    [("[process]\numask = '077'\ncwd = '/'\numask = '027'\n", "process.umask", 4, 2),
     ("[a]\nx = 1\n[b]\n[a]\ny = 1\n", "a", 4, 1), ("a.b = 1\na.b = '''\n'''\n", "a.b", 2, 1),
     ("a = 1\n[c]\n[a]\n", "a", 3, 1), ("[[a]]\nx = 1\n[[a]]\nx = 1\nx = 2\n", "a.1.x", 5, 4)],
)  # fmt: skip
def test_a_key_that_is_there_twice_is_named_with_both_lines(
    folder: Path, text: str, key: str, line: int, first: int
) -> None:
    path = profile(folder, text)
    hint = f"leave one of them out; the first is at line {first}"
    assert refused(path) == f"{path}:{line}: not TOML: {key} is there twice\nhint: {hint}"


def test_what_is_no_toml_is_shown_with_its_column(folder: Path) -> None:
    assert ", column 5\nhint: " in refused(profile(folder, "a = ?\n"))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("[t]\n[t]\n", 2), ("x = [1,\n2\n", 2), ("a = 1\r\n= 3\r\n", 2)],
)
def test_what_is_no_toml_is_shown_with_its_line(folder: Path, text: str, line: int) -> None:
    path = profile(folder, text)
    message = refused(path)
    assert message.startswith((f"{path}:{line}: not TOML: ", f"{path}:{line + 1}: not TOML: "))


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 20 + "]" * 20, "a" + ".a" * 20 + " = 1", "x = " + "{a=" * 20 + "1" + "}" * 20]
)
def test_what_is_nested_too_deep_is_shown_with_its_line(folder: Path, text: str) -> None:
    path = profile(folder, "\n" + text)
    assert refused(path).startswith(f"{path}:2: nested deeper than {MAX_DEPTH} levels\nhint: ")


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 100_000, "x = " + "[" * 5000 + "]" * 5000, "a." * 5000 + "a = 1", "a . 'b'." * 50 + "a = 1"]
)
def test_absurd_nesting_ends_in_one_error(folder: Path, text: str) -> None:
    assert "nested deeper than" in (message := refused(profile(folder, text))) or "not TOML" in message


def test_words_between_dots_in_a_text_are_no_key(folder: Path) -> None:
    assert read(profile(folder, 'description = "' + "a b. " * 500 + '"'), "p").tables


# --- nodes ------------------------------------------------------------------------------------------------------------


def test_an_error_about_a_value_names_its_line_and_its_dotted_name() -> None:
    volumes = document('[rootfs]\nvolumes = [\n  "/a:/b",\n  3,\n]\n').root.get("rootfs")
    assert volumes is not None
    listed = volumes.get("volumes")
    assert listed is not None
    *_, last = listed.items()
    with pytest.raises(ProfileError, match=r"^profile.toml:4: rootfs.volumes\[1\]: an integer where a string"):
        last.string()


@pytest.mark.parametrize("wrong", [1, 1.5, True, [], {}, date(2026, 1, 1)])
def test_a_string_is_nothing_else(wrong: object) -> None:
    with pytest.raises(ProfileError, match="where a string is expected"):
        node(wrong).string()


def test_a_string_holds_no_nul() -> None:
    with pytest.raises(ProfileError, match="NUL"):
        node("a\0b").string()


@pytest.mark.parametrize("wrong", [0, 1, "true", [], {}])
def test_a_boolean_is_nothing_else(wrong: object) -> None:
    with pytest.raises(ProfileError, match="where true or false is expected"):
        node(wrong).boolean()


@pytest.mark.parametrize("wrong", [True, 1.0, "1", [], {}])
def test_an_integer_is_nothing_else(wrong: object) -> None:
    with pytest.raises(ProfileError, match="where an integer is expected"):
        node(wrong).integer()


@pytest.mark.parametrize(
    ("low", "high", "span"), [(0, 5, "from 0 to 5"), (0, None, "at least 0"), (None, -2, "at most -2")]
)
def test_an_integer_out_of_range_is_refused(low: int | None, high: int | None, span: str) -> None:
    with pytest.raises(ProfileError, match=f"-1 is out of range, it must be {span}"):
        node(-1).integer(low, high)
    assert node(3).integer(3, 3) == 3


def test_one_value_is_a_list_on_the_command_line_only() -> None:
    assert [item.string() for item in said("x").items()] == ["x"]
    assert [item.string() for item in said(["x", "y"]).items()] == ["x", "y"]
    with pytest.raises(ProfileError, match="a string where an array is expected"):
        list(node("x").items())
    with pytest.raises(ProfileError, match="a table where an array is expected"):
        list(said({}).items())


def test_a_member_that_is_not_there_is_none_and_a_value_has_no_members() -> None:
    assert node({"a": 1}).get("b") is None
    with pytest.raises(ProfileError, match="an integer where a table is expected"):
        node(1).get("b")


def test_a_document_without_what_an_option_says() -> None:
    tables = {"a": {"list": ["x", "y", "z"], "word": "w", "none": []}, "b": {"only": [{"of": 1}]}}
    places = {
        ("a",): "-x x",
        ("b",): "--only",
        ("b", "only"): "--only",
        ("b", "only", 0): "--only",
        ("a", "word"): "-w",
    }
    places |= {("a", "list", index): f"-x {name}" for index, name in enumerate("xyz")} | {("a", "none"): "--none"}
    document = command_line(tables, places)
    left = document.without(["-x x", "--only"])
    assert left.tables == {"a": {"list": ["y", "z"], "word": "w", "none": []}}
    assert [left.origin(("a", "list", index)).place for index in (0, 1)] == ["-x y", "-x z"]
    assert left.typed
    assert document.without([]).tables == document.tables
