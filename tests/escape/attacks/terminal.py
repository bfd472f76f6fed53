"""Attacks on the terminal of whoever launched: it is standard input here."""

from __future__ import annotations

import ctypes

from tests.escape.attacks.kit import Given, call

TIOCSTI, TIOCLINUX = 0x5412, 0x541C
TIOCL_GETSHIFTSTATE = 6


def type_text(given: Given) -> str:
    """A character, as if the caller had typed it; what follows would be a command."""
    call("ioctl", 0, TIOCSTI, b"#")
    return "typed"


def ask_console(given: Given) -> str:
    """The state of a virtual console's keys; by the same way text is selected and pasted."""
    call("ioctl", 0, TIOCLINUX, ctypes.create_string_buffer(bytes((TIOCL_GETSHIFTSTATE,)), 8))
    return "answered"
