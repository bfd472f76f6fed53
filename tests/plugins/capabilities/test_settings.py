"""The grammar of `[capabilities]`, its limits, and that what is dumped reads back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import HardeningError, ProfileError
from hardening_capabilities import Capabilities, CapabilitiesSettings
from hardening_capabilities.table import BY_NAME
from tests.plugins.capabilities.stacks import EVERY, composed

NAMES = st.sets(st.sampled_from(sorted(BY_NAME)), max_size=6)


def settings_of(folder: Path, *texts: str) -> CapabilitiesSettings:
    value = composed(folder, *texts).settings["capabilities"]
    assert isinstance(value, CapabilitiesSettings)
    return value


def table(drop: set[str] | None = None, add: set[str] | None = None, name: str = "capabilities") -> str:
    lists = {key: sorted(value) for key, value in (("drop", drop), ("add", add)) if value}
    return tomli_w.dumps({"limits": {"capabilities": lists}} if name == "limits" else {name: lists})


def test_the_default_is_no_capability_and_no_new_privileges(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert settings.added == frozenset()
    assert settings.no_new_privileges is True


@pytest.mark.parametrize("name", ["NET_RAW", "net_raw", "CAP_NET_RAW", "cap_net_raw", "Cap_Net_Raw"])
def test_names_in_any_spelling(tmp_path: Path, name: str) -> None:
    assert settings_of(tmp_path, f'[capabilities]\nadd = ["{name}"]').added == {"NET_RAW"}


def test_drop_all_then_add(tmp_path: Path) -> None:
    assert settings_of(tmp_path, '[capabilities]\ndrop = ["ALL"]\nadd = ["CHOWN", "KILL"]').added == {"CHOWN", "KILL"}


def test_add_all_but(tmp_path: Path) -> None:
    text = '[capabilities]\nadd = ["all"]\ndrop = ["SYS_ADMIN"]'
    assert settings_of(tmp_path, text).added == EVERY - {"SYS_ADMIN"}


def test_for_root_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[capabilities]\ndrop = ["ALL"]\nroot = ["CHOWN"]\nadd = ["KILL"]')
    assert settings.added == {"CHOWN", "KILL"}
    assert settings.kept == {"KILL"}
    assert settings_of(tmp_path, '[capabilities]\nroot = ["ALL"]').kept == frozenset()


def test_what_is_for_root_is_looser_than_nothing_and_stricter_than_what_is_for_all(tmp_path: Path) -> None:
    first = '[capabilities]\ndrop = ["ALL"]\nroot = ["CHOWN"]'
    assert settings_of(tmp_path, first, '[capabilities]\ndrop = ["CHOWN"]').added == frozenset()
    with pytest.raises(ProfileError, match="added is looser than root only, set at"):
        composed(tmp_path, first, '[capabilities]\nadd = ["CHOWN"]')
    with pytest.raises(ProfileError, match="root only is looser than dropped, set at"):
        composed(tmp_path, first, '[capabilities]\nroot = ["KILL"]')
    limit = '[limits.capabilities]\ndrop = ["ALL"]\nroot = ["CHOWN"]'
    with pytest.raises(ProfileError, match="added exceeds the limit root only"):
        composed(tmp_path, limit, '[capabilities]\nadd = ["CHOWN"]')


@pytest.mark.parametrize("name", ["KILL", "ALL"])
@pytest.mark.parametrize("array", ["root", "add"])
def test_dropped_and_given_in_one_layer(tmp_path: Path, name: str, array: str) -> None:
    with pytest.raises(ProfileError, match=f"is in both `drop` and `{array}` of one layer") as raised:
        composed(tmp_path, f'[capabilities]\ndrop = ["{name}"]\n{array} = ["CHOWN",\n "cap_{name.lower()}"]')
    assert str(raised.value.origin).endswith("layer0.toml:4")
    assert "layer0.toml:2" in raised.value.message


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match='unknown capability "CAP_NET_ADMN"') as raised:
        composed(tmp_path, '[capabilities]\ndrop = ["CAP_NET_ADMN"]')
    assert raised.value.hint == 'did you mean "NET_ADMIN"?'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ad = ["KILL"]', "unknown key"),
        ('"" = ["KILL"]', "unknown key"),
        ('add = "KILL"', "an array is expected"),
        ("add = [7]", "a string is expected"),
        ('no_new_privileges = "yes"', "true or false is expected"),
        ('requirement = "perhaps"', "none of required"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        composed(tmp_path, f"[capabilities]\n{text}")


def test_a_later_layer_may_drop_but_not_add(tmp_path: Path) -> None:
    first = '[capabilities]\ndrop = ["ALL"]\nadd = ["KILL"]'
    assert settings_of(tmp_path, first, '[capabilities]\ndrop = ["KILL"]').added == frozenset()
    with pytest.raises(ProfileError, match=r"capabilities\.CHOWN: added is looser than dropped"):
        composed(tmp_path, first, '[capabilities]\nadd = ["CHOWN"]')


@pytest.mark.parametrize("name", ["CHOWN", "CAP_CHOWN", "cap_chown", "ALL"])
def test_an_exception_permits_one_addition(tmp_path: Path, name: str) -> None:
    first = '[capabilities]\ndrop = ["ALL"]'
    second = f'[[exceptions]]\nsetting = "capabilities.{name}"\nreason = "test"\n[capabilities]\nadd = ["CHOWN"]'
    assert settings_of(tmp_path, first, second).added == {"CHOWN"}


def test_an_exception_for_an_unknown_capability_is_refused(tmp_path: Path) -> None:
    text = '[[exceptions]]\nsetting = "capabilities.CHWN"\nreason = "test"'
    with pytest.raises(ProfileError, match="which is not a setting"):
        composed(tmp_path, text)


def test_a_limit_is_a_ceiling(tmp_path: Path) -> None:
    limit = '[limits.capabilities]\ndrop = ["ALL"]\nadd = ["KILL"]'
    assert settings_of(tmp_path, limit, '[capabilities]\nadd = ["KILL"]').added == {"KILL"}
    with pytest.raises(ProfileError, match=r"capabilities\.CHOWN: added exceeds the limit dropped"):
        composed(tmp_path, limit, '[capabilities]\nadd = ["CHOWN"]')


def test_a_limit_cuts_what_was_said_before(tmp_path: Path) -> None:
    before = '[capabilities]\nadd = ["KILL", "CHOWN"]'
    limit = '[limits.capabilities]\ndrop = ["ALL"]\nadd = ["KILL"]'
    assert settings_of(tmp_path, before, limit).added == {"KILL"}


def test_a_limit_that_only_drops(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="exceeds the limit"):
        composed(tmp_path, '[limits.capabilities]\ndrop = ["SYS_ADMIN"]\n[capabilities]\nadd = ["SYS_ADMIN"]')


@pytest.mark.parametrize("limit", ['add = ["KILL"]', 'add = ["ALL"]', 'add = ["KILL"]\ndrop = ["CHOWN"]'])
def test_a_limit_that_limits_nothing_is_refused(tmp_path: Path, limit: str) -> None:
    with pytest.raises(ProfileError, match="limits nothing") as raised:
        composed(tmp_path, f"[limits.capabilities]\n{limit}")
    assert 'drop = ["ALL"]' in (raised.value.hint or "")


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_limit_bounds_every_composition(
    limit: set[str], first: set[str], second: set[str], dropped: set[str]
) -> None:
    """Whatever layers say, before or after the limit: it composes to a part of the limit, or not at all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            settings = settings_of(
                folder,
                table(add=first),
                table({"ALL"}, limit, "limits"),
                table(drop=dropped - second, add=second - dropped),
            )
        except HardeningError:
            assert (second - dropped) - limit or (second - dropped) - first or not second <= limit
        else:
            assert settings.added <= limit
            assert not settings.added & (dropped - second)


@given(NAMES, NAMES, st.booleans(), st.sampled_from(["", "drop", "add"]))
def test_what_is_dumped_reads_back(dropped: set[str], added: set[str], flag: bool, rest: str) -> None:
    dropped, added = dropped - added, added - dropped
    if rest == "drop":
        dropped = {"ALL"}
    elif rest == "add":
        added = {"ALL"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = f"{table(dropped, added)}\n" if dropped or added else "[capabilities]\n"
        first = composed(folder, text + f"no_new_privileges = {str(flag).lower()}")
        values = first.stated("capabilities")
        again = composed(folder, tomli_w.dumps({"capabilities": Capabilities().dump(values)}))
        assert again.stated("capabilities") == values
        assert again.settings == first.settings


def test_each_wrong_name_is_told_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(HardeningError) as refused:
        settings_of(tmp_path, '[capabilities]\nadd = ["NET_BIND", "KILL", "FOO"]')
    assert [(error.message, error.hint) for error in refused.value.problems] == [
        ('capabilities.add[0]: unknown capability "NET_BIND"', 'did you mean "NET_BIND_SERVICE"?'),
        ('capabilities.add[2]: unknown capability "FOO"', "capabilities(7) lists the names; ALL means all of them"),
    ]
