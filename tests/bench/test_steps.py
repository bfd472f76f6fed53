"""Steps from a trace, and packages from import times."""

from __future__ import annotations

from tests.bench.steps import import_times, profile, quickest, steps

TRACE = """\
10 100.000000 execve("/usr/bin/hardening", ["hardening", "launch", "b"], 0x7ffd /* 33 vars */) = 0
10 100.010000 execve("/nowhere/python", ["python"], 0x7ffd /* 33 vars */) = -1 ENOENT (No such file or directory)
10 100.020000 execve("/usr/bin/python3", ["python", "-I"], 0x7ffd /* 33 vars */) = 0
10 100.030000 clone(child_stack=NULL, flags=CLONE_NEWUSER|CLONE_NEWPID|SIGCHLD) = 11
11 100.031000 unshare(CLONE_NEWNS|CLONE_NEWUTS) = 0
11 100.033000 unshare(CLONE_NEWIPC) = 0
11 100.034000 pivot_root(".", ".") = 0
11 100.036000 seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=114, filter=0x90d4e90}) = 0
11 100.036500 execve("/bin/true", ["/bin/true"], 0x7f4f /* 4 vars */) = 0
11 100.037000 exit_group(0) = ?
11 100.037100 +++ exited with 0 +++
10 100.038000 exit_group(0) = ?
"""


def test_steps_end_with_their_marks() -> None:
    assert [(label, round(taken, 3)) for label, taken in steps(TRACE.splitlines())] == [
        ("python3 is executed", 20.0),
        ("the container's process is there", 10.0),
        ("namespaces are made", 3.0),
        ("the root is in place", 1.0),
        ("the filter is loaded", 2.0),
        ("true is executed", 0.5),
        ("a process ends", 1.5),
    ]


def test_a_profile_is_the_median_of_runs_that_took_the_same_steps() -> None:
    runs = [[("a", 1.0), ("b", 9.0)], [("a", 3.0), ("b", 5.0)], [("a", 2.0), ("b", 7.0)], [("a", 50.0)]]
    assert profile(runs) == [("a", 2.0), ("b", 7.0)]


def test_imports_are_summed_by_package() -> None:
    lines = [
        "import time: self [us] | cumulative | imported package",
        "import time:       500 |        500 |     attr._make",
        "import time:      1500 |       2000 |   attr",
        "import time:      3000 |       9000 | click.core",
        "not a line of the interpreter",
    ]
    assert import_times(lines) == {"click": 3.0, "attr": 2.0}
    assert import_times(lines, depth=2) == {"click.core": 3.0, "attr": 1.5, "attr._make": 0.5}


def test_the_least_of_several_runs() -> None:
    assert quickest([{"attr": 3.0, "click": 1.0}, {"attr": 2.0, "click": 4.0, "rich": 5.0}]) == {
        "rich": 5.0,
        "attr": 2.0,
        "click": 1.0,
    }
