"""A filter that asks a tracer, evaluated as the kernel evaluates it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from hardening.assemble.pipeline import examine
from hardening.base.digest import ANNOTATION, of_filter
from hardening.errors import LaunchError
from hardening.launch.config import bundle
from hardening.trace import calls, recording
from hardening_seccomp import bpf
from hardening_seccomp.actions import ActionKind
from hardening_seccomp.spec import filter_of
from tests.plugins.seccomp import kernel
from tests.support import shipped

ARCHITECTURE = calls.native("read", 0).architecture
OTHER = calls.MACHINES[os.uname().machine][1]


def number(name: str) -> int:
    return calls.native(name, 0).number


def denying(*names: str) -> bytes:
    """A filter that answers EPERM to some calls, logs uname(2), asks about sync(2), and permits all else."""
    steps = [bpf.Instruction(bpf.LD_ABS, 0, 0, 0)]
    for name, answer in (
        *((name, 0x00050001) for name in names),
        ("uname", 0x7FFC0000),
        ("sync", 0x7FF00007),
        ("read", 0x7FFF0000),
    ):
        steps += [
            bpf.Instruction(bpf.JMP | bpf.JEQ, 0, 1, number(name)),
            bpf.Instruction(bpf.RET_K, 0, 0, answer),
        ]
    return bpf.encode((*steps, bpf.Instruction(bpf.RET_K, 0, 0, 0x7FFF0000)))


def test_what_is_permitted_is_asked_about_and_what_is_denied_is_not() -> None:
    plain = bpf.decode(denying("mkdirat", "write"))
    program = bpf.decode(recording.asking(bpf.encode(plain)))
    unseen = {found for token, found in calls.numbers(*recording.UNSEEN) if token == ARCHITECTURE}
    for one in range(470):
        before = bpf.evaluate(plain, ARCHITECTURE, one).action.kind
        after = bpf.evaluate(program, ARCHITECTURE, one, (0,) * 6).action.kind
        if before in (ActionKind.ERRNO, ActionKind.TRACE):
            assert after is ActionKind.ERRNO
        else:
            assert after is (ActionKind.ALLOW if one in unseen else ActionKind.TRACE), one
    assert bpf.evaluate(program, OTHER, number("read") + 1).action.kind in (ActionKind.TRACE, ActionKind.ERRNO)


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("sendto", (9, 9, 9, 9, 0, 9), ActionKind.TRACE),
        ("mmap", (0, 4096, 3, 2, 5, 0), ActionKind.ALLOW),
        ("mmap", (0, 4096, 5, 2, 5, 0), ActionKind.TRACE),
        ("mprotect", (4, 4, 1, 4, 4, 4), ActionKind.ALLOW),
        ("mprotect", (0, 0, 7, 0, 0, 0), ActionKind.TRACE),
        ("prlimit64", (0, 3, 0, 0x7FFC00000000, 0, 0), ActionKind.ALLOW),
        ("prlimit64", (0, 3, 0x7FFC00000010, 0, 0, 0), ActionKind.TRACE),
        ("prlimit64", (0, 3, 0x100000000, 0, 0, 0), ActionKind.TRACE),
        ("fcntl", (5, fcntl.F_SETFL, 5, 0, 0, 0), ActionKind.ALLOW),
        ("fcntl", (0, fcntl.F_GETLK, 0, 0, 0, 0), ActionKind.TRACE),
        ("fcntl", (0, 1033, 0, 0, 0, 0), ActionKind.TRACE),
    ],
)
def test_some_calls_are_asked_about_for_what_they_are_given(
    name: str, arguments: tuple[int, ...], kind: ActionKind
) -> None:
    """Memory that is to be executed, a limit that is set, and more of a descriptor than a copy and flags."""
    program = bpf.decode(recording.asking(denying("mkdirat")))
    assert bpf.evaluate(program, ARCHITECTURE, number(name), arguments).action.kind is kind


def test_the_kernel_takes_it() -> None:
    assert kernel.accepts(number("seccomp"), recording.asking(denying("mkdirat")))


def test_a_filter_that_leaves_no_room() -> None:
    full = bpf.encode((bpf.Instruction(bpf.LD_ABS, 0, 0, 0),) * 4095 + (bpf.Instruction(bpf.RET_K, 0, 0, 0),))
    with pytest.raises(LaunchError, match="no room"):
        recording.asking(full)


def test_a_bundle_is_prepared_with_the_digest_of_its_new_filter(tmp_path: Path) -> None:
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW"}
    program = denying("mkdirat")
    document = {"linux": {"seccomp": seccomp}, "annotations": {ANNOTATION: of_filter(seccomp, program)}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    (tmp_path / "seccomp.bpf").write_bytes(program)
    os.chmod(tmp_path / "seccomp.bpf", 0o600)
    recording.prepare(tmp_path)
    loaded = bundle.load(str(tmp_path))
    bundle.check_filter(loaded)
    assert (tmp_path / "seccomp.bpf").read_bytes() == recording.asking(program)
    assert (tmp_path / "seccomp.bpf").stat().st_mode & 0o777 == 0o600
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LaunchError, match="no filter"):
        recording.prepare(tmp_path)


def test_what_a_recording_does_not_see_strict_permits() -> None:
    _, host = shipped.here()
    composition = shipped.composed(["strict"])
    model = filter_of(composition.settings["seccomp"], examine(composition, host))
    answers = {name: model.rule(name).leaves for name in recording.UNSEEN if calls.number(name) is not None}
    assert answers
    assert not {name for name, leaves in answers.items() if any(leaf.kind is not ActionKind.ALLOW for leaf in leaves)}
