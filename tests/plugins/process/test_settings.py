"""What the `[process]` table may say, and how layers of it compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.errors import Problems, ProfileError
from hardening.mechanism.schema import Leaf
from hardening_process.kinds import NO_CEILING, UNLIMITED, ResourceLimit, User
from hardening_process.settings import LOCALE, RLIMITS
from tests.plugins.process.stacks import PROCESS, composed, settings


def test_what_nobody_says_is_strict(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.user == User()
    assert found.groups.having(True) == ()
    assert set(found.environment.having(True)) == {"TERM", "LANG", *LOCALE}
    assert found.rlimits["core"] == ResourceLimit(0, 0)
    assert found.rlimits["as"] == UNLIMITED
    assert found.umask == 0o077
    assert not found.terminal
    assert (found.pids, found.memory, found.memory_swap, found.cpu) == (NO_CEILING,) * 4


def test_a_list_of_variables_replaces_and_edits_change(tmp_path: Path) -> None:
    assert settings(tmp_path, '[process]\nenvironment = ["EDITOR"]').environment.having(True) == ("EDITOR",)
    edited = settings(tmp_path, '[process.environment]\nadd = ["EDITOR"]\ndrop = ["LC_*"]')
    assert set(edited.environment.having(True)) == {"EDITOR", "TERM", "LANG"}


def test_a_named_variable_goes_before_its_group(tmp_path: Path) -> None:
    found = settings(tmp_path, '[process.environment]\ndrop = ["LC_*"]\nadd = ["LC_TIME"]')
    assert set(found.environment.having(True)) == {"TERM", "LANG", "LC_TIME"}


def test_an_exception_may_name_a_group_of_variables(tmp_path: Path) -> None:
    strict = "[process]\nenvironment = []"
    loose = '[process]\nenvironment.add = ["LC_*"]'
    with pytest.raises(Problems) as caught:
        composed(tmp_path, strict, loose)
    assert "process.environment.LC_ALL: true is looser than false" in str(caught.value)
    excepted = loose + '\n[[exceptions]]\nsetting = "process.environment.LC_*"\nreason = "language"'
    assert settings(tmp_path, strict, excepted).environment.having(True) == tuple(sorted(LOCALE))


@pytest.mark.parametrize("name", ["*", "AWS_*", "A B", "1A", "", "A=B", "LC_?"])
def test_names_that_are_no_variables_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProfileError) as caught:
        settings(tmp_path, f'[process]\nenvironment.add = ["{name}"]')
    assert "layer0.toml:2" in str(caught.value)


def test_the_environment_is_limited_as_a_whole(tmp_path: Path) -> None:
    limit = '[limits.process]\nenvironment = ["TERM"]'
    assert settings(tmp_path, limit).environment.having(True) == ("TERM",)
    with pytest.raises(ProfileError, match="exceeds the limit"):
        composed(tmp_path, limit, options={"env": ["EDITOR"]})


def test_values_have_no_order_and_cannot_be_limited(tmp_path: Path) -> None:
    later = settings(tmp_path, "[process.set_environment]\nA = '1'", "[process.set_environment]\nA = '2'")
    assert later.set_environment["A"] == "2"
    with pytest.raises(ProfileError, match="has no order"):
        composed(tmp_path, "[limits.process.set_environment]\nA = '1'")
    with pytest.raises(ProfileError, match="for every set_environment there is"):
        composed(tmp_path, "[process.set_environment]\n'*' = '1'")


def test_limits_tighten_freely_and_loosen_with_an_exception(tmp_path: Path) -> None:
    first, second = "[process.rlimits]\nnofile = 1024", '[process.rlimits]\nnofile = "512:1024"'
    assert settings(tmp_path, first, second).rlimits["nofile"] == ResourceLimit(512, 1024)
    with pytest.raises(ProfileError, match="is looser than 512:1024") as caught:
        composed(tmp_path, second, first)
    assert "layer1.toml:2" in str(caught.value)
    assert "layer0.toml:2" in str(caught.value)


def test_limits_meet_and_cut_what_was_said_before(tmp_path: Path) -> None:
    texts = ('[process.rlimits]\nnofile = "2048:unlimited"', "[limits.process.rlimits]\nnofile = 1024")
    found = composed(tmp_path, *texts).leaves[Leaf("process", "rlimits", "nofile")]
    assert found.value == ResourceLimit(1024, 1024)
    assert "layer1.toml" in found.limit_origin


def test_an_unknown_resource_limit_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        settings(tmp_path, "[process.rlimits]\nnofiles = 1")
    assert 'did you mean "nofile"' in str(caught.value)
    assert settings(tmp_path, "[process.rlimits]\nRLIMIT_NOFILE = 7").rlimits["nofile"] == ResourceLimit(7, 7)


def test_all_resource_limits_of_the_kernel_are_known() -> None:
    from hardening_process.limits import TITLES, parse

    titles = [line[:25].strip() for line in Path("/proc/self/limits").read_text().splitlines()[1:]]
    assert set(titles) == set(TITLES)
    assert set(parse(Path("/proc/self/limits").read_text())) == set(TITLES.values()) == set(RLIMITS)


def test_a_later_layer_may_not_bring_root_back(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="0:0 cannot be compared with 1000"):
        composed(tmp_path, '[process]\nuser = "1000"', '[process]\nuser = "root"')
    with pytest.raises(ProfileError, match="natural is looser than 1000"):
        composed(tmp_path, '[process]\nuser = "1000"', '[process]\nuser = ""')
    with pytest.raises(ProfileError, match="cannot be compared"):
        composed(tmp_path, '[process]\nuser = "1000"', '[process]\nuser = "1001"')
    # Root of a user namespace is another id of the host than the caller: it may be nobody's, and the caller's files are not.
    for other in ("", "1000", "0:5"):
        with pytest.raises(ProfileError, match="cannot be compared with 0:0"):
            composed(tmp_path, '[process]\nuser = "root"', f'[process]\nuser = "{other}"')


@pytest.mark.parametrize("said", ["", "/other"])
def test_another_cgroup_is_a_loosening_and_so_is_none(tmp_path: Path, said: str) -> None:
    limited = '[process.resources]\ncgroup = "/limited"'
    with pytest.raises(ProfileError, match="cannot be compared with /limited"):
        composed(tmp_path, limited, f'[process.resources]\ncgroup = "{said}"')
    with pytest.raises(ProfileError, match="exceeds the limit /limited"):
        composed(tmp_path, f"[limits.{limited[1:]}", f'[process.resources]\ncgroup = "{said}"')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('cwd = "work"', "not an absolute path"),
        ("umask = 22", "string of octal digits"),
        ("oom_score_adj = 1001", "out of range"),
        ("terminal = 1", "true or false"),
        ('user = "a b"', "is not a user"),
        (f'user = "{"1" * 5000}"', f'"{"1" * 40}" is not a user'),
        (f'user = "0:{"1" * 5000}"', f'"{"1" * 40}" is not a group'),
        ('groups = [""]', "is not a group"),
        ("resources.pids = 0", "out of range"),
        ('resources.memory = "64"', None),
        ('resources.memory = "lots"', "invalid size"),
        ('resources.cgroup = "../x"', "not the path of a cgroup"),
        ('resources.requirement = "maybe"', "none of required"),
        ("resource = {}", "unknown key"),
        ('env = ["1=2"]', "not the name of a variable"),
        ('ulimit = ["nofile"]', "is not a limit"),
        ('ulimit = ["files=3"]', "unknown resource limit"),
    ],
)
def test_wrong_values_are_refused_with_their_line(tmp_path: Path, line: str, message: str | None) -> None:
    with pytest.raises(ProfileError, match=message) as caught:
        settings(tmp_path, f"[process]\n{line}")
    assert "layer0.toml:2" in str(caught.value)


def test_the_command_line_says_what_podman_users_write(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        options={
            "env": ["A=b=c", "EDITOR", "EMPTY="],
            "ulimit": ["nofile=10:20", "core=0"],
            "user": "1000:1000",
            "cwd": "/work",
            "groups": {"add": ["5"]},
            "resources": {"memory": "64M", "pids": "100", "cpu": "1.5"},
            "terminal": True,
        },
    )
    assert (found.set_environment["A"], found.set_environment["EMPTY"]) == ("b=c", "")
    assert found.environment["EDITOR"]
    assert found.rlimits["nofile"] == ResourceLimit(10, 20)
    assert found.user == User("1000", "1000")
    assert found.groups.having(True) == ("5",)
    assert (found.memory, found.pids, found.cpu) == (64 << 20, 100, 150_000)
    assert found.terminal


def test_of_two_values_on_the_command_line_the_last_counts(tmp_path: Path) -> None:
    found = settings(tmp_path, options={"env": ["A=1", "A=2"], "ulimit": ["nofile=9", "nofile=8"]})
    assert found.set_environment["A"] == "2"
    assert found.rlimits["nofile"] == ResourceLimit(8, 8)


def test_the_command_line_obeys_the_layers(tmp_path: Path) -> None:
    layer = "[process]\nenvironment = []\nrlimits.nofile = 64\nterminal = false"
    for options in ({"env": ["EDITOR"]}, {"ulimit": ["nofile=65"]}, {"terminal": True}):
        with pytest.raises(ProfileError, match="is looser than") as caught:
            composed(tmp_path, layer, options=options)
        assert "layer0.toml" in str(caught.value)
        assert "option" in str(caught.value)


def test_every_option_says_a_key_that_the_table_reads() -> None:
    keys = {option.key for option in PROCESS.options()}
    assert {"env", "ulimit"} < keys
    for key in keys - {"env", "ulimit", "groups.add"}:
        assert PROCESS.schema.find(key) is not None
