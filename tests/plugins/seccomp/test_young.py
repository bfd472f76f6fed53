"""`plugins/hardening_seccomp`: calls younger than the installed libseccomp are denied by number, never opened, and said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base.linux.libseccomp import YOUNG, Libseccomp
from hardening_oci.ignored import refusals
from hardening_seccomp import Seccomp, SeccompSettings, bpf
from hardening_seccomp.actions import ALLOW, ENOSYS
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.findings import findings
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import ARCHITECTURES
from hardening_seccomp.spec import filter_of
from tests.plugins.seccomp import kernel, stacks
from tests.support import bundles
from tests.support.features import require

LIBRARY = Libseccomp.load()
NATIVE = LIBRARY.native()
HEADER = Path("/usr/include/asm-generic/unistd.h")
#: Known to every libseccomp since 2.6, and to no earlier one; here nobody knows it.
CALL = "mseal"
OPEN = '[seccomp]\ndefault = "allow"\nrestrict_suid_sgid = false\n'


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A libseccomp that does not know `CALL`."""
    own = Libseccomp.resolved

    def resolved(library: Libseccomp, token: int, name: str) -> int | None:
        return None if name == CALL else own(library, token, name)

    compile_filter.cache_clear()
    monkeypatch.setattr(Libseccomp, "resolved", resolved)
    yield
    compile_filter.cache_clear()


def test_the_numbers_are_those_of_libseccomp_on_every_architecture() -> None:
    for name in ARCHITECTURES:
        token = LIBRARY.architecture(name)
        if token is not None:
            own = {call: number for call in YOUNG if (number := LIBRARY.resolved(token, call) or -1) >= 0}
            assert len(own) > 10
            assert own == {call: LIBRARY._first(token) + YOUNG[call] for call in own}


def test_the_numbers_are_those_of_the_kernels_header() -> None:
    text = HEADER.read_text() if HEADER.exists() else ""
    found = {name: int(number) for name, number in re.findall(r"define __NR_(\w+)\s+(\d+)", text)}
    shared = YOUNG.keys() & found.keys()
    assert bool(shared) == HEADER.exists()
    assert {name: YOUNG[name] for name in shared} == {name: found[name] for name in shared}


def said(folder: Path, text: str) -> dict[str, str]:
    found = stacks.composed(folder, text)
    settings = found.settings["seccomp"]
    assert isinstance(settings, SeccompSettings)
    every = (*found.findings, *findings(settings, stacks.context()))
    return {item.leaf or "": item.severity.name for item in every if item.rule == "seccomp/unknown-syscall"}


@pytest.mark.usefixtures("old")
def test_a_denied_one_is_denied_by_its_number(tmp_path: Path) -> None:
    denied = f'{OPEN}deny = ["{CALL}"]\n'
    found = stacks.settings(tmp_path, denied)
    assert list(Seccomp().check(found, stacks.context())) == []
    compiled = compile_filter(filter_of(found, stacks.context()), LIBRARY)
    number = LIBRARY.names(NATIVE)[CALL]
    assert number == YOUNG[CALL]
    program = bpf.decode(compiled.program)
    assert bpf.evaluate(program, NATIVE, number, ()).action == ENOSYS
    assert bpf.evaluate(program, NATIVE, number + 1, ()).action == ALLOW
    assert [entry["names"] for entry in compiled.document["syscalls"]] == [[CALL]]
    assert said(tmp_path, denied) == {f"seccomp.{CALL}": "NOTE"}
    require("seccomp")
    assert kernel.answers(LIBRARY.names(NATIVE)["seccomp"], [compiled.program], [(number, ())]) == ["ENOSYS"]


@pytest.mark.usefixtures("old")
def test_runtimes_that_would_ignore_the_rule_are_refused(tmp_path: Path) -> None:
    found = stacks.settings(tmp_path, f'{OPEN}deny = ["{CALL}"]\n')
    document = bundles.config("true")
    document["linux"]["seccomp"] = compile_filter(filter_of(found, stacks.context()), LIBRARY).document
    for name in ("crun", "runc"):
        refused = [item for item in refusals(name, (9, 9), document, stacks.this_host()) if "seccomp" in item.pointer]
        assert [item.pointer for item in refused] == ["/linux/seccomp/syscalls/0/names/0"]
        assert "--runtime native" in refused[0].hint


@pytest.mark.usefixtures("old")
def test_an_allowed_one_is_left_out_with_a_word(tmp_path: Path) -> None:
    allowed = f'[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["read", "{CALL}"]\n'
    compiled = compile_filter(filter_of(stacks.settings(tmp_path, allowed), stacks.context()), LIBRARY)
    assert CALL not in json.dumps(compiled.document)
    assert said(tmp_path, allowed) == {f"seccomp.{CALL}": "WARNING"}
    assert said(tmp_path, '[seccomp]\nallow = ["@memory"]\n') == {}


@pytest.mark.parametrize(("default", "leaves"), [("ALLOW", ["seccomp.no_such_call"]), ("ERRNO", [])])
def test_what_has_no_number_stops_a_launch_where_the_default_is_looser(
    default: str, leaves: list[str], tmp_path: Path
) -> None:
    rule = {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}
    (tmp_path / "docker.json").write_text(json.dumps({"defaultAction": f"SCMP_ACT_{default}", "syscalls": [rule]}))
    (tmp_path / "docker.json").chmod(0o644)
    found = stacks.settings(tmp_path, '[seccomp]\nprofile = "docker.json"\n')
    assert [item.leaf for item in Seccomp().check(found, stacks.context())] == leaves


def test_names_are_known_by_both_ways(tmp_path: Path) -> None:
    assert stacks.shown(tmp_path, "file_setattr", f'{OPEN}deny = ["file_setattr"]\n') == "deny"
    assert stacks.this_host().of(SeccompFacts).name_of(YOUNG["file_getattr"]) == "file_getattr"
    assert Seccomp().expand("file_getattr") == ("file_getattr",)
