"""The evaluator against the kernel: what it refuses, and what it answers."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import SpecError
from hardening_seccomp import bpf
from hardening_seccomp.actions import ActionKind
from tests.plugins.seccomp import generate, kernel
from tests.support.features import require
from tests.support.sample import examples

I = bpf.Instruction  # noqa: E741
ALLOW = I(bpf.RET_K, 0, 0, 0x7FFF0000)
LIBRARY = Libseccomp.load()
NATIVE = LIBRARY.native()


def number(name: str) -> int:
    found = LIBRARY.number(NATIVE, name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "program",
    [
        (),
        (I(bpf.LD_IMM, 0, 0, 1),),
        (I(bpf.LD_ABS, 0, 0, 64), ALLOW),
        (I(bpf.LD_ABS, 0, 0, 2), ALLOW),
        (I(bpf.LD_MEM, 0, 0, 0), ALLOW),
        (I(bpf.ST, 0, 0, 16), ALLOW),
        (I(bpf.JA, 0, 0, 1), ALLOW),
        (I(bpf.JMP | bpf.JEQ, 1, 0, 0), ALLOW),
        (I(bpf.ALU | bpf.DIV, 0, 0, 0), ALLOW),
        (I(bpf.ALU | bpf.LSH, 0, 0, 32), ALLOW),
        (I(0x28, 0, 0, 0), ALLOW),
        (ALLOW,) * 4097,
    ],
)
def test_the_kernel_refuses_it_too(program: bpf.Program) -> None:
    require("seccomp")
    with pytest.raises(SpecError):
        bpf.decode(bpf.encode(program))
    if program:
        assert not kernel.accepts(number("seccomp"), bpf.encode(program))


def test_a_length_that_is_no_multiple_of_eight() -> None:
    with pytest.raises(SpecError, match="multiple of 8"):
        bpf.decode(b"1234567")


@settings(deadline=None, max_examples=examples(150))
@given(generate.programs())
def test_validity_and_answers_are_those_of_the_kernel(program: bpf.Program) -> None:
    require("seccomp")
    try:
        bpf.validate(program)
    except SpecError:
        assert not kernel.accepts(number("seccomp"), bpf.encode(program))
        return
    # Answer only getppid, with the result of the program, so that the child lives on.
    guarded = (
        I(bpf.LD_ABS, 0, 0, 0),
        I(bpf.JMP | bpf.JEQ, 1, 0, number("getppid")),
        ALLOW,
        *program,
    )
    vector = (1, 0xFFFFFFFF00000002, 3, 1 << 63, 5, 6)
    action = bpf.evaluate(guarded, NATIVE, number("getppid"), vector).action
    reads_pointer = any(item.code == bpf.LD_ABS and item.k in (8, 12) for item in program)
    unobservable = action.kind in (ActionKind.NOTIFY, ActionKind.TRAP) or (
        action.kind is ActionKind.ERRNO and action.data == 0
    )
    if reads_pointer or unobservable or (action.kind is ActionKind.ERRNO and action.data not in errno.errorcode):
        return
    found = kernel.answers(number("seccomp"), [bpf.encode(guarded)], [(number("getppid"), vector)])
    assert found == [kernel.expected(action)]


@given(generate.programs(), st.binary(max_size=64))
def test_decoding_never_fails_otherwise(program: bpf.Program, noise: bytes) -> None:
    for data in (bpf.encode(program), noise, bpf.encode(program) + noise):
        try:
            assert bpf.encode(bpf.decode(data)) == data
        except SpecError:
            continue


def test_instructions_are_counted() -> None:
    program = (I(bpf.LD_ABS, 0, 0, 0), I(bpf.JMP | bpf.JEQ, 1, 0, 7), ALLOW, I(bpf.RET_K, 0, 0, 0x50001))
    assert bpf.evaluate(program, NATIVE, 7).executed == 3
    assert str(bpf.evaluate(program, NATIVE, 7).action) == "errno:EPERM"
    assert str(bpf.evaluate(program, NATIVE, 8).action) == "allow"


def test_words_of_arguments_follow_the_byte_order() -> None:
    load_first_word = (I(bpf.LD_ABS, 0, 0, 16), I(bpf.JMP | bpf.JEQ, 0, 1, 2), ALLOW, I(bpf.RET_K, 0, 0, 0))
    argument = (1 << 32 | 2,)
    assert bpf.evaluate(load_first_word, 0xC000003E, 0, argument).action.kind is ActionKind.ALLOW
    assert bpf.evaluate(load_first_word, 0x80000016, 0, argument).action.kind is ActionKind.KILL_THREAD
