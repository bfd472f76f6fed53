"""The `[scan]` table: how it is read, what it permits, and when there is a gate."""

from __future__ import annotations

import pytest

from hardening.errors import HardeningError
from hardening_scan import Scan
from hardening_scan.settings import ScanSettings
from tests.support.texts import composed


def settings(*texts: str) -> ScanSettings:
    found = composed(*texts, by=[Scan()]).settings["scan"]
    assert isinstance(found, ScanSettings)
    return found


def test_nothing_is_gated_by_default() -> None:
    assert settings("").gated == ()
    assert settings("scan.setuid.allow = ['/usr/bin/su']").gated == ()


@pytest.mark.parametrize(
    "text", ["scan.setuid = 'deny'", "scan.setuid = []", "scan.setuid.deny = ['/a']", "scan.setuid.default = 'deny'"]
)
def test_whoever_denies_something_has_a_gate(text: str) -> None:
    assert settings(text).gated == ("setuid",)


def test_the_nearest_path_counts() -> None:
    found = settings("[scan.setuid]\ndefault = 'deny'\nallow = ['/usr']\ndeny = ['/usr/local/']")
    assert found.permits("setuid", "/usr/bin/su")
    assert not found.permits("setuid", "/usr/local/bin/su")
    assert not found.permits("setuid", "/usrx")
    assert not found.permits("setuid", "/bin/su")
    assert found.permits("setgid", "/bin/su")


def test_an_array_denies_all_others() -> None:
    found = settings("scan.setuid = ['/usr/bin/su']")
    assert found.permits("setuid", "/usr/bin/su")
    assert not found.permits("setuid", "/usr/bin/passwd")


def test_a_later_layer_denies_and_does_not_allow() -> None:
    assert not settings("scan.setuid = ['/a', '/b']", "scan.setuid = ['/a']").permits("setuid", "/b")
    with pytest.raises(HardeningError, match="looser"):
        settings("scan.setuid = 'deny'", "scan.setuid.allow = ['/a']")
    with pytest.raises(HardeningError):
        settings("limits.scan.setuid = 'deny'", "scan.setuid.allow = ['/a']")
    with pytest.raises(HardeningError, match="looser"):
        settings("scan.command = ['a', '{root}']", "scan.command = []")


@pytest.mark.parametrize(
    "text",
    [
        "setuid = 'maybe'", "setuid = 1", "setuid = ['relative']", "setuid = ['/a/../b']", "setuid = ['*']",
        "setuid.also = ['/a']", "unread = 'allow'", "suid = 'deny'", "command = ['{root}']", "command = ['scanner']",
        "command = ['./scanner', '{root}']",
        "command = ['bin/scanner', '{root}']",
        "setuid = { allow = ['/a'], deny = ['/a'] }",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(HardeningError, match=r":1: scan\.|:2: scan\."):
        settings(f"[scan]\n{text}")
