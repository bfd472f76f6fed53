"""What happens to one system call with these arguments: the answer of the compiled program itself."""

from __future__ import annotations

from collections.abc import Sequence

from hardening.errors import UsageError
from hardening.mechanism.mechanism import Context
from hardening_seccomp import bpf, suid
from hardening_seccomp.actions import is_denial
from hardening_seccomp.build import token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.diagrams import ARGUMENTS, MAX_ARGUMENT
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spans import kernel_token
from hardening_seccomp.spec import filter_of, unrestricted


def answer(settings: SeccompSettings, context: Context, name: str, arguments: Sequence[str]) -> str | None:
    """The action for a call of this machine's own architecture, or of the next one of the filter that has it, as text.

    Arguments that are left out are 0. None where ``name`` is no system call. Raises `UsageError` for what no call has as
    its arguments.
    """
    facts = context.host.of(SeccompFacts)
    if not facts.knows(name):
        return None
    numbers = [_number(text, name) for text in arguments]
    if len(numbers) > ARGUMENTS:
        raise UsageError(
            f"a system call has at most {ARGUMENTS} arguments", origin=f"seccomp.{name}", hint="name fewer"
        )
    if context.lacks("seccomp.*"):
        return "allow: this host enforces no filter"
    library = facts.required_library()
    model = filter_of(settings, context)
    architectures = (facts.native, *sorted(model.architectures - {facts.native}))
    found = [(item, library.names(token_of(library, item)).get(name)) for item in architectures]
    architecture, number = next((pair for pair in found if pair[1] is not None), (facts.native, None))
    if number is None:
        raise UsageError(
            f"{facts.native} has no such system call",
            origin=f"seccomp.{name}",
            hint="ask about the one that it has instead",
        )
    program = bpf.decode(compile_filter(model, library).program)
    action = bpf.evaluate(program, kernel_token(library, architecture), number, numbers).action
    by_layers = unrestricted(settings, context).rule(name).value([*numbers, *[0] * (ARGUMENTS - len(numbers))])
    shown = (
        f"{action}, by {suid.SETTING}"
        if settings.restrict_suid_sgid and is_denial(action) > is_denial(by_layers)
        else str(action)
    )
    return shown if architecture == facts.native else f"{shown} (on {architecture})"


def _number(text: str, name: str) -> int:
    """A number as C and Python write it; a negative one is what the kernel sees of it, 64 bits wide."""
    hint = "write numbers of up to 64 bits, such as 21522, 0x5412 or -1"
    try:
        number = int(text, 0)
    except ValueError:
        raise UsageError(f'"{text[:40]}" is not a number', origin=f"seccomp.{name}", hint=hint) from None
    if not -(1 << 63) <= number <= MAX_ARGUMENT:
        raise UsageError("an argument is wider than 64 bits", origin=f"seccomp.{name}", hint=hint)
    return number & MAX_ARGUMENT
