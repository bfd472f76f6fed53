"""What a system call answers that a shipped profile refuses, asked of the kernel: ENOSYS where programs do without it, and
for every number that no call has, else EPERM."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from hardening.assemble import bundle, pipeline
from hardening_seccomp import groups
from hardening_seccomp.actions import is_denial
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spec import filter_of, is_young
from tests.plugins.seccomp import kernel
from tests.support import runs, shipped
from tests.support.features import require
from tests.support.runs import RUNTIMES
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PROFILES = ("base", "strict", "default", "web", "batch", "build", "debug")
#: `base` states nothing: what it leaves strict, this host or an older runc may not have.
ALONE = '[selinux]\nrequirement = "best-effort"\n[namespaces]\ntime = "host"\n'
ZEROS = (0,) * 6
#: A gap of the table, where its calls end and long after.
NO_CALL = (337, 400, 423, *range(470, 512), 999, 1023, 4095, 0x3FFFFFFF)
#: Of the first the kernel asks no filter (seccomp(2)); the others the oldest filter of `kernel.verdicts` lets run.
UNASKED = ("uretprobe", "exit_group", "seccomp")
#: What `restrict_suid_sgid` takes away.
HIDDEN = ("openat2", "io_uring_setup")
#: Makes the calls of these numbers, and says what each answered.
ASK = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
print(json.dumps([
    errno.errorcode[ctypes.get_errno()] if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) < 0 else "ran"
    for number in json.loads(sys.argv[1])
]))
"""


def stack_of(profile: str, folder: Path) -> Sequence[str]:
    return (profile, shipped.layer(folder, "alone", ALONE)) if profile == "base" else (profile,)


def words(settings: SeccompSettings, facts: SeccompFacts) -> Iterator[tuple[int, str]]:
    """What a call of each number should come to, with 0 for every argument."""
    library, fallback = facts.required_library(), groups.load().fallbacks
    yield from ((number, "ENOSYS") for number in NO_CALL)
    for name, number in library.names(library.native()).items():
        rule = settings.syscalls[name]
        if name in UNASKED:
            continue
        if (name in fallback and (name in HIDDEN or is_denial(rule.value(ZEROS)))) or is_young(name, library):
            yield number, "ENOSYS"
        elif not is_denial(rule.value(ZEROS)):
            yield number, kernel.RAN
        else:
            yield number, "EPERM" if rule.is_constant else "EAFNOSUPPORT"


@pytest.mark.parametrize("profile", PROFILES)
def test_each_call_of_the_table_has_the_word_that_means_something(profile: str, tmp_path: Path) -> None:
    """None of the calls is made."""
    require("seccomp")
    _, host = shipped.here()
    composition = shipped.composed(stack_of(profile, tmp_path))
    settings = composition.settings["seccomp"]
    assert isinstance(settings, SeccompSettings)
    facts = host.of(SeccompFacts)
    compiled = compile_filter(filter_of(settings, pipeline.check(composition, host, None)), facts.required_library())
    expected = dict(words(settings, facts))
    answers = kernel.verdicts([compiled.program], [(facts.native, number, ZEROS) for number in expected])
    said = dict(zip(expected, answers, strict=True))
    assert {number: word for number, word in said.items() if word != expected[number]} == {}
    assert {"EPERM", "ENOSYS", kernel.RAN} <= set(said.values())


def asked(profile: str, runtime: str, user: User | None) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """What is expected of calls that are refused under a runtime, and what they answer there."""
    _, host = shipped.here(user)
    with runs.workplace(user) as folder, runs.workplace() as ours:
        stack = stack_of(profile, ours)
        settings = shipped.composed(stack, user).settings["seccomp"]
        assert isinstance(settings, SeccompSettings)
        expected = {number: word for number, word in words(settings, host.of(SeccompFacts)) if word != kernel.RAN}
        command = ["/usr/bin/python3", "-I", "-c", ASK, json.dumps(list(expected))]
        bundle.write(shipped.assembled(stack, command, folder, user).spec, folder / "bundle")
        runs.hand_over(folder / "bundle", user)
        done = subprocess.run(
            runs.launch_argv(runtime, folder, user), capture_output=True, text=True, check=False, cwd="/",
            env=user.environment if user is not None else os.environ, timeout=60, input="",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return expected, dict(zip(expected, json.loads(done.stdout), strict=True))


@pytest.mark.sampled
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("rootless", [False, True], ids=["root", "rootless"])
def test_a_command_reads_the_same_word_under_each_runtime(rootless: bool, runtime: str, profile: str) -> None:
    require("userns" if rootless else "root")
    expected, said = asked(profile, runtime, ordinary() if rootless else None)
    assert said == expected
