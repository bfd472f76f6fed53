"""Stacks of filters that were written in unlike forms answer as the kernel stacks them: every layer by itself, the strictest
answer counts, and what a layer's filter has no architecture for kills."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardening.errors import HardeningError
from hardening.host import Host
from hardening.values import frozen
from hardening_seccomp import SeccompSettings, bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG, Action, Kind
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.libseccomp import Libseccomp
from hardening_seccomp.oci import oci_architecture
from hardening_seccomp.spans import kernel_token
from hardening_seccomp.spec import filter_of
from tests.plugins.seccomp import stacks
from tests.support.features import require

LIBRARY = Libseccomp.load()
NAMES = ("read", "getppid", "personality", "socket", "uname")  # the last is never named
ARCHITECTURES = ("x86_64", "x86", "x32")
EACCES = Action(Kind.ERRNO, 13)
VECTORS = ((0, 0, 0, 0, 0, 0), (3, 1, 0, 0, 0, 0), (3, 7, 0, 0, 0, 0), (8, 0, 9, 0, 0, 0))
_DOCKER = {"eq": "SCMP_CMP_EQ", "ge": "SCMP_CMP_GE", "lt": "SCMP_CMP_LT"}
_TESTS = {"eq": int.__eq__, "ge": int.__ge__, "lt": int.__lt__}

Condition = tuple[int, str, int]


@frozen
class Written:
    """A layer in one of the forms: ``toml``, ``docker`` or ``partial``. ``listed`` are further architectures, None where the
    filter lists none; ``mapped`` writes them as an archMap."""

    form: str
    default: Action
    entries: tuple[tuple[str, Action, tuple[Condition, ...]], ...]
    listed: tuple[str, ...] | None
    mapped: bool

    def answer(self, architecture: str, name: str, arguments: Sequence[int]) -> Action:
        """What this filter alone answers."""
        others = ARCHITECTURES if self.form == "partial" else self.listed or ()
        if architecture not in ("x86_64", *others):
            return KILL_PROCESS
        found = [
            action
            for named, action, conditions in self.entries
            if named == name and all(_TESTS[op](arguments[index], value) for index, op, value in conditions)
        ]
        otherwise = ALLOW if self.form == "partial" else self.default
        return max(found, key=lambda action: action.kind) if found else otherwise

    def text(self, folder: Path, number: int) -> str:
        """The layer as TOML; a docker profile is written beside it."""
        lines = ["[seccomp]", "restrict_suid_sgid = false"]
        if self.form == "docker":
            file = folder / f"docker{number}.json"
            file.write_text(json.dumps(self._docker()))
            file.chmod(0o644)
            return "\n".join([*lines, f'profile = "{file.name}"', ""])
        if self.form == "toml":
            lines.append(f'default = "{self.default}"')
        rules = [_rule(*entry) for entry in self.entries]
        lines += [f"rules = [{', '.join(rules)}]"] if rules else []
        if self.listed is not None:
            lines.append(f"architectures = {json.dumps(['native', *self.listed])}")
        return "\n".join([*lines, ""])

    def _docker(self) -> dict[str, Any]:
        data: dict[str, Any] = _named(self.default, "defaultAction", "defaultErrnoRet")
        data["syscalls"] = [
            {
                "names": [name],
                **_named(action, "action", "errnoRet"),
                "args": [{"index": index, "value": value, "op": _DOCKER[op]} for index, op, value in conditions],
            }
            for name, action, conditions in self.entries
        ]
        if self.listed is not None:
            below = [oci_architecture(name) for name in self.listed]
            if self.mapped:
                data["archMap"] = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": below}]
            else:
                data["architectures"] = ["SCMP_ARCH_X86_64", *below]
        return data


def _named(action: Action, key: str, number: str) -> dict[str, Any]:
    named: dict[str, Any] = {key: f"SCMP_ACT_{action.kind.name}"}
    return named | ({number: action.data} if action.kind is Kind.ERRNO else {})


def _rule(name: str, action: Action, conditions: Sequence[Condition]) -> str:
    tests = ", ".join(
        f'{{ index = {index}, op = "{op}", value = {value}, width = 64 }}' for index, op, value in conditions
    )
    return f'{{ names = ["{name}"], action = "{action}", args = [{tests}] }}'


CONDITIONS = st.tuples(st.integers(0, 2), st.sampled_from(sorted(_TESTS)), st.integers(1, 9))


@st.composite
def layers(draw: st.DrawFn, forms: Sequence[str]) -> Written:
    form = draw(st.sampled_from(forms))
    denials = (EPERM, EACCES, KILL_PROCESS)
    actions = st.sampled_from(denials if form == "partial" else (ALLOW, ALLOW, LOG, *denials))
    # In a table without a default an answer without conditions is a statement, not a bound.
    least = 1 if form == "partial" else 0
    some = st.lists(CONDITIONS, min_size=least, max_size=2, unique_by=lambda condition: condition[0])
    entry = st.tuples(st.sampled_from(NAMES[:-1]), actions, some.map(tuple))
    further = st.sets(st.sampled_from(ARCHITECTURES[1:])).map(lambda names: tuple(sorted(names)))
    listed = st.none() if form == "partial" else st.none() | further
    default = draw(st.sampled_from((ALLOW, LOG, ENOSYS, EPERM, KILL_PROCESS)))
    return Written(form, default, tuple(draw(st.lists(entry, max_size=4))), draw(listed), draw(st.booleans()))


COMPLETE = layers(("toml", "docker"))


@st.composite
def unlike(draw: st.DrawFn) -> list[Written]:
    """Two or three layers, of which one is complete."""
    found = [draw(COMPLETE), *draw(st.lists(layers(("toml", "docker", "partial")), min_size=1, max_size=2))]
    return draw(st.permutations(found))


@cache
def host() -> Host:
    return stacks.this_host()


def differences(folder: Path, written: Sequence[Written]) -> list[str]:
    """Where the composed program is looser than the stack, and where it is stricter, though nothing was flattened."""
    texts = [layer.text(folder, number) for number, layer in enumerate(written)]
    found = stacks.composed(folder, *texts, on=host()).settings["seccomp"]
    assert isinstance(found, SeccompSettings)
    compiled = compile_filter(filter_of(found, stacks.context(host())), LIBRARY)
    program = bpf.decode(compiled.program)
    wrong = []
    for architecture in ARCHITECTURES:
        token = LIBRARY.architecture(architecture)
        assert token is not None
        known = LIBRARY.names(token)
        for name in NAMES:
            for vector in VECTORS:
                stacked = max(layer.answer(architecture, name, vector).kind for layer in written)
                answered = bpf.evaluate(program, kernel_token(LIBRARY, architecture), known[name], vector).action.kind
                if answered < stacked or (answered > stacked and name not in compiled.written):
                    wrong.append(f"{architecture} {name}{vector}: stacked {stacked!r}, composed {answered!r}")
    return wrong


@settings(
    deadline=None,
    max_examples=int(os.environ.get("HARDENING_UNLIKE", "60")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(unlike())
def test_unlike_filters_answer_as_the_kernel_stacks_them(tmp_path: Path, written: list[Written]) -> None:
    require("x86_64")
    assert differences(tmp_path, written) == []


PLAIN = Written("toml", ENOSYS, (("read", ALLOW, ()),), None, mapped=False)
MOBY = Written("docker", EPERM, (("read", ALLOW, ()), ("socket", ALLOW, ())), ("x32", "x86"), mapped=True)
LISTED = Written("docker", EPERM, (("read", ALLOW, ()),), ("x86",), mapped=False)
SILENT = Written("docker", EPERM, (("read", ALLOW, ()),), None, mapped=False)
NATIVE = Written("toml", ENOSYS, (("read", ALLOW, ()),), (), mapped=False)


@pytest.mark.parametrize("other", [PLAIN, LISTED, SILENT, NATIVE])
@pytest.mark.parametrize("first", [True, False])
def test_a_filter_closes_the_architectures_that_it_does_not_list(other: Written, first: bool, tmp_path: Path) -> None:
    require("x86_64")
    written = [other, MOBY] if first else [MOBY, other]
    assert differences(tmp_path, written) == []
    texts = [layer.text(tmp_path, number) for number, layer in enumerate(written)]
    architectures = stacks.settings(tmp_path, *texts, on=host()).architectures
    assert set(architectures.having(True)) == set(other.listed or ()) & set(MOBY.listed or ())


def test_an_exception_opens_an_architecture(tmp_path: Path) -> None:
    first, second = PLAIN.text(tmp_path, 0), '[seccomp]\narchitectures.add = ["x86"]\n'
    with pytest.raises(HardeningError, match=r"seccomp\.architectures\.x86.*layer0\.toml:3"):
        stacks.composed(tmp_path, first, second, on=host())
    excepted = second + '[[exceptions]]\nsetting = "seccomp.architectures.x86"\nreason = "a test"\n'
    found = stacks.settings(tmp_path, first, excepted, on=host())
    assert found.architectures.having(True) == ("x86",)


def test_an_edited_list_of_a_profile_stays_a_bound(tmp_path: Path) -> None:
    edited = MOBY.text(tmp_path, 0) + 'architectures.drop = ["x32"]\n'
    assert stacks.settings(tmp_path, edited, on=host()).architectures.having(True) == ("x86",)
    assert stacks.settings(tmp_path, NATIVE.text(tmp_path, 1), edited, on=host()).architectures.having(True) == ()
