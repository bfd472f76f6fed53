"""The `[secrets]` table and `--secret`: the grammar, which is podman's, and which of two uses is the stricter one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from datetime import date
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.compose import composition as compose
from hardening.compose.fold import Outcome
from hardening.errors import ProfileError
from hardening.mechanism.host import plain
from hardening.mechanism.schema import Leaf
from hardening.profile import layers
from hardening.profile.layers import SearchPath
from hardening.profile.source import Document, Node
from hardening.testing.laws import check_kind
from hardening_secrets import Secrets
from hardening_secrets.settings import Use, UseKind, is_name, read_item

KIND = UseKind()
NUMBERS = st.one_of(st.none(), st.integers(0, 2**32 - 2))
USES = st.one_of(
    st.none(),
    st.builds(
        Use,
        name=st.just("db"),
        type=st.just("mount"),
        target=st.sampled_from(["/run/secrets/db", "/run/secrets/a/b", "/etc/db.key", "/etc/a,b"]),
        uid=NUMBERS,
        gid=NUMBERS,
        mode=st.integers(0, 0o777),
    ),
    st.builds(Use, name=st.just("db"), type=st.just("env"), target=st.sampled_from(["DB", "db", "a,b"])),
)
#: As `--secret` takes it, and whether podman does; what podman takes and we refuse stands apart.
TAKEN: dict[str, Use] = {
    "db": Use("db", "mount", "/run/secrets/db"),
    "db,type=mount": Use("db", "mount", "/run/secrets/db"),
    "source=db,type=mount": Use("db", "mount", "/run/secrets/db"),
    "type=mount,source=db": Use("db", "mount", "/run/secrets/db"),
    "db,target=other": Use("db", "mount", "/run/secrets/other"),
    "db,target=a/b": Use("db", "mount", "/run/secrets/a/b"),
    "db,target=/etc/db.key": Use("db", "mount", "/etc/db.key"),
    "db,target=/etc//./db.key": Use("db", "mount", "/etc/db.key"),
    "db,uid=1000,gid=1001,mode=0440": Use("db", "mount", "/run/secrets/db", 1000, 1001, 0o440),
    "db,UID=0,GID=0,mode=444": Use("db", "mount", "/run/secrets/db", 0, 0, 0o444),
    "db,type=env": Use("db", "env", "db"),
    "db,type=env,target=DB_PASSWORD": Use("db", "env", "DB_PASSWORD"),
    "db-1.x_y": Use("db-1.x_y", "mount", "/run/secrets/db-1.x_y"),
}
REFUSED = {
    "": "no secret is named",
    "type=mount": "no secret is named",
    "source=,type=mount": "no secret is named",
    "db,": '"" is not an option of a secret',
    "db,mount": '"mount" is not an option of a secret',
    "db,type=volume": '"volume" is not a type of a secret',
    "db,type=mount,type=env": "type is given twice",
    "db,colour=red": 'unknown option "colour" for a secret',
    "db,mode=9": '"9" is not a mode',
    "db,mode=rw": '"rw" is not a mode',
    "db,mode=": '"" is not a mode',
    "db,uid=root": '"root" is not a uid',
    "db,uid=-1": '"-1" is not a uid',
    "db,gid=4294967296": '"4294967296" is not a gid',
    "db,type=env,mode=0400": "mode: a variable has neither owner nor mode",
    "db,type=env,uid=0,gid=0": "uid, gid: a variable has neither owner nor mode",
}
#: Podman takes the later of two, a mode of more than rights, and any path.
STRICTER = {
    "db,source=db": "the name is given twice",
    "db,target=a,target=b": "target is given twice",
    "db,mode=4755": '"4755" is not a mode',
    "db,target=../x": '"../x" is not the path of a file',
    "db,target=/etc/x/": '"/etc/x/" is not the path of a file',
    "db,target=/": '"/" is not the path of a file',
    "db,target=/run/secrets": "/run/secrets cannot be a secret",
    "db,target=/proc/1/x": "/proc/1/x cannot be a secret",
}


def node(value: object) -> Node:
    return Node(value, (), Document("p", None, {}, {}))


def composed(*texts: str) -> compose.Composition:
    """The composition of layers of TOML."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, text in enumerate(texts):
            path = Path(folder, f"{number}.toml")
            path.write_text(text)
            paths.append(str(path))
        stack = layers.resolve(paths, SearchPath(()))
    return compose.compose(stack, [Secrets()], plain(), date(2030, 1, 1))


@pytest.mark.parametrize("text", TAKEN)
def test_what_podman_users_write_is_read(text: str) -> None:
    name, use = read_item(node(text))
    assert (name, use) == (TAKEN[text].name, TAKEN[text])


@pytest.mark.parametrize("text", [*REFUSED, *STRICTER])
def test_what_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_item(node(text))
    assert (REFUSED | STRICTER)[text] in str(caught.value)
    assert caught.value.hint or "twice" in str(caught.value)


