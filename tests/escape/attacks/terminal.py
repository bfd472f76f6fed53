"""Attacks on the terminal of whoever launched: it is standard input here."""

from __future__ import annotations

import ctypes
import pty
import sys

from tests.escape.attacks.kit import Given, call

TIOCSTI, TIOCLINUX = 0x5412, 0x541C
TIOCSETD = 0x5423
TIOCL_GETSHIFTSTATE = 6
N_NULL = 27  # the only one beside that of terminals that every kernel has


def type_text(given: Given) -> str:
    """A character, as if the caller had typed it; what follows would be a command."""
    call("ioctl", 0, TIOCSTI, b"#")
    return "typed"


def ask_console(given: Given) -> str:
    """The state of a virtual console's keys; by the same way text is selected and pasted."""
    call("ioctl", 0, TIOCLINUX, ctypes.create_string_buffer(bytes((TIOCL_GETSHIFTSTATE,)), 8))
    return "answered"


def line_discipline(given: Given) -> str:
    """Another line discipline for a terminal of the attacker's own: old code of the kernel, loaded on demand."""
    _, slave = pty.openpty()
    discipline = ctypes.create_string_buffer(N_NULL.to_bytes(4, sys.byteorder), 4)
    call("ioctl", slave, TIOCSETD, discipline)
    return f"discipline {N_NULL}"
