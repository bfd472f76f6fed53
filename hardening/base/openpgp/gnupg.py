"""Starting GnuPG, for every plugin that does: python-gnupg, but with an end, and with codes in place of words.

Importing this module imports python-gnupg, which takes 20 ms: import it where it is used. What GnuPG says to people is in
their language and may hold text of whoever made what it reads; only its status lines (``doc/DETAILS`` of GnuPG) tell what
came of a call.
"""

from __future__ import annotations

import marshal
import os
import resource
import signal
import subprocess
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import gnupg

from hardening.base import files, places, programs
from hardening.base.linux import abi, children, kernel
from hardening.errors import HostError

INSTALL = "install gnupg: `apt-get install gnupg`, or `dnf install gnupg2`"
#: Codes of libgpg-error, as `codes` gives them.
BAD_PASSPHRASE, NO_SECRET_KEY = 11, 17
#: No agent, no pinentry, cancelled, no passphrase, cancelled for good, no terminal.
NOBODY_TO_ASK = frozenset({77, 85, 99, 177, 198, 32768 + 25})
_STATUS = "[GNUPG:] "
_UNASKED = ("--pinentry-mode", "error")
_TOLD, _EXIT = ("FAILURE", "ERROR"), "gpg-exit"  # the last only says that there was an error


@attrs.frozen
class GnuPGResult:
    """What came of a call: what GnuPG wrote, and said with its status lines, its exit code, and the keys of a listing as
    python-gnupg has them."""

    data: bytes
    stderr: str
    returncode: int | None
    ok: bool
    keys: tuple[Mapping[str, Any], ...] = ()


