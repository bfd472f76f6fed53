"""The filter that is learnt: what was called, what does the same, what each program needs, and nothing else."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.learn import layer
from hardening.learn.recording import Recording, Run
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import SIGNIFICANT, Evidence, LearntStatement, Usage, normal
from hardening.mechanism.mechanism import Context
from hardening_seccomp import Seccomp, groups, learnt
from hardening_seccomp.actions import is_denial
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from tests.plugins.seccomp.stacks import composed, context, settings, this_host

BASE = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@strict", "@network"]\n'
HOST = this_host()
X86_64 = 0xC000003E
NATIVE = HOST.of(SeccompFacts).native_names
RECORDING = Recording(frozenset({Run("a", "2026-11-29", "sh", "6.1.0 x86_64", frozenset())}))


def use(name: str, *arguments: int, often: int = 1, text: str = "") -> Usage:
    padded = (*arguments, *[0] * (6 - len(arguments)))
    return Usage(normal(SystemCall(name, 0, X86_64, padded, Caller(1), text=text)), often, 1, ("sh",))


def statements(folder: Path, *uses: Usage, base: str = BASE) -> list[LearntStatement]:
    found = Seccomp().learnt(settings(folder, base), context(), Evidence(uses, 1, {}))
    return list(found)


def after(folder: Path, said: list[LearntStatement], base: str = BASE) -> SeccompSettings:
    """The settings with the layer of some statements over the base."""
    text = layer.text((), RECORDING, {"seccomp": said}, ()).replace("extends = []\n", "")
    found = composed(folder, base, text).settings["seccomp"]
    assert isinstance(found, SeccompSettings)
    return found


def permits(found: SeccompSettings, name: str, *arguments: int) -> bool:
    return not is_denial(found.syscalls[name].value([*arguments, *[0] * (6 - len(arguments))]))


def test_what_was_called_is_allowed_and_nothing_else(tmp_path: Path) -> None:
    said = statements(tmp_path, use("openat"), use("socket", 1), use("ioctl", 0, 0x8927), use("accept4"))
    found = after(tmp_path, said)
    assert all(permits(found, name) for name in ("openat", "accept4", "exit_group", "rt_sigreturn"))
    assert permits(found, "socket", 1)
    assert permits(found, "ioctl", 0, 0x8927)
    assert permits(found, "ioctl", 0, 0x5401)  # whether a descriptor is a terminal
    assert not any(permits(found, name) for name in ("mkdir", "bind", "ptrace"))
    assert not permits(found, "socket", 2)
    assert not permits(found, "ioctl", 0, 0x8933)


def test_what_does_the_same_is_allowed_as_far_as_the_base_allows_it(tmp_path: Path) -> None:
    found = after(tmp_path, statements(tmp_path, use("openat"), use("fork"), use("poll")))
    assert all(permits(found, name) for name in ("open", "openat2", "ppoll", "clone", "vfork") if name in NATIVE)
    assert not permits(found, "clone", 0x10000000)  # CLONE_NEWUSER
    assert not permits(found, "clone3")  # which the base answers, so that a C library falls back


def test_what_the_base_denies_is_a_loosening_that_can_be_left_out(tmp_path: Path) -> None:
    said = statements(tmp_path, use("read"), use("ptrace", 16), use("clone", 0x10000000), use("chmod", 0, 0o4755))
    leaves = layer.loosened({"seccomp": said})
    assert set(leaves) == {"seccomp.ptrace", "seccomp.clone", "seccomp.restrict_suid_sgid"}
    found = after(tmp_path, said)
    assert permits(found, "ptrace", 16)
    assert not permits(found, "ptrace", 0)
    assert permits(found, "clone", 0x10000000)
    assert not found.restrict_suid_sgid
    found = after(tmp_path, list(layer.without({"seccomp": said}, leaves)["seccomp"]))
    assert not permits(found, "ptrace", 16)
    assert not permits(found, "clone", 0x10000000)
    assert found.restrict_suid_sgid


def test_of_one_call_some_arguments_may_be_a_loosening_and_others_not(tmp_path: Path) -> None:
    said = statements(tmp_path, use("socket", 1), use("socket", 38))
    assert set(layer.loosened({"seccomp": said})) == {"seccomp.socket"}
    assert all(permits(after(tmp_path, said), "socket", family) for family in (1, 38))
    found = after(tmp_path, list(layer.without({"seccomp": said}, ["seccomp.socket"])["seccomp"]))
    assert [permits(found, "socket", family) for family in (1, 2, 38)] == [True, False, False]


def test_each_line_says_how_often_and_by_whom(tmp_path: Path) -> None:
    comments = {
        str(one.value): one.comment for one in statements(tmp_path, use("read", often=3)) if one.key == ("allow",)
    }
    assert comments["read"] == "3 calls in 1 run, by sh"
    assert comments["readv"] == "as read"
    assert comments["exit_group"] == "each program"


def test_of_netlink_each_protocol_is_told_apart(tmp_path: Path) -> None:
    said = statements(tmp_path, use("socket", 16, 3, 0), use("socket", 2, 1, 6))
    found = after(tmp_path, said)
    assert [permits(found, "socket", 16, 3, protocol) for protocol in (0, 4)] == [True, False]
    assert [permits(found, "socket", 2, 1, protocol) for protocol in (0, 6)] == [True, True]
    audit = statements(tmp_path, use("socket", 16, 3, 9))
    assert layer.loosened({"seccomp": audit}).keys() == {"seccomp.socket"}
    assert [permits(after(tmp_path, audit), "socket", 16, 3, protocol) for protocol in (0, 9)] == [False, True]


def test_a_rule_says_in_words_what_it_allows(tmp_path: Path) -> None:
    uses = [
        use("ioctl", 0, 0x5413, text="ioctl pipe TIOCGWINSZ"),
        use("ioctl", 0, 0x5413, text="ioctl /dev/null TIOCGWINSZ"),
        use("prctl", 23, text="prctl PR_CAPBSET_READ 32"),
    ]
    rules = [(one.value, one.comment) for one in statements(tmp_path, *uses) if one.key == ("rules",)]
    found = {comment: value["args"] for value, comment in rules if isinstance(value, dict)}
    assert found["ioctl TIOCGWINSZ: 2 calls in 1 run, by sh"] == [{"index": 1, "op": "eq", "value": 0x5413}]
    assert "prctl PR_CAPBSET_READ 32: 1 call in 1 run, by sh" in found
    # What is usual, neighbours in one rule.
    ends = [{"index": 1, "op": "ge", "value": 0x5401}, {"index": 1, "op": "le", "value": 0x5404}]
    assert found["TCGETS, TCSETS, TCSETSW, TCSETSF: each program"] == ends
    assert found["PR_SET_NAME, PR_GET_NAME: each program"][0] == {"index": 0, "op": "ge", "value": 15}


def test_an_old_call_stands_for_new_ones_and_not_the_other_way(tmp_path: Path) -> None:
    found = after(tmp_path, statements(tmp_path, use("creat"), use("fstat"), use("pread64")))
    assert all(
        permits(found, name) for name in ("creat", "open", "openat", "openat2", "newfstatat", "statx") if name in NATIVE
    )
    assert not any(permits(found, name) for name in ("stat", "lstat", "preadv"))
    found = after(tmp_path, statements(tmp_path, use("openat"), use("newfstatat")))
    assert not permits(found, "creat")
    assert all(permits(found, name) for name in ("fstat", "stat", "lstat", "statx") if name in NATIVE)


def test_what_programs_could_call_is_allowed_as_far_as_the_base_allows_it(tmp_path: Path) -> None:
    could = [
        attrs.evolve(use(name), often=0, runs=0) for name in ("mkdir", "prctl", "ioctl", "socket", "openat2", "bpf")
    ]
    said = statements(tmp_path, use("openat"), *could)
    comments = {str(one.value): one.comment for one in said if one.key == ("allow",)}
    assert comments["mkdir"] == comments["prctl"] == comments["@ioctl"] == "not seen, but sh could make it"
    assert comments["openat2"] == "as openat"
    assert "bpf" not in comments
    assert not layer.loosened({"seccomp": said})
    found = after(tmp_path, said)
    assert permits(found, "socket", 2)
    assert not permits(found, "socket", 38)
    assert not permits(found, "ioctl", 0, 0x5412)


def test_what_is_usual_is_allowed_as_far_as_the_base_allows_it(tmp_path: Path) -> None:
    base = (
        BASE
        + '[[seccomp.rules]]\nnames = ["ioctl"]\naction = "errno:EPERM"\nargs = [{index = 1, op = "eq", value = 0x5403}]\n'
    )
    said = statements(tmp_path, use("ioctl", 0, 0x5401), base=base)
    found = after(tmp_path, said, base=base)
    assert [permits(found, "ioctl", 0, value) for value in (0x5402, 0x5403, 0x5404)] == [True, False, True]


def test_without_evidence_nothing_is_learnt(tmp_path: Path) -> None:
    assert statements(tmp_path) == []


@given(
    st.lists(
        st.builds(
            use,
            st.sampled_from(sorted({*SIGNIFICANT, "read", "openat", "mount", "accept4", "clone3"} & NATIVE)),
            *[st.integers(0, 0x7F020011)] * 2,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_call_that_was_seen_is_permitted_by_what_is_learnt(
    tmp_path_factory: pytest.TempPathFactory, uses: list[Usage]
) -> None:
    folder = tmp_path_factory.mktemp("layers")
    merged = {one.call: one for one in uses}
    found = after(folder, statements(folder, *merged.values()))
    for one in uses:
        assert permits(found, one.call.name, *one.call.arguments), one.call


def test_a_recording_may_be_asked_for_everything_but_what_a_limit_forbids(tmp_path: Path) -> None:
    def limit(leaf: object, otherwise: object = None) -> object:
        return "deny" if str(leaf) == "seccomp.ptrace" else otherwise

    bound = attrs.evolve(context(), limit=limit)
    assert isinstance(bound, Context)
    table, names = Seccomp().recording(settings(tmp_path, BASE), bound)
    assert table == {"allow": list(names)}
    assert {"mount", "bpf", "clone3"} <= set(names)
    assert not {"read", "ptrace"} & set(names)


def test_the_data_file_names_calls_that_there_are() -> None:
    known = learnt.load()
    assert known.always | known.usual.keys() <= groups.load().names
    assert known.usual.keys() <= SIGNIFICANT.keys()
