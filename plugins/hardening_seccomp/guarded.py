"""Running libseccomp where its faults do no harm.

libseccomp 2.6.0 never comes back from some rules on several arguments of one system call, and corrupts its heap on
others (fixed in 2.6.1). Such filters are built in a child process with a limit of processor time.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hardening.base.linux import children
from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.linux.system import signal
from hardening.base.values import frozen
from hardening.errors import HardeningError, SpecError
from hardening_seccomp.build import Rules

SECONDS = 1  # of processor time
LONGEST = 120  # seconds
_ORDERING = frozenset({"SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE", "SCMP_CMP_GT"})


@frozen(eq=False)
class Programs:
    """Both programs that libseccomp makes of one object: as a binary tree, and as a chain, its default."""

    tree: bytes
    chain: bytes


def suspects(document: Mapping[str, Any]) -> frozenset[str]:
    """The system calls with several entries that order numbers or look at several arguments."""
    entries = Counter(name for item in document["syscalls"] for name in item["names"])
    delicate = {name for item in document["syscalls"] if _is_delicate(item) for name in item["names"]}
    return frozenset(name for name in delicate if entries[name] > 1)


def _is_delicate(item: Mapping[str, Any]) -> bool:
    arguments = item.get("args", ())
    return len(arguments) > 1 or any(argument["op"] in _ORDERING for argument in arguments)


def programs(document: Mapping[str, Any], library: Libseccomp, seconds: float = SECONDS) -> Programs | None:
    """Build both programs; None where libseccomp does not finish in time or dies."""
    if not suspects(document):
        return _both(document, library)
    data, code = children.ask(lambda writer: _in_child(document, library, writer, seconds))
    if code == 1:
        raise SpecError(data.decode())
    if code != 0:
        return None
    size = int.from_bytes(data[:4], "big")
    return Programs(data[4 : 4 + size], data[4 + size :])


def _both(document: Mapping[str, Any], library: Libseccomp) -> Programs:
    rules = Rules.of(document, library)
    return Programs(rules.program(library, tree=True), rules.program(library, tree=False))


def _in_child(document: Mapping[str, Any], library: Libseccomp, writer: int, seconds: float) -> None:
    """Never returns: exit code 0 with the programs written, 1 with a message, or death by a signal."""
    code = 2
    try:
        # The loop is in C, where only the default action of the signal ends it. Processor time: a busy machine builds the
        # same programs as an idle one.
        # One that waits for itself, with a heap that is damaged, takes none.
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF, signal.SIGALRM])
        # The kernel counts that time in ticks, too many or too few for one that is throttled: its own clock decides.
        signal.setitimer(signal.ITIMER_PROF, 2 * seconds)
        signal.alarm(LONGEST)
        with os.fdopen(writer, "wb") as file:
            try:
                built = _both(document, library)
                if time.process_time() > seconds:
                    os._exit(code)
                file.write(len(built.tree).to_bytes(4, "big") + built.tree + built.chain)
                code = 0
            except HardeningError as error:
                file.write(error.message.encode())
                code = 1
    finally:
        os._exit(code)
