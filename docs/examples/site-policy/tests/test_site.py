import json
from pathlib import Path

import acme_site
import pytest

from hardening.api import Candidate, Verdict
from hardening.testing import check_policy, composed, plain


@pytest.fixture
def never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(acme_site, "NEVER", tmp_path / "never")
    return tmp_path / "never"


def judged(**sets: list[str]) -> Verdict | None:
    document = {"process": {"capabilities": sets}}
    return acme_site.hardening_admit(Candidate(json.dumps(document).encode(), plain()))


def test_it_keeps_to_what_judges_are_held_to(never: Path) -> None:
    never.write_text("CAP_CHOWN\n")
    document = {"process": {"capabilities": {"bounding": ["CAP_CHOWN"]}}}
    assert check_policy(acme_site, plain(), composed("", by=[]), document) == []


def test_what_is_on_the_list_never_runs(never: Path) -> None:
    assert judged(bounding=["CAP_SYS_ADMIN"]) is None
    never.write_text("CAP_SYS_ADMIN\nCAP_BPF\n")
    assert judged(bounding=["CAP_CHOWN"]) is None
    verdict = judged(bounding=["CAP_CHOWN", "CAP_BPF"], ambient=["CAP_SYS_ADMIN"])
    assert verdict is not None
    assert [refusal.pointer.rpartition("/")[2] for refusal in verdict.refusals] == ["ambient", "bounding"]


def test_a_profile_says_what_it_is_for() -> None:
    (finding,) = acme_site.hardening_inspect(composed("", "description = 'of the team'", by=[]))
    assert (finding.rule, finding.origin) == ("acme-site/description", "a.toml")
