"""`plugins/hardening_landlock/helper`: the programs are what their source says, and end before the command where they cannot
confine."""

from __future__ import annotations

import errno
import re
import subprocess
from pathlib import Path

from hardening.base.linux.libseccomp import Libseccomp
from hardening_landlock.host import HELPERS
from tests.support.features import require

PROGRAM = HELPERS / "landlock-x86_64"
SOURCE = HELPERS / "landlock.c"
#: How it is compiled (`plugins/hardening_landlock/helper/landlock.c`), and what else for a machine.
GCC = (
    "-Os -std=gnu11 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-builtin -fno-stack-protector "
    "-fno-asynchronous-unwind-tables -fno-pic -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,noseparate-code -s"
)
MACHINES = {"x86_64": "-fcf-protection=none", "aarch64": "-mbranch-protection=none"}
#: The calls that the source has numbers of, by its words for them.
CALLS = {
    "WRITE": "write",
    "CLOSE": "close",
    "FCNTL": "fcntl",
    "EXECVE": "execve",
    "EXIT": "exit_group",
    "OPENAT": "openat",
}
CASES = [
    (["handle=write", "--", "sh", "-c", "exit 3"], 3, ""),
    (["handle=write", "--", "no-such-command"], 127, "no-such-command: command not found in the container"),
    (["handle=write", "--", "/no/such"], 127, "/no/such: no such file in the container"),
    (["handle=write", "--", "/etc/passwd"], 126, "/etc/passwd: cannot be executed: Permission denied"),
    (["handle=execute", "execute=/etc", "--", "true"], 126, "true: cannot be executed: Permission denied"),
    (["handle=speak", "--", "true"], 125, "no word of this helper: speak"),
    (["handle=bind", "bind=http", "--", "true"], 125, "no port: http"),
    (["handle=bind", "bind=70000", "--", "true"], 125, "cannot permit the port 70000: Invalid argument"),
    (["handle=signals", "signals=1", "--", "true"], 125, "nothing can be permitted of signals=1"),
    (["handle=read", "read=/etc/passwd/x", "--", "true"], 125, "cannot look at /etc/passwd/x: Not a directory"),
    (["handle=write", "write=/no/such", "--", "true"], 0, ""),
    (["handle=write", "--", "/etc/passwd/x"], 127, "/etc/passwd/x: no such file in the container"),
    (["handle=write"], 125, "no command behind --"),
    (["handle=write", "--"], 125, "no command behind --"),
]


def ended(program: Path, words: list[str], *before: str) -> tuple[int, str, str]:
    """The exit code of a helper with these words, and what it says."""
    argv = [*(before or ("setpriv", "--no-new-privs")), str(program), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.removeprefix("hardening: ").removeprefix("landlock: ").rstrip("\n")


def compiler(path: Path) -> bytes:
    """The version of gcc that a program names in itself (section .comment)."""
    return path.read_bytes().partition(b"GCC: ")[2].partition(b"\0")[0]


def test_it_ends_with_the_code_of_what_went_wrong() -> None:
    require("landlock")
    require("x86_64")
    assert [ended(PROGRAM, words) for words, _, _ in CASES] == [(code, "", said) for _, code, said in CASES]


def made(machine: str, place: Path, source: Path = SOURCE) -> Path:
    """The helper of a machine, compiled anew."""
    program = place / f"landlock-{machine}"
    compile_it = [f"{machine}-linux-gnu-gcc", *GCC.split(), MACHINES[machine], "-o", str(program), str(source)]
    subprocess.run(compile_it, check=True)
    return program


def test_the_programs_are_what_their_source_compiles_to(tmp_path: Path) -> None:
    require("x86_64")
    assert sorted(path.name for path in HELPERS.glob("landlock-*")) == sorted(f"landlock-{name}" for name in MACHINES)
    for machine in MACHINES:
        new, kept = made(machine, tmp_path), HELPERS / f"landlock-{machine}"
        # Another compiler makes another program, which has to do the same.
        assert compiler(new) != compiler(kept) or new.read_bytes() == kept.read_bytes()
    require("landlock")
    assert [ended(tmp_path / PROGRAM.name, words) for words, _, _ in CASES] == [
        (code, "", said) for _, code, said in CASES
    ]


def test_that_of_another_machine_starts_and_confines_or_ends(tmp_path: Path) -> None:
    """qemu-user has no Landlock: the helper ends before the command. Where calls that return 0 stand in its place, it comes
    to the command as it does on this machine."""
    require("x86_64")
    before = ("qemu-aarch64",)
    kept, lacking = HELPERS / "landlock-aarch64", (125, "", "landlock_create_ruleset: Function not implemented")
    for words, code, said in (CASES[0], CASES[5], CASES[-1]):
        early = said.startswith(("no word", "no command"))
        assert ended(kept, words, *before) == ((code, "", said) if early else lacking)
    yielding = tmp_path / "yielding.c"  # sched_yield(2)
    yielding.write_text(re.sub(r"\b44[456]\b", "124", SOURCE.read_text()))
    program = made("aarch64", tmp_path, yielding)
    for words, code, said in CASES:
        if "70000" not in str(words) and words[0] != "handle=execute":  # what only the kernel refuses
            assert ended(program, words, *before) == (code, "", said)
    traced = ended(program, ["handle=read", "read=/etc", "read=/etc/passwd", "--", "/bin/true"], *before, "-strace")[2]
    opened = r'openat\(AT_FDCWD,"(\S+)",(\S+)\) = (?:-1 errno=)?(\d+)'
    place, folder = "O_RDONLY|O_CLOEXEC|O_PATH", "O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_PATH"
    assert re.findall(opened, traced) == [
        ("/etc", folder, "3"), ("/etc/passwd", folder, str(errno.ENOTDIR)), ("/etc/passwd", place, "3"),
    ]  # fmt: skip


def test_it_calls_each_kernel_by_its_numbers() -> None:
    library = Libseccomp.load()
    source = SOURCE.read_text()
    for machine in MACHINES:
        numbers = dict(re.findall(r"(\w+) = (\w+)", source.partition(f"defined(__{machine}__)")[2].partition("}")[0]))
        assert numbers.pop("DIRECTORY") in ("0200000", "040000")
        token = library.architecture(machine)
        assert token is not None
        assert {CALLS[word]: int(number) for word, number in numbers.items()} == {
            name: library.resolved(token, name) for name in CALLS.values()
        }


def test_it_gives_itself_no_right_to_confine() -> None:
    """Without no_new_privs, or CAP_SYS_ADMIN, the kernel refuses, and the command does not run."""
    require("landlock")
    require("x86_64")
    require("root")
    before = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    said = "landlock_restrict_self: Operation not permitted"
    assert ended(PROGRAM, ["handle=write", "--", "true"], *before) == (125, "", said)
