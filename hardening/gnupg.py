"""Starting GnuPG, for every plugin that does: python-gnupg, but with an end, and with codes in place of words.

Importing this module imports python-gnupg, which takes 20 ms: import it where it is used. What GnuPG says to people is in
their language and may hold text of whoever made what it reads; only its status lines (``doc/DETAILS`` of GnuPG) tell what
came of a call.
"""

from __future__ import annotations

import codecs
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import gnupg

from hardening import programs
from hardening.errors import HostError

INSTALL = "install gnupg: `apt-get install gnupg`, or `dnf install gnupg2`"
#: Codes of libgpg-error, as `codes` gives them.
BAD_PASSPHRASE, NO_SECRET_KEY = 11, 17
#: No agent, no pinentry, cancelled, no passphrase, cancelled for good, no terminal.
NOBODY_TO_ASK = frozenset({77, 85, 99, 177, 198, 32768 + 25})
_STATUS = "[GNUPG:] "
_TOLD, _EXIT = ("FAILURE", "ERROR"), "gpg-exit"  # the last only says that there was an error


class GnuPG(gnupg.GPG):  # type: ignore[misc]
    """python-gnupg's front to GnuPG. A call raises `HostError` where GnuPG does not end in time; where it ends before it has
    read its input, the result says why, as for any other failure."""

    def __init__(
        self, program: str, home: Path | None, options: Sequence[str], *, asks: bool, private: bool, cpu: int
    ) -> None:
        self._asks, self._private, self._cpu = asks, private, cpu
        terminal = programs.terminal() if asks else None
        environment = {"LC_ALL": "C", **({"GPG_TTY": terminal} if terminal is not None else {})}
        super().__init__(program, str(home) if home else None, options=list(options), env=environment)

    def rows(self, arguments: Sequence[str], data: bytes = b"") -> list[list[str]]:
        """The fields of each line that a command lists of its input ``data`` (``--with-colons``, ``doc/DETAILS``). Lines end
        at line feeds alone: what else python-gnupg takes for their ends, a user id may hold."""
        result = self.result_map["verify"](self)
        self._handle_io([*arguments], BytesIO(data), result, binary=True)
        return [line.split(":") for line in result.data.decode("utf-8", "replace").split("\n")]

    # These three are called by every method of python-gnupg, which itself waits for ever.

    def _open_subprocess(self, args: list[str], passphrase: bool = False) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        if not (self._asks or passphrase):
            args = ["--pinentry-mode", "error", *args]
        return programs.start(
            self.make_args(args, passphrase), stdin=pipe, stdout=pipe, stderr=pipe, more=self.env,
            asks=self._asks, private=self._private, cpu=self._cpu,
        )  # fmt: skip

    def _collect_output(
        self, process: subprocess.Popen[bytes], result: Any, writer: Any = None, stdin: Any = None
    ) -> int:
        patience = programs.ASKING if self._asks else programs.PATIENCE
        process.stdin = None  # which the writer fills and closes
        if writer is None and stdin is not None:
            stdin.close()
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            hint = "does gpg-agent answer? `gpgconf --kill gpg-agent` has it started anew"
            raise HostError(f"GnuPG did not end within {patience:g} seconds", hint=hint) from None
        finally:
            programs.end(process)
        self._read_data(BytesIO(out), result, self.on_data, self.buffer_size)
        self._read_response(codecs.getreader(self.encoding)(BytesIO(err)), result)
        result.returncode = process.returncode
        return int(process.returncode)

    def _handle_io(
        self, args: list[str], fileobj_or_path: Any, result: Any, passphrase: str | None = None, binary: bool = False
    ) -> Any:
        try:
            return super()._handle_io(args, fileobj_or_path, result, passphrase, binary)
        except BrokenPipeError:
            return result


def start(
    home: Path | None = None, options: Sequence[str] = (), *, asks: bool = False, private: bool = False, cpu: int = 0
) -> GnuPG:
    """GnuPG with a home, None for the caller's own. Where it ``asks``, `gpg-agent` asks for a passphrase if there is a
    terminal, and a call may take `programs.ASKING` seconds then; in all other cases it takes `programs.PATIENCE`, and a
    passphrase that is needed is an error (`NOBODY_TO_ASK`). One that is ``private`` is given what nobody else may know; one
    that is given what anybody may have made has so many seconds of ``cpu`` for a call. Raises `HostError`."""
    program = programs.find("gpg")
    if program is None:
        raise HostError("GnuPG (gpg) is not installed", hint=INSTALL)
    asks = asks and programs.terminal() is not None
    try:
        return GnuPG(program, home, options, asks=asks, private=private, cpu=cpu)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise HostError(f"GnuPG cannot be used: {reason}", hint="`gpg --list-keys` shows what is wrong") from None


def status(result: Any) -> list[tuple[str, list[str]]]:
    """The status lines of a call: keyword and words. Raises `HostError` where GnuPG was killed."""
    if result.returncode is None or result.returncode < 0:
        raise HostError(f"GnuPG was killed by signal {-(result.returncode or 0)}", hint="look at its memory and limits")
    # At line feeds alone: other ends of lines, as Python has them, can be part of a name.
    lines = [line.removeprefix(_STATUS).split() for line in result.stderr.split("\n") if line.startswith(_STATUS)]
    return [(line[0], line[1:]) for line in lines if line]


def codes(result: Any) -> frozenset[int]:
    """The codes of the errors that a call tells of, without their sources (libgpg-error)."""
    told = [words for keyword, words in status(result) if keyword in _TOLD and len(words) > 1 and words[0] != _EXIT]
    return frozenset(int(words[1]) & 0xFFFF for words in told if words[1].isdecimal())
