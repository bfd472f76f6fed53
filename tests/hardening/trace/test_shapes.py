"""What the words of a call follow from is what tells it from others."""

from __future__ import annotations

from typing import Any

from hardening.base.linux import abi
from hardening.mechanism.denial import Caller
from hardening.trace import shapes
from hardening.trace.calls import PendingCall
from hardening.trace.decode import _Decoding

#: What a decoder is given in place of what a process has.
_HAS = {
    "string": "/a", "path": "/a", "link": "/a", "descriptor": "/a", "memory": bytes(128), "message_name": bytes(28),
    "numbers": [1] * 6, "socket": None,
}  # fmt: skip


class Asked:
    """A process that keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return lambda *_, **__: _HAS[name]


def test_an_argument_is_told_by_what_its_words_are_read_from() -> None:
    """Of two calls that are alike as `Keys` has them the words are read once: a step that looks behind its number has to
    be read there."""
    steps = {step for shape in shapes.shapes().values() for step in shape.steps if step != "-"}
    looking = set()
    for step in steps:
        tracee: Any = Asked()
        decoding = _Decoding(tracee, PendingCall(abi.AUDIT_ARCH_X86_64, 0, (1,) * 6, 0), Caller(1))
        decoding.shown.append("")
        decoding.take(step, 0)
        looking |= {step} if tracee.asked else set()
    assert looking - {"at"} == shapes._PATHS | shapes._READERS.keys()
