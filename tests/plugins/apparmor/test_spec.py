"""From `[apparmor]` to the field of the configuration, of a foreign one too, and back from what the kernel says."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.errors import ProfileError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Unsupported
from hardening_apparmor import Apparmor
from hardening_apparmor.exposure import reported
from hardening_apparmor.settings import ApparmorSettings
from hardening_apparmor.spec import PROFILE, contribute
from hardening_apparmor.tighten import tighten
from hardening_apparmor.verify import verify
from tests.plugins.apparmor.test_host import WEB, context
from tests.support.texts import composed

BOTH = ApparmorSettings(profile=("base", "web"))
NONE = ApparmorSettings(profile=())
GAP = Unsupported("apparmor.profile", "none", "none", whole=True)


def put(settings: ApparmorSettings, asked: str | None = None, **values: Any) -> tuple[Any, int]:
    """The field, and how many violations there are of a configuration that has ``asked`` in it."""
    made, violations = Fragment("apparmor"), []
    if asked is None:
        contribute(settings, context(**values), made)
    else:
        violations = list(tighten(settings, {"process": {"apparmorProfile": asked}}, context(**values), made))
    return made.values[PROFILE].value if PROFILE in made.values else None, len(violations)


def test_the_field_has_each_profile() -> None:
    assert [put(settings)[0] for settings in (WEB, BOTH, NONE)] == ["web", "base//&web", None]
    assert put(WEB, unsupported=(GAP,)) == (None, 0)


def test_a_foreign_profile_stays_beside_those_of_the_settings() -> None:
    assert put(WEB, "docker-default") == ("docker-default//&web", 0)
    assert put(WEB, "web") == put(WEB, "") == ("web", 0)
    assert put(WEB, "unconfined") == ("web", 1)
    assert put(NONE, "unconfined") == put(WEB, "base", unsupported=(GAP,)) == (None, 0)


@pytest.mark.parametrize(
    ("label", "holding"),
    [
        ("base//&web (enforce)", [WEB, BOTH, NONE]),
        ("web (kill)", [WEB, NONE]),
        ("web (complain)", [NONE]),
        ("webber (enforce)", [NONE]),
        ("unconfined", [NONE]),
        (None, [NONE]),
    ],
)
def test_receipts_are_held_against_each_name_and_the_mode(label: str | None, holding: list[ApparmorSettings]) -> None:
    for settings in (WEB, BOTH, NONE):
        (line,) = verify(settings, context(), {"apparmor": label})
        assert line.holds == (settings in holding)


def test_a_process_is_scored_by_the_profile_that_confines_it() -> None:
    for label, profile in (("base//&web (enforce)", "base//&web"), ("web (complain)", None), ("unconfined", None)):
        made = Fragment("apparmor")
        reported({"apparmor": label}, context().host, made)
        assert (made.values[PROFILE].value if made.values else None) == profile


def test_more_names_are_stricter_and_what_is_no_name_is_refused() -> None:
    layer = "[apparmor]\nprofile = '{}'\n"
    both = composed(layer.format("web"), "[apparmor]\nprofile = ['web', 'base']\n", by=[Apparmor()])
    assert both.settings["apparmor"] == BOTH
    for text, wrong in (("unconfined", "confines nothing"), ("a b", "not the name"), ("a//&", "not the name")):
        with pytest.raises(ProfileError, match=wrong):
            composed(layer.format(text), by=[Apparmor()])
    with pytest.raises(ProfileError, match=r"apparmor\.profile"):
        composed(layer.format("web"), layer.format("base"), by=[Apparmor()])