@attrs.frozen(eq=False)
class GnuPG:
    """python-gnupg's methods, each called in a process of its own: python-gnupg waits for ever, so the whole call gets an
    end, with all that it has started. They raise `HostError` where GnuPG cannot be used, or does not end in time."""

    _program: str
    _home: Path | None
    _options: tuple[str, ...]
    _asks: bool
    _private: bool
    _cpu: int

    def sign(self, data: bytes, **options: Any) -> GnuPGResult:
        """A signature over ``data``."""
        return self._call("sign", data, **options)

    def verify(self, data: bytes, **options: Any) -> GnuPGResult:
        """What is signed in ``data``."""
        return self._call("verify", data, **options)

    def verify_data(self, signature: str, data: bytes) -> GnuPGResult:
        """Whether the file ``signature`` has one over ``data``."""
        return self._call("verify_data", signature, data)

    def encrypt(self, data: bytes, recipients: Sequence[str], **options: Any) -> GnuPGResult:
        """``data`` encrypted to some keys."""
        return self._call("encrypt", data, list(recipients), **options)

    def decrypt(self, data: bytes, **options: Any) -> GnuPGResult:
        """What is encrypted in ``data``."""
        return self._call("decrypt", data, **options)

    def import_keys(self, data: bytes) -> GnuPGResult:
        """Take the keys in ``data`` into the home."""
        return self._call("import_keys", data)

    def list_keys(self, *, secret: bool = False, keys: Sequence[str] = ()) -> tuple[Mapping[str, Any], ...]:
        """The keys of the home that are called so."""
        return self._call("list_keys", secret=secret, keys=list(keys)).keys

    def rows(self, arguments: Sequence[str], data: bytes = b"") -> list[list[str]]:
        """The fields of each line that a command lists of its input ``data`` (``--with-colons``, ``doc/DETAILS``). Lines end
        at line feeds alone: what python-gnupg takes for their ends besides, a user id may hold."""
        home = ["--homedir", str(self._home)] if self._home else []
        fixed = ["--no-tty", "--batch", "--fixed-list-mode", "--with-colons", *home, *self._options, *_UNASKED]
        try:
            done = programs.run([self._program, *fixed, *arguments], data, programs.PATIENCE, env=self._environment())
        except subprocess.TimeoutExpired:
            raise _too_long(programs.PATIENCE) from None
        except OSError as error:
            raise _unusable(error) from None
        return [line.split(":") for line in done.stdout.decode("utf-8", "replace").split("\n")]

    def _environment(self) -> dict[str, str]:
        terminal = programs.terminal() if self._asks else None
        return programs.environment({"LC_ALL": "C", **({"GPG_TTY": terminal} if terminal is not None else {})})

    def _call(self, method: str, *arguments: Any, **options: Any) -> GnuPGResult:
        environment = self._environment()
        patience = programs.ASKING if self._asks else programs.PATIENCE

        def work(writer: int) -> None:
            self._work(writer, environment, method, arguments, options)

        try:
            with warnings.catch_warnings():
                # Of threads, which hold nothing here that the child uses.
                warnings.simplefilter("ignore", DeprecationWarning)
                answer, code = children.ask(work, patience)
        except TimeoutError:
            raise _too_long(patience) from None
        if code or not answer:
            raise HostError(f"GnuPG cannot be used: its process ended ({code})", hint="check its memory and limits")
        found = marshal.loads(answer)  # noqa: S302  # a copy of this process wrote it
        if isinstance(found, str):
            raise _unusable(found)
        return GnuPGResult(*found)

    def _work(
        self,
        writer: int,
        environment: dict[str, str],
        method: str,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> None:
        """The whole life of the child."""
        answer: Any
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # python-gnupg is told by an error that GnuPG reads no more
            # One that asks stays in the session that has the terminal; either has a group that can be ended as a whole.
            os.setpgid(0, 0) if self._asks else os.setsid()
            kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            os.chdir("/")
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            if self._private:
                programs.leave_no_dump()
            if self._cpu:
                resource.setrlimit(resource.RLIMIT_CPU, (self._cpu, self._cpu + 1))
            unasked = () if self._asks or options.get("passphrase") is not None else _UNASKED
            home = str(self._home) if self._home else None
            gpg = gnupg.GPG(self._program, home, options=[*self._options, *unasked], env=environment)
            made: list[Any] = []
            gpg.result_map = {kind: _remembered(make, made) for kind, make in gpg.result_map.items()}
            try:
                result = getattr(gpg, method)(*arguments, **options)
            except BrokenPipeError:  # GnuPG has ended before it read all, and said why
                result = made[-1]
            keys = tuple(result) if isinstance(result, list) else ()
            answer = (bytes(result.data), result.stderr, result.returncode, bool(getattr(result, "ok", False)), keys)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it ends here and not in a copy of the parent
            answer = " ".join(str(error).split()) or type(error).__name__
        files.write_all(writer, marshal.dumps(answer))


def _remembered(make: Callable[[Any], Any], made: list[Any]) -> Callable[[Any], Any]:
    """What makes a result for python-gnupg, which does not return one where it raises an error, and keeps it."""

    def remember(gpg: Any) -> Any:
        made.append(make(gpg))
        return made[-1]

    return remember


def _too_long(patience: float) -> HostError:
    hint = "does gpg-agent answer? `gpgconf --kill gpg-agent` has it started anew"
    return HostError(f"GnuPG did not end within {patience:g} seconds", hint=hint)


def _unusable(reason: object) -> HostError:
    return HostError(f"GnuPG cannot be used: {reason}", hint="`gpg --list-keys` shows what is wrong")


def start(
    home: Path | None = None, options: Sequence[str] = (), *, asks: bool = False, private: bool = False, cpu: int = 0
) -> GnuPG:
    """GnuPG with a home, None for the caller's own. Where it ``asks``, `gpg-agent` asks for a passphrase if there is a
    terminal, and a call may take `programs.ASKING` seconds then; in all other cases it takes `programs.PATIENCE`, and a
    passphrase that is needed is an error (`NOBODY_TO_ASK`). One that is ``private`` is given what nobody else may know; one
    that is given what anybody may have made has so many seconds of ``cpu`` for a call. Whatever PATH the caller has, it is
    the system's program: what it says of a signature binds the caller, too. Raises `HostError`."""
    program = programs.find("gpg", places.OF_COMMANDS)
    if program is None:
        raise HostError("GnuPG (gpg) is not installed", hint=INSTALL)
    asks = asks and programs.terminal() is not None
    return GnuPG(program, home, tuple(options), asks, private, cpu)


def status(result: Any) -> list[tuple[str, list[str]]]:
    """The status lines of a call: keyword and words. Raises `HostError` where GnuPG was killed."""
    if result.returncode is None or result.returncode < 0:
        raise HostError(f"GnuPG was killed by signal {-(result.returncode or 0)}", hint="check its memory and limits")
    # At line feeds alone: other ends of lines, as Python has them, can be part of a name.
    lines = [line.removeprefix(_STATUS).split() for line in result.stderr.split("\n") if line.startswith(_STATUS)]
    return [(line[0], line[1:]) for line in lines if line]


def codes(result: Any) -> frozenset[int]:
    """The codes of the errors that a call tells of, without their sources (libgpg-error)."""
    told = [words for keyword, words in status(result) if keyword in _TOLD and len(words) > 1 and words[0] != _EXIT]
    return frozenset(int(words[1]) & 0xFFFF for words in told if words[1].isdecimal())
