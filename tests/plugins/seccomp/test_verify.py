"""Filters of receipts held against the composed one: the program itself, else its digest and the number of filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.base import digest
from hardening.mechanism.mechanism import State
from hardening_seccomp.compile import Compiled, compile_filter
from hardening_seccomp.spec import filter_of
from hardening_seccomp.verify import OTHER_ARCHITECTURE, OTHER_CALLS, verify
from tests.plugins.seccomp.stacks import context, settings, this_host

ALLOW_ALL = "06000000" + (0x7FFF0000).to_bytes(4, "little").hex()
LOOSE = '[seccomp]\nallow = ["@strict", "ptrace"]\n'


def compiled(folder: Path, text: str = "") -> Compiled:
    on = this_host()
    library = next(fact for fact in on.facts.values() if hasattr(fact, "required_library")).required_library()
    return compile_filter(filter_of(settings(folder, text), context(on)), library)


def states(
    folder: Path, text: str = "", *, filters: list[str] | None, loaded: str | None, number: str = "1", **status: str
) -> list[State]:
    """What comes of the filter and of its flags; the caller has none."""
    receipt: dict[str, Any] = {
        "status": {"Seccomp": "2", "Seccomp_filters": number, **status},
        "seccomp": {"filters": filters, "digest": loaded, "caller": 0},
    }
    return [item.state for item in verify(settings(folder, text), context(), receipt)]


def test_a_filter_that_was_read_back_is_judged_by_what_it_answers(tmp_path: Path) -> None:
    strict, loose = compiled(tmp_path), compiled(tmp_path, LOOSE)
    digests = [digest.of_filter(item.document, item.program) for item in (strict, loose)]
    assert states(tmp_path, filters=[strict.program.hex()], loaded=digests[0]) == [State.HOLDS, State.HOLDS]
    assert states(tmp_path, LOOSE, filters=[strict.program.hex()], loaded=digests[0])[0] is State.HOLDS
    assert states(tmp_path, filters=[loose.program.hex()], loaded=digests[0])[0] is State.DIFFERS
    for text in ('default = "log"\nallow = ["@strict"]', 'architectures.add = ["x86"]', "restrict_suid_sgid = false"):
        other = compiled(tmp_path, f"[seccomp]\n{text}\n").program.hex()
        assert states(tmp_path, filters=[other], loaded=None)[0] is State.DIFFERS
    # The strictest answer counts, whichever filter gives it.
    assert states(tmp_path, filters=[ALLOW_ALL, strict.program.hex()], loaded=None)[0] is State.HOLDS
    for others in ([], [ALLOW_ALL], [ALLOW_ALL, loose.program.hex()]):
        assert states(tmp_path, filters=others, loaded=digests[0])[0] is State.DIFFERS


def test_calls_that_are_answered_more_loosely_are_named(tmp_path: Path) -> None:
    def words(text: str) -> str:
        receipt = {
            "status": {}, "seccomp": {"filters": [compiled(tmp_path, text).program.hex()], "digest": None, "caller": 0}
        }  # fmt: skip
        return next(iter(verify(settings(tmp_path), context(), receipt))).kernel

    assert words(LOOSE) == "looser: ptrace"
    assert words('[seccomp]\narchitectures.add = ["x86"]\n') == f"looser: {OTHER_ARCHITECTURE}"
    whole = words('[seccomp]\ndefault = "allow"\n')
    assert whole.startswith("looser: ")
    assert whole.endswith(" and others")
    assert "ptrace" not in whole
    assert not {"*", OTHER_CALLS} & set(whole.removeprefix("looser: ").split(", "))


def test_a_filter_that_cannot_be_judged_is_not_seen(tmp_path: Path) -> None:
    arithmetic = "20000000" + "00" * 4 + "04000000" + "01000000" + "06000000" + "0000ff7f"
    assert states(tmp_path, filters=[arithmetic], loaded=None)[0] is State.NOT_SEEN
    assert states(tmp_path, filters=["zz"], loaded=None)[0] is State.NOT_SEEN


@pytest.mark.parametrize("native", [True, False])
def test_else_the_digest_and_one_filter_beyond_the_caller_s_tell(tmp_path: Path, *, native: bool) -> None:
    strict, loose = (
        digest.of_filter(item.document, item.program) if native else digest.sha256(digest.canonical(item.document))
        for item in (compiled(tmp_path), compiled(tmp_path, LOOSE))
    )
    assert states(tmp_path, filters=None, loaded=strict) == [State.HOLDS, State.HOLDS]
    assert states(tmp_path, filters=None, loaded=loose)[0] is State.DIFFERS
    assert states(tmp_path, filters=None, loaded=None)[0] is State.DIFFERS
    for number in ("0", "2", "many"):
        assert states(tmp_path, filters=None, loaded=strict, number=number)[0] is State.DIFFERS


def test_flags_are_those_that_were_loaded_or_what_the_kernel_mitigates(tmp_path: Path) -> None:
    program = [compiled(tmp_path).program.hex()]
    vulnerable = {"Speculation_Store_Bypass": "vulnerable", "SpeculationIndirectBranch": "always enabled"}
    safe = {"Speculation_Store_Bypass": "thread force mitigated", "SpeculationIndirectBranch": "not affected"}
    assert states(tmp_path, filters=program, loaded=None, **vulnerable)[1] is State.NOT_SEEN
    assert states(tmp_path, filters=program, loaded=None)[1] is State.NOT_SEEN
    assert states(tmp_path, filters=program, loaded=None, **safe)[1] is State.HOLDS
    loose = '[seccomp]\nflags = ["spec-allow"]\n'
    assert states(tmp_path, loose, filters=program, loaded=None, **vulnerable)[1] is State.HOLDS
