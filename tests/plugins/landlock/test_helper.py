"""`plugins/hardening_landlock/helper`: the program is what its source says, and ends before the command where it cannot
confine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hardening_landlock.host import HELPERS
from tests.support.features import require

PROGRAM = HELPERS / "landlock-x86_64"
#: How it is compiled (`plugins/hardening_landlock/helper/landlock.c`).
GCC = (
    *(
        "gcc",
        "-Os",
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-static",
        "-nostdlib",
        "-ffreestanding",
        "-fno-builtin",
    ),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-fno-pic", "-no-pie"),
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,noseparate-code", "-s"),
)
CASES = [
    (["handle=write", "--", "sh", "-c", "exit 3"], 3, ""),
    (["handle=write", "--", "no-such-command"], 127, "no-such-command: No such file or directory"),
    (["handle=write", "--", "/no/such"], 127, "/no/such: No such file or directory"),
    (["handle=write", "--", "/etc/passwd"], 126, "/etc/passwd: Permission denied"),
    (["handle=execute", "execute=/etc", "--", "true"], 126, "true: Permission denied"),
    (["handle=speak", "--", "true"], 125, "no word of this helper: speak"),
    (["handle=bind", "bind=http", "--", "true"], 125, "no port: http"),
    (["handle=bind", "bind=70000", "--", "true"], 125, "cannot permit the port 70000: Invalid argument"),
    (["handle=signals", "signals=1", "--", "true"], 125, "nothing can be permitted of signals=1"),
    (["handle=read", "read=/etc/passwd/x", "--", "true"], 125, "cannot look at /etc/passwd/x: error 020"),
    (["handle=write", "write=/no/such", "--", "true"], 0, ""),
    (["handle=write"], 125, "no command behind --"),
    (["handle=write", "--"], 125, "no command behind --"),
]


def ended(program: Path, words: list[str], *before: str) -> tuple[int, str, str]:
    """The exit code of a helper with these words, and what it says."""
    argv = [*(before or ("setpriv", "--no-new-privs")), str(program), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.removeprefix("hardening: landlock: ").rstrip("\n")


def compiler(path: Path) -> bytes:
    """The version of gcc that a program names in itself (section .comment)."""
    return path.read_bytes().partition(b"GCC: ")[2].partition(b"\0")[0]


def test_it_ends_with_the_code_of_what_went_wrong() -> None:
    require("landlock")
    require("x86_64")
    assert [ended(PROGRAM, words) for words, _, _ in CASES] == [(code, "", said) for _, code, said in CASES]


def test_the_program_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    require("landlock")
    require("x86_64")
    made = tmp_path / "landlock"
    subprocess.run([*GCC, "-o", str(made), str(HELPERS / "landlock.c")], check=True)
    # Another compiler makes another program, which has to do the same.
    assert compiler(made) != compiler(PROGRAM) or made.read_bytes() == PROGRAM.read_bytes()
    assert [ended(made, words) for words, _, _ in CASES] == [(code, "", said) for _, code, said in CASES]


def test_it_gives_itself_no_right_to_confine() -> None:
    """Without no_new_privs, or CAP_SYS_ADMIN, the kernel refuses, and the command does not run."""
    require("landlock")
    require("x86_64")
    require("root")
    before = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    said = "landlock_restrict_self: Operation not permitted"
    assert ended(PROGRAM, ["handle=write", "--", "true"], *before) == (125, "", said)
