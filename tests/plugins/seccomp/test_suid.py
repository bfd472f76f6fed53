"""The restriction in the model: what marks a file is denied, for every filter and architecture, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import ProfileError
from hardening_seccomp import Seccomp, bpf, suid
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, Action, is_denial
from hardening_seccomp.build import token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import apply, constant
from hardening_seccomp.filters import Filter, intersect, is_no_looser_than
from hardening_seccomp.spans import kernel_token
from tests.plugins.seccomp import generate
from tests.plugins.seccomp.stacks import composed, context
from tests.plugins.seccomp.stacks import settings as composed_settings

LIBRARY = Libseccomp.load()
MAKE, TMPFILE = 0o100, 0o20000000
#: A call that marks a file -> the place of its mode, and arguments with which it does.
WAYS = {
    "chmod": (1, {}),
    "fchmod": (1, {}),
    "fchmodat": (2, {}),
    "fchmodat2": (2, {}),
    "creat": (1, {}),
    "mknod": (1, {}),
    "mknodat": (2, {}),
    "open": (2, {1: MAKE}),
    "openat": (3, {2: TMPFILE | 2}),
}
ARCHITECTURES = [("x86_64",), ("x86_64", "x86", "x32"), ("aarch64", "arm"), ("mipsel64", "mipsel")]


def vector(mode: int, place: int, others: dict[int, int]) -> list[int]:
    return [{place: mode, **others}.get(index, 0) for index in range(6)]


@pytest.mark.parametrize("names", ARCHITECTURES)
@pytest.mark.parametrize("default", [ALLOW, ENOSYS])
def test_no_mode_with_such_a_bit_passes_the_program(names: tuple[str, ...], default: Action) -> None:
    rules = dict.fromkeys([*WAYS, "openat2", "io_uring_setup", "setxattr", "read"], constant(ALLOW))
    model = Filter(default, rules, frozenset(names))
    compiled = compile_filter(suid.restricted(model, may_set_capabilities=True).normal(), LIBRARY)
    assert not compiled.written
    program = bpf.decode(compiled.program)
    for name in names:
        numbers, token = LIBRARY.names(token_of(LIBRARY, name)), kernel_token(LIBRARY, name)
        for call, (place, others) in WAYS.items():
            if numbers.get(call, -1) < 0:
                continue
            for bits in (0o4000, 0o2000, 0o6000):
                for junk in (0, 0o100755, 1 << 31 | 0o777):
                    assert (
                        bpf.evaluate(program, token, numbers[call], vector(bits | junk, place, others)).action == EPERM
                    )
            assert bpf.evaluate(program, token, numbers[call], vector(0o1777, place, others)).action == ALLOW
        assert bpf.evaluate(program, token, numbers["openat2"], (0,) * 6).action == ENOSYS
        assert bpf.evaluate(program, token, numbers["io_uring_setup"], (0,) * 6).action == ENOSYS
        assert is_denial(bpf.evaluate(program, token, numbers["setxattr"], (0,) * 6).action)
        assert bpf.evaluate(program, token, numbers["read"], (0o6000,) * 6).action == ALLOW


def test_what_an_open_finds_is_not_judged_by_a_mode_that_nobody_reads() -> None:
    model = suid.restricted(Filter(ALLOW, {}, frozenset({"x86_64"})), may_set_capabilities=False)
    assert model.rule("openat").value((0, 0, 2, 0o6777, 0, 0)) == ALLOW
    assert "setxattr" not in model.rules


@settings(deadline=None)
@given(generate.rules(3), st.sampled_from(sorted(WAYS)), st.sampled_from([ENOSYS, ALLOW, KILL_PROCESS]))
def test_it_only_takes_away(rule: Rule, name: str, default: Action) -> None:
    model = Filter(default, {name: rule}, frozenset({"x86_64"}))
    after = suid.restricted(model, may_set_capabilities=True)
    assert is_no_looser_than(after, model)
    assert suid.restricted(after, may_set_capabilities=True).normal() == after.normal()
    place, others = WAYS[name]
    assert is_denial(after.rule(name).value(vector(0o4755, place, others)))
    # A filter that joins later, as one of `apply` does, takes nothing back.
    joined = intersect(after, Filter(ALLOW, {}, after.architectures)).rule(name)
    assert set(apply(lambda a, b: is_denial(a) == is_denial(b), joined, after.rule(name)).leaves) == {True}


def test_the_default_restricts_and_false_needs_an_exception_once_it_is_said(tmp_path: Path) -> None:
    assert composed_settings(tmp_path, "").restrict_suid_sgid is True
    loose = "[seccomp]\nrestrict_suid_sgid = false\n"
    assert composed_settings(tmp_path, loose).restrict_suid_sgid is False
    with pytest.raises(ProfileError, match="is looser"):
        composed(tmp_path, "[seccomp]\nrestrict_suid_sgid = true\n", loose)
    limited = composed_settings(tmp_path, "[limits.seccomp]\nrestrict_suid_sgid = true\n", "")
    assert limited.restrict_suid_sgid is True


def test_what_it_overrules_is_told_and_what_it_does_not_hold(tmp_path: Path) -> None:
    def told(text: str) -> set[str]:
        found = composed(tmp_path, text)
        every = Seccomp().findings(found.settings["seccomp"], attrs.evolve(context(), composed=found.composed))
        return {item.leaf for item in every if item.rule == "seccomp/overruled"}

    ring = '[seccomp]\nallow = ["io_uring_setup"]\n'
    assert told(ring) == {"seccomp.io_uring_setup"}
    assert told(ring + "restrict_suid_sgid = false\n") == set()
    assert told('[capabilities]\nadd = ["SETFCAP"]\n') >= {"seccomp.setxattr", "seccomp.fsetxattr"}
    loose = composed_settings(tmp_path, "[seccomp]\nrestrict_suid_sgid = false\n")
    assert "seccomp/set-id-files" in {item.rule for item in Seccomp().findings(loose, context())}
