"""What a gate says of what it refuses: what decided it, and a way out where there is one."""

from __future__ import annotations

import shlex

import pytest

from hardening.errors import ProfileError
from hardening.mechanism import host
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.scanner import Detection
from hardening.plugin.admission import Candidate
from hardening_scan import Scan, admission
from hardening_scan.examine import Scanned
from hardening_scan.settings import ScanSettings
from tests.support.texts import composed

SU = Detection("setuid", "/bin/su", "mode 4755")
SHUT = Detection("unread", "/shut", "cannot be listed: Permission denied")
FULL = Detection("unread", "/", "more than 5000000 files: the rest is not looked at")
LIMIT = "[limits.scan]\nsetuid = 'deny'"


def refused(found: Detection, *texts: str) -> list[Refusal]:
    composition = composed(*texts, by=[Scan()])
    settings = composition.settings["scan"]
    assert isinstance(settings, ScanSettings)
    return list(admission.refusals(Scanned((found,), (), 1), settings, composition))


@pytest.mark.parametrize("found", [SU, SHUT])
def test_the_hint_permits_exactly_what_is_refused(found: Detection) -> None:
    gate = "scan.setuid = 'deny'"
    (refusal,) = refused(found, gate)
    words = shlex.split(refusal.hint.partition("permit it: ")[2])
    assert words == ["--set", f'scan.setuid.allow=["{found.path}"]', "--exception", f"scan.setuid.{found.path}=REASON"]
    exception = f"[[exceptions]]\nsetting = 'scan.setuid.{found.path}'\nreason = 'x'"
    assert refused(found, gate, f"{words[1]}\n{exception}") == []


@pytest.mark.parametrize("found", [SU, SHUT, FULL])
def test_under_a_limit_the_limit_is_named_and_nothing_is_offered_that_it_refuses(found: Detection) -> None:
    (refusal,) = refused(found, LIMIT)
    assert "scan.setuid.* is deny, a limit set at" in refusal.hint
    assert refusal.hint.endswith("no exception lifts a limit")


def test_what_was_not_looked_at_is_refused_as_what_it_may_be_and_no_other_setting_opens_it() -> None:
    (refusal,) = refused(SHUT, "scan.setuid = 'deny'\nscan.devices = 'deny'")
    assert "may have what scan.setuid, scan.devices deny, as it was not looked at: /shut (cannot be" in refusal.reason
    assert refused(SHUT, "scan.setuid.deny = ['/opt']") == []
    assert refused(SHUT, "scan.setuid.deny = ['/shut/below']") != []
    assert refused(SHUT, "scan.setuid = ['/shut']") == []
    with pytest.raises(ProfileError):
        refused(SHUT, "scan.setuid = 'deny'", "scan.unread = 'allow'")
    with pytest.raises(ProfileError):
        refused(SHUT, LIMIT, "scan.setuid.allow = ['/shut']")


def test_what_is_left_unseen_in_the_whole_root_has_no_exception() -> None:
    for gate in ("scan.setuid = 'deny'", "scan.setuid.deny = ['/opt']", "scan.setuid = ['/bin']"):
        (refusal,) = refused(FULL, gate)
        assert "allow" not in refusal.hint
        assert refusal.hint.endswith("fix what is reported there")


def test_the_hint_for_the_root_itself_can_be_typed() -> None:
    gate = "scan.external = 'deny'"
    (refusal,) = refused(Detection("external", "/", "tool: exit code 1"), gate)
    words = shlex.split(refusal.hint.partition("all of the kind: ")[2])
    assert words == ["--set", "scan.external.default=allow", "--exception", "scan.external.*=REASON"]
    exception = "[[exceptions]]\nsetting = 'scan.external.*'\nreason = 'x'"
    assert refused(FULL, gate, f"scan.external.default = 'allow'\n{exception}") == []


def test_what_a_scanner_says_drives_no_terminal() -> None:
    (refusal,) = refused(Detection("external", "/a", "tool: a\n\x1b]0;x\x07"), "scan.external = 'deny'")
    assert refusal.reason.isprintable()


@pytest.mark.parametrize(("text", "offered"), [("scan.setuid = 'deny'", True), (LIMIT, False)])
def test_the_host_s_root_goes_without_a_scan_where_no_limit_asks_for_one(text: str, offered: bool) -> None:
    composition = composed(text, by=[Scan()])
    candidate = Candidate(b'{"root": {"path": "rootfs"}}', host.plain(), composition)
    settings = composition.settings["scan"]
    assert isinstance(settings, ScanSettings)
    verdict = admission.admit(candidate, settings, {})
    assert verdict is not None
    (refusal,) = verdict.refusals
    assert "the host's own root is not scanned" in refusal.reason
    assert ("or go without a scan: --set scan.setuid=allow" in refusal.hint) == offered