def test_podman_takes_and_refuses_the_same() -> None:
    """Podman reads its options before anything else: with a root that does not exist it goes no further than that."""
    podman = shutil.which("podman")
    assert podman is not None
    wrong = []
    for text in (*TAKEN, *REFUSED):
        argv = [podman, "create", "--secret", text, "--rootfs", "/nonexistent", "true"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        refuses = "parsing secret" in done.stderr
        # Where nothing is named, podman looks for a secret of that name, which cannot be.
        if refuses != (text in REFUSED) and text not in ("", "type=mount"):
            wrong.append((text, done.stderr))
    assert wrong == []


def test_a_table_says_the_same() -> None:
    assert read_item(node({"name": "db", "type": "env", "target": "DB"}))[1] == Use("db", "env", "DB")
    use = Use("db", "mount", "/run/secrets/x", 1, None, 0o440)
    assert read_item(node({"source": "db", "target": "x", "uid": 1, "mode": "0440"}))[1] == use
    for wrong in ({"name": "db", "mode": 0o440}, {"name": "db", "uid": True}, {"name": "db", "colour": "red"}, {}):
        with pytest.raises(ProfileError):
            read_item(node(wrong))


def require_read_or_refused(text: str) -> None:
    """Whatever is written is read and means what is shown of it, or is refused in words."""
    try:
        _, use = read_item(node(text))
    except ProfileError:
        return
    assert KIND.parse(node(KIND.dump(use))) == use


@given(st.text(max_size=40))
def test_no_text_is_read_wrongly(text: str) -> None:
    require_read_or_refused(text)


OPTION = st.sampled_from(
    ["type", "target", "uid", "gid", "mode", "source", "UID", "name", "", "x"]
).flatmap(lambda key: st.sampled_from([key, f"{key}=", *(f"{key}={value}" for value in (
    "mount", "env", "/etc/x", "a/b", "..", "0", "0400", "777", "8", "-1", "db", "9999999999", "\x00", "é")
)]))  # fmt: skip


@given(st.lists(OPTION, max_size=5))
def test_no_combination_of_options_is_read_wrongly(options: list[str]) -> None:
    require_read_or_refused(",".join(("db", *options)))


@given(st.lists(USES, min_size=2, max_size=4))
def test_the_order_is_lawful(values: list[Use | None]) -> None:
    assert check_kind(KIND, values) == []


@given(USES)
def test_what_is_dumped_reads_back(use: Use | None) -> None:
    assert KIND.parse(node(KIND.dump(use))) == use


@pytest.mark.parametrize("method", ["intersect", "is_no_looser_than"])
def test_a_wrong_order_is_caught(method: str) -> None:
    wrong = {"intersect": lambda self, a, b: a, "is_no_looser_than": lambda self, a, b: a is None or b is not None}
    broken = type("Broken", (UseKind,), {method: wrong[method]})
    assert check_kind(broken(), list(KIND.samples())) != []


def test_names_are_podman_s() -> None:
    assert all(map(is_name, ("a", "a b", "é" * 126, "x" * 253, "-", "...")))
    assert not any(map(is_name, ("", ".", "..", "a/b", "a,b", "a=b", "a\0b", "x" * 254, "é" * 127)))


def test_a_file_that_the_command_alone_reads_is_stricter_than_a_variable() -> None:
    file, variable = TAKEN["db"], TAKEN["db,type=env"]
    assert KIND.is_no_looser_than(file, variable)
    assert not KIND.is_no_looser_than(variable, file)
    assert not KIND.is_no_looser_than(attrs.evolve(file, mode=0o444), variable)
    assert KIND.intersect(attrs.evolve(file, mode=0o444), variable) == file
    assert KIND.intersect(variable, Use("db", "env", "OTHER")) == file
    assert KIND.intersect(file, attrs.evolve(file, target="/etc/db")) is None


def test_no_secret_is_given_unless_a_layer_says_so() -> None:
    found = composed("[secrets]\n")
    assert found.settings["secrets"].uses() == []


def test_who_names_a_secret_first_gives_it_and_later_layers_tighten() -> None:
    found = composed(
        '[secrets]\ngiven = ["db,mode=0444", "key"]\n', '[secrets]\ngiven.add = ["db"]\ngiven.drop = ["key"]\n'
    )
    assert found.settings["secrets"].uses() == [TAKEN["db"]]
    steps = found.leaves[Leaf("secrets", "given", "db")].steps
    assert [step.outcome for step in steps] == [Outcome.STATED, Outcome.TIGHTENED]


def test_a_list_closes_the_table_for_later_layers() -> None:
    with pytest.raises(ProfileError, match=r"secrets.given.key: key,type=mount is looser than none"):
        composed('[secrets]\ngiven = ["db"]\n', '[secrets]\ngiven.add = ["key"]\n')
    composed('[secrets]\ngiven.add = ["db"]\n', '[secrets]\ngiven.add = ["key"]\n')
    excepted = '[[exceptions]]\nsetting = "secrets.given.key"\nreason = "a test"\n'
    found = composed('[secrets]\ngiven = ["db"]\n', f'[secrets]\ngiven.add = ["key"]\n{excepted}')
    assert [use.name for use in found.settings["secrets"].uses()] == ["db", "key"]


def test_a_limit_is_not_exceeded() -> None:
    limit = '[limits.secrets]\ngiven = ["db"]\n'
    for text in ("key", "db,type=env", "db,mode=0440"):
        with pytest.raises(ProfileError, match="exceeds the limit"):
            composed(limit, f'[secrets]\ngiven = ["{text}"]\n')
    assert composed(limit, '[secrets]\ngiven = ["db"]\n').settings["secrets"].uses() == [TAKEN["db"]]
    env = '[limits.secrets]\ngiven = ["db,type=env"]\n'
    assert composed(env, '[secrets]\ngiven = ["db"]\n').settings["secrets"].uses() == [TAKEN["db"]]
