"""What an upgrade breaks under a stack, and what not: pairs of trees with one program in two versions."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening import cli
from hardening.elf import file, numbers
from hardening.learn import recording
from hardening.learn.recording import Run
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import Usage
from hardening.trace import calls
from tests.support import elfwriter, elves, images

START = (
    "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n#include <sys/mman.h>\n#include <stdlib.h>\n"
)
#: What a program has in place of the C library, where it needs nothing else: to look through that one takes seconds.
ALONE = """
__asm__(".globl _start; _start: mov (%rsp), %edi; lea 8(%rsp), %rsi; call main; mov %eax, %edi; mov $231, %eax; syscall;"
        ".globl syscall; syscall: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; mov %r8, %r10;"
        "mov %r9, %r8; mov 8(%rsp), %r9; syscall; ret");
pid_t getppid(void) { return syscall(SYS_getppid); }
pid_t getpgrp(void) { return syscall(SYS_getpgrp); }
int atoi(const char *text) { return *text - '0'; }
"""
QUIET = "int main(void) { return getppid() == 0; }"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HARDENING_IMAGES", str(tmp_path / "images"))

    def called(*words: str) -> Any:
        code = cli.main(["check", "strict", "--json", *words])
        found = json.loads(capsys.readouterr().out)
        assert code == (1 if any(item["likely"] for item in found["breakages"]) else 0)
        return found

    return called


def tree(place: Path, source: str, *flags: str, name: str = "usr/bin/demo") -> Path:
    """A root with one program, which needs nothing else unless ``flags`` say how it is linked."""
    own = () if flags else ("-static", "-nostdlib", "-fno-builtin")
    elves.compiled(place, START + ALONE * bool(own) + source, *flags, *own, name=name)
    return place


#: How a library asks the kernel by itself.
RAW = """
static long raw(long number) {
    long answer;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(number) : "rcx", "r11", "memory");
    return answer;
}
"""
VERSIONS = ("old", "SYS_getppid"), ("new", "SYS_userfaultfd")


def library(place: Path, source: str, name: str = "libloop.so", path: str = "usr/lib/") -> None:
    """Add a library to a root that needs no other one."""
    flags = ("-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{name}")
    elves.compiled(place, START + RAW + source, *flags, name=f"{path}{name}")


def linked(place: Path, source: str, *flags: str) -> None:
    """Add a program to a root that needs its libraries alone."""
    own = ("-nostdlib", "-fno-builtin", "-Wl,--no-dynamic-linker", f"-L{place}/usr/lib")
    elves.compiled(place, START + ALONE + source, *own, *flags, name="usr/bin/demo")


def leaves(found: Any) -> list[str]:
    return [item["leaf"] for item in found["breakages"]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("int main(void) { return syscall(SYS_open_tree, -1, (char *)0, 0); }", ["seccomp.open_tree"]),
        ("int main(void) { return syscall(SYS_io_uring_setup, 8, (void *)0); }", []),  # who has it falls back
        ("int main(void) { return syscall(SYS_userfaultfd, 0); }", ["seccomp.userfaultfd"]),
        ("int main(void) { return syscall(SYS_add_key, 0, 0, 0, 0, 0); }", ["seccomp.add_key"]),
        (
            "int main(void) { return syscall(SYS_open_tree, -1, (char *)0, 0) && syscall(SYS_mount, 0, 0, 0, 0, 0); }",
            ["seccomp.mount"],
        ),  # as libmount does
        ("int main(void) { return getpgrp() == 0; }", []),
        ("int main(void) { return syscall(SYS_getrandom, 0, 0, 0); }", []),
    ],
    ids=["open_tree", "io_uring", "userfaultfd", "keyring", "open_tree with mount", "getpgrp", "getrandom"],
)
def test_a_system_call_that_is_new_and_refused_is_foretold(
    tmp_path: Path, check: Callable[..., Any], source: str, expected: list[str]
) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", source)
    found = check("--against", str(new), "--since", str(old), "--", "demo")
    assert leaves(found) == expected
    assert all(item["path"] == "/usr/bin/demo" and item["likely"] for item in found["breakages"])
    assert found["programs"] == 1


def test_what_was_refused_before_is_no_breakage(tmp_path: Path, check: Callable[..., Any]) -> None:
    source = "int main(void) { return syscall(SYS_open_tree, -1, (char *)0, 0); }"
    old = tree(tmp_path / "old", source)
    new = tree(tmp_path / "new", source.replace("return", "getppid(); return"))
    assert leaves(check("--against", str(new), "--since", str(old))) == []


def test_a_tree_that_is_the_same_has_nothing_to_look_at(tmp_path: Path, check: Callable[..., Any]) -> None:
    old = tree(tmp_path / "old", QUIET)
    shutil.copytree(old, tmp_path / "new")
    assert check("--against", "./new", "--since", "./old")["programs"] == 0


def test_of_a_tree_that_is_held_against_itself_nothing_is_read(
    tmp_path: Path, check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tree(tmp_path / "old", QUIET)
    (tmp_path / "new").symlink_to(old)
    monkeypatch.delattr(file, "read")
    assert check("--against", "./new", "--since", "./old") == {
        "against": "./new", "breakages": [], "notes": [], "programs": 0
    }  # fmt: skip


def test_a_layer_that_was_learnt_from_something_else_is_told(tmp_path: Path, check: Callable[..., Any]) -> None:
    same = tree(tmp_path / "same", "int main(void) { return 0; }")
    layer = tmp_path / "layer.toml"
    layer.write_text('[learnt]\non = "2026-11-29"\nkernels = ["2.6.32 mips"]\npackages = ["libdemo 1.0"]\n')
    found = check("-p", str(layer), "--against", str(same), "--since", str(same))
    kernel, package = (note for note in found["notes"] if "learnt" in note)
    assert kernel.startswith(f"{layer}: it was learnt on Linux 2.6.32 mips, and this is ")
    assert package.startswith(f"{layer}: it was learnt with libdemo 1.0, which is gone now")
    assert found["breakages"] == []


def test_who_made_a_call_comes_to_the_one_that_a_library_makes_in_its_place(
    tmp_path: Path, check: Callable[..., Any]
) -> None:
    """That of what does the same, and that it is seen, which the branches of the program do not show."""
    for version, name in (("old", "link"), ("new", "linkat")):
        # It is the former call that a function makes, too, which every program uses, as a malloc(3) of its own may.
        source = f"long turn(int n) {{ return raw(SYS_{name}); }}\nlong setlocale(int n) {{ return raw(SYS_link); }}"
        library(tmp_path / version, source)
        program = (
            "long turn(int);\nlong (*const ways[])(int) = {turn, 0};\nint main(int n, char **v) { return ways[n](n); }"
        )
        linked(tmp_path / version, program, "-lloop")
    uses = {
        name: Usage(SystemCall(name, elves.numbers()[name], calls.own(), (0,) * 6, Caller(0)), programs=programs)
        for name, programs in (("link", ("demo",)), ("symlink", ("demo",)))
    }
    other = attrs.evolve(uses["link"], programs=("another",))
    for name, use in (*uses.items(), ("other", other)):
        run = Run("1", "2026-11-29", "demo", "6.1 x86_64", frozenset({use}))
        recording.write(tmp_path / name, recording.Recording(frozenset({run})))
    words = ("--against", "./new", "--since", "./old", "--set", 'seccomp.deny=["linkat"]', "--", "demo")
    for seen, likely in (("link", True), ("symlink", False), ("other", False)):
        (found,) = check("--seen", f"./{seen}", *words)["breakages"]
        assert (found["leaf"], found["likely"]) == ("seccomp.linkat", likely)


def test_what_every_program_may_come_to_stands_last(tmp_path: Path, check: Callable[..., Any]) -> None:
    names = ("getppid", "getppid"), ("add_key", "userfaultfd")
    for version, (usual, own) in zip(("old", "new"), names, strict=True):
        source = f"long setlocale(int n) {{ return raw(SYS_{usual}); }}\nlong turn(int n) {{ return raw(SYS_{own}); }}"
        library(tmp_path / version, source)
        program = "long setlocale(int), turn(int);\nlong (*const ways[])(int) = {setlocale, turn};\n"
        linked(tmp_path / version, f"{program}int main(int n, char **v) {{ return ways[n](n); }}", "-lloop")
    found = check("--against", "./new", "--since", "./old", "--", "demo")
    assert leaves(found) == ["seccomp.userfaultfd", "seccomp.add_key"]


def test_the_library_that_brings_a_call_is_named(tmp_path: Path, check: Callable[..., Any]) -> None:
    for version, number in VERSIONS:
        library(tmp_path / version, f"long turn(void) {{ return raw({number}); }}")
        linked(tmp_path / version, "long turn(void);\nint main(void) { return turn(); }", "-lloop")
    (found,) = check("--against", "./new", "--since", "./old", "--", "/usr/bin/demo")["breakages"]
    assert (found["leaf"], found["path"], found["program"]) == (
        "seccomp.userfaultfd", "/usr/lib/libloop.so", "/usr/bin/demo"
    )  # fmt: skip


def test_what_a_call_would_need_is_offered(tmp_path: Path, check: Callable[..., Any]) -> None:
    old = tree(tmp_path / "old", QUIET)
    new = tree(tmp_path / "new", "int main(void) { return syscall(SYS_sched_setaffinity, 0, 0, 0); }")
    (found,) = check("--against", str(new), "--since", str(old))["breakages"]
    assert found["leaf"] == "seccomp.sched_setaffinity"
    assert found["loosening"]["options"][-2:] == ["--seccomp-allow", "sched_setaffinity"]


def test_what_only_pointers_of_a_library_lead_to_is_perhaps(tmp_path: Path, check: Callable[..., Any]) -> None:
    for version, number in VERSIONS:
        library(
            tmp_path / version,
            f"static long turn(void) {{ return raw({number}); }}\nstatic long other(void) {{ return 1; }}\n"
            "static long (*const turns[])(void) = {turn, other};\nlong made(int n) { return turns[n](); }",
        )
        linked(tmp_path / version, "long made(int);\nint main(int n, char **v) { return made(n); }", "-lloop")
    (found,) = check("--against", "./new", "--since", "./old", "--", "demo")["breakages"]
    assert (found["leaf"], found["likely"]) == ("seccomp.userfaultfd", False)


def test_a_module_that_a_program_loads_is_looked_at_with_it(tmp_path: Path, check: Callable[..., Any]) -> None:
    program = (
        "void *dlopen(char *, int);\nvoid joined(long n) { }\nint main(int n, char **v) { return !dlopen(v[1], 2); }"
    )
    for version, number in VERSIONS:
        library(tmp_path / version, f"void joined(long);\nvoid start(void) {{ joined(raw({number})); }}", "part.so",
                "usr/lib/demo/")  # fmt: skip
        library(tmp_path / version, "void *dlopen(char *name, int flags) { return (void *)raw(SYS_getppid); }")
        linked(tmp_path / version, program, "-rdynamic", "-lloop")
    (found,) = check("--against", "./new", "--since", "./old", "--", "demo")["breakages"]
    assert (found["path"], found["program"]) == ("/usr/lib/demo/part.so", "/usr/bin/demo")


def test_the_root_that_a_layer_names_is_replaced(tmp_path: Path, check: Callable[..., Any]) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    with (new / "usr/bin/demo").open("ab") as program:
        program.write(b"another one")
    (tmp_path / "app.toml").write_text(f'extends = ["strict"]\n[rootfs]\npath = "{old}"\n')
    found = check("-p", "./app.toml", "--against", str(new))
    assert (found["breakages"], found["programs"]) == ([], 1)


def test_a_number_that_is_computed_is_told(tmp_path: Path, check: Callable[..., Any]) -> None:
    old = tree(tmp_path / "old", QUIET)
    new = tree(tmp_path / "new", "int main(int n, char **v) { return syscall(atoi(v[1]) * 7); }")
    assert any("computed" in note for note in check("--against", str(new), "--since", str(old))["notes"])


def test_a_file_capability_that_no_command_has_is_foretold(
    tmp_path: Path, check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)

    def stored(path: str, name: str, *, follow_symlinks: bool) -> bytes:
        """What only root can set: cap_ipc_lock+ep, in the form of vfs_cap_data of version 2 (linux/capability.h)."""
        if path != str(new / "usr/bin/demo"):
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return struct.pack("<5I", 0x02000001, 1 << 14, 0, 0, 0)

    monkeypatch.setattr(os, "getxattr", stored)
    (found,) = check("--against", str(new), "--since", str(old))["breakages"]
    assert (found["kind"], found["leaf"]) == ("file rights", "capabilities.IPC_LOCK")
    assert leaves(check("--against", str(new), "--since", str(new))) == []


def test_a_set_user_id_bit_that_is_new_is_foretold(tmp_path: Path, check: Callable[..., Any]) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    (new / "usr/bin/demo").chmod(0o4755)
    assert leaves(check("--against", str(new), "--since", str(old))) == ["capabilities.no_new_privileges"]


def test_an_interpreter_and_a_library_that_are_gone_are_foretold(tmp_path: Path, check: Callable[..., Any]) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET, "-O1")
    whats = [item["what"] for item in check("--against", str(new), "--since", str(old), "--", "demo")["breakages"]]
    assert "the library libc.so.6 is not there" in whats
    (new / "usr/bin/script").write_text("#!/usr/bin/perl5\n")
    whats = [item["what"] for item in check("--against", str(new), "--since", str(old), "--", "script")["breakages"]]
    assert whats == ["the interpreter /usr/bin/perl5 is not there"]


def test_a_user_that_is_gone_is_foretold(tmp_path: Path, check: Callable[..., Any]) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    for place, lines in ((old, "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n"), (new, "root:x:0:0::/:/bin/sh\n")):
        (place / "etc").mkdir()
        (place / "etc/passwd").write_text(lines)
    words = ("--since", str(old), "--set", "process.user=web", "--set", f"rootfs.path={old}")
    assert leaves(check("--against", str(old), *words)) == []
    (found,) = check("--against", str(new), *words)["breakages"]
    assert found["kind"] == "stack"
    assert "web" in found["what"]


def package(place: Path, version: str, content: Path) -> Path:
    """A Debian package with the files of a tree."""
    control = content / "DEBIAN"
    control.mkdir(exist_ok=True)
    lines = ["Package: demo", f"Version: {version}", "Architecture: amd64", "Maintainer: nobody <nobody@localhost>"]
    (control / "control").write_text("\n".join([*lines, "Description: a demonstration"]) + "\n")
    file = place / f"demo_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(content), str(file)], check=True, capture_output=True)
    return file


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("listen 8080;", "    listen 0.0.0.0:80 default_server;", ["capabilities.NET_BIND_SERVICE"]),
        ("[web]\nport = 8080", "[web]\nport = 443", ["capabilities.NET_BIND_SERVICE"]),
        ("Listen 80", "Listen 81", []),  # what was denied is denied
        ("port 6379", "port 6380", []),
        ("listen 8080", "#listen 80\nlisten 8080\nremote_port 25\nlisten 80.1.1.1\nlisten unix:/run/80", []),
    ],
)
def test_a_port_that_is_new_and_denied_is_foretold(
    tmp_path: Path, check: Callable[..., Any], before: str, after: str, expected: list[str]
) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    for place, text in ((old, before), (new, after)):
        (place / "etc").mkdir()
        (place / "etc/demo.conf").write_text(f"{text}\n")
    found = check("--against", str(new), "--since", str(old))["breakages"]
    assert [(item["kind"], item["leaf"], item["path"]) for item in found] == [
        ("port", leaf, "/etc/demo.conf") for leaf in expected
    ]


def test_a_directory_is_likely_to_be_missed_where_one_that_is_written_to_has_gone(
    tmp_path: Path, check: Callable[..., Any]
) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    (old / "var/lib/before").mkdir(parents=True)
    (new / "var/lib/after").mkdir(parents=True)
    words = ("--against", str(new), "--since", str(old))
    writes = ("--tmpfs", "/var/lib/before", "--exception", "rootfs.tmpfs./var/lib/before=r")
    for options, likely in (((), False), (writes, True)):
        (found,) = check(*words, *options)["breakages"]
        assert (found["kind"], found["path"], found["likely"]) == ("directory", "/var/lib/after", likely)


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--fail-on", "likely"), 0), (("--fail-on", "perhaps"), 1)])
def test_the_exit_code_is_of_what_one_wants_to_fail_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    tree(tmp_path / "old", QUIET)
    (tree(tmp_path / "new", QUIET) / "var/lib/after").mkdir(parents=True)
    assert cli.main(["check", "strict", "--against", "./new", "--since", "./old", *options]) == code
    assert cli.main(["check", "strict", "--against", "./old", "--since", "./old", *options]) == 0


def test_a_capability_that_a_package_s_script_gives_is_foretold(tmp_path: Path, check: Callable[..., Any]) -> None:
    old, new = tree(tmp_path / "old", QUIET), tree(tmp_path / "new", QUIET)
    (new / "DEBIAN").mkdir()
    script = new / "DEBIAN/postinst"
    script.write_text("#!/bin/sh\nPROGRAM=/usr/bin/demo\nsetcap cap_net_raw+ep $PROGRAM || chmod u+s $PROGRAM\n")
    script.chmod(0o755)
    package(tmp_path, "2.0", new)
    assert leaves(check("--against", "./demo_2.0.deb", "--since", str(old))) == ["capabilities.NET_RAW"]


def test_a_package_is_compared_with_what_is_installed(tmp_path: Path, check: Callable[..., Any]) -> None:
    old = tree(tmp_path / "old", QUIET)
    new = tree(tmp_path / "new", "int main(void) { return syscall(SYS_open_tree, -1, (char *)0, 0); }")
    (new / "var/lib/demo").mkdir(parents=True)
    (new / "usr/bin/demo").chmod(0o4755)
    package(tmp_path, "2.0", new)
    found = check("--against", "./demo_2.0.deb", "--since", str(old))
    shown = {(item["kind"], item["leaf"], item["path"], item["package"]) for item in found["breakages"]}
    assert shown == {
        ("system call", "seccomp.open_tree", "/usr/bin/demo", "demo 2.0"),
        ("file rights", "capabilities.no_new_privileges", "/usr/bin/demo", "demo 2.0"),
        ("directory", "rootfs.read_only", "/var/lib/demo", "demo 2.0"),
    }
    partial = tmp_path / "images/partial"
    assert list(partial.iterdir()) == []
    (partial / "killed/root/usr").mkdir(parents=True)  # as a process leaves it that was killed
    assert check("--against", "./demo_2.0.deb", "--since", str(old)) == found
    assert list(partial.iterdir()) == []


def test_a_program_that_is_split_off_does_what_the_other_one_did(tmp_path: Path, check: Callable[..., Any]) -> None:
    source = "int main(void) { return syscall(SYS_userfaultfd, 0); }"
    old, new = tree(tmp_path / "old", source), tree(tmp_path / "new", QUIET)
    tree(tmp_path / "new", source, name="usr/lib/demo/session")
    package(tmp_path, "2.0", new)
    assert leaves(check("--against", "./demo_2.0.deb", "--since", str(old))) == []


def test_what_happens_to_several_files_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    source = "int main(void) { return syscall(SYS_userfaultfd, 0); }"
    for name in ("usr/bin/one", "usr/bin/two"):
        tree(tmp_path / "new", source, name=name)
        tree(tmp_path / "old", QUIET, name=name)
    assert cli.main(["check", "strict", "--against", "./new", "--since", "./old"]) == 1
    shown = capsys.readouterr()
    (row,) = (part for part in shown.out.split("\n\n") if part.startswith("system call"))
    assert "\n  file        /usr/bin/one and 1 more\n" in row
    assert shown.out.count("answers EPERM") == 1
    assert "2 programs new or changed; 2 things will break" in shown.err


def test_an_image_is_compared_with_another_one(
    tmp_path: Path, check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENING_IMAGES", str(tmp_path / "images"))
    for version, source in (("old", QUIET), ("new", "int main(void) { return syscall(SYS_userfaultfd, 0); }")):
        program = (tree(tmp_path / version, source) / "usr/bin/demo").read_bytes()
        layer = images.archive(
            [images.folder("usr"), images.folder("usr/bin"), images.entry("usr/bin/demo", program, mode=0o755)]
        )
        images.layout(tmp_path / f"{version}-image", [layer], {"Cmd": ["demo"]})
    permitted = ("--set", "trust.default=accept", "--exception", "trust.default=made here")
    words = ("--against", "oci:./new-image:v1", "--since", "oci:./old-image:v1", "--", "demo")
    assert leaves(check(*permitted, *words)) == ["seccomp.userfaultfd"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strict", "--against", "./nothing"], "neither a root nor a package"),
        (["strict", "web", "--against", "."], "one profile"),
        (["nosuchprofile", "--against", "."], "nosuchprofile"),
        (["strict", "--against", "./bad.deb"], "no Debian package"),
        (["strict", "--against", ".", "--seen", "./nothing"], "no recording"),
        (["strict", "--against", ".", "--seen", "./bad.deb"], "learn --into"),
    ],
)
def test_bad_usage_is_2(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.deb").write_bytes(b"!<arch>\nnothing")
    assert cli.main(["check", *words]) == 2
    assert message in capsys.readouterr().err


def test_code_without_end_is_told_of_its_file_and_the_rest_goes_on(
    tmp_path: Path, check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tree(tmp_path / "new", "int main(void) { return syscall(SYS_open_tree, -1, (char *)0, 0); }")
    (new / "usr/bin/endless").write_bytes(elfwriter.program(b"\x0f\x05" * 30_000))
    (new / "usr/bin/endless").chmod(0o755)
    monkeypatch.setattr(numbers, "EFFORT", 80_000)
    found = check("--against", str(new), "--since", str(tree(tmp_path / "old", QUIET)))
    assert leaves(found) == ["seccomp.open_tree"]
    assert "/usr/bin/endless is not looked at: it has too much code to look through" in found["notes"]


def test_a_command_that_is_no_file_is_an_error_of_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tree(tmp_path / "new", QUIET)
    os.mkfifo(new / "usr/bin/pipe")
    assert cli.main(["check", "strict", "--against", str(new), "--since", str(new), "--", "pipe"]) == 2
    assert "cannot be executed: it is not a regular file" in capsys.readouterr().err
