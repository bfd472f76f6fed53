"""What strace(1) says is read, and what is granted is held against it."""

from __future__ import annotations

from tests.software.learnt import Permitted, untouched
from tests.software.witness import Touched, touched

TOLD = r"""
7 openat(AT_FDCWD</home>, "/launcher", O_WRONLY|O_CREAT, 0666) = 3</launcher>
9 pivot_root(".", ".") = 0
9 openat(AT_FDCWD</>, "/early", O_WRONLY|O_CREAT, 0666) = 3</early>
9 execve("/bin/demo", ["demo"], 0x7ff /* 3 vars */) = 0
7 openat(AT_FDCWD</home>, "/late", O_WRONLY|O_CREAT, 0666) = 3</late>
9 openat(AT_FDCWD</work>, "in", O_RDONLY) = 3</work/in>
9 openat(AT_FDCWD</work>, "out", O_WRONLY|O_CREAT <unfinished ...>
10 mkdirat(4</work/sub>, "dir", 0777) = 0
9 <... openat resumed>, 0666) = 4</work/out>
10 rename("/work/a", "/work/b\"\303\244") = 0
10 unlink("/work/none") = -1 ENOENT (No such file or directory)
10 bind(3<UNIX-STREAM:[5]>, {sa_family=AF_UNIX, sun_path="/run/socket"}, 110) = 0
10 stat("/etc", {st_mode=S_IFDIR|0755}) = 0
""".strip().splitlines()


def test_what_the_command_has_touched_is_told_from_what_its_launcher_has() -> None:
    found = touched(TOLD)
    assert found.written == {"/work/out", "/work", "/work/sub/dir", "/work/a", '/work/b"ä', "/run/socket"} - {"/work"}
    assert found.paths == found.written | {"/work/in", "/etc"}


def test_a_parent_of_what_was_touched_is_granted_for_nothing() -> None:
    none = frozenset[str]()
    base = Permitted(none, none, frozenset({"/data", "/tmp"}), frozenset({"/etc/shadow", "/home"}))
    found = Touched(
        frozenset({"/home/me/x", "/data/db/file", "/var/cache/demo/x"}),
        frozenset({"/data/db/file", "/var/cache/demo/x"}),
    )

    def granted(*writable: str, closed: frozenset[str] = base.closed) -> list[str]:
        return list(untouched(base, Permitted(none, none, frozenset(writable), closed), found))

    assert granted("/data", "/var/cache/demo") == []
    assert granted("/data", "/tmp") == ["/tmp"]
    assert granted("/var/cache") == ["/var/cache"]
    assert granted("/") == ["/"]
    assert granted(closed=frozenset({"/etc/shadow"})) == []
    assert granted(closed=none) == ["/etc/shadow"]
