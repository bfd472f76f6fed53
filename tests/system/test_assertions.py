"""`hardening test --live` names the mechanism that denies: one is planted at a time, where all else permits it.

`--all` plants every one; an ordinary run takes some of each mechanism.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
import click
import pytest

from hardening.assertions import operation, testfile, trying
from hardening.cli.commands.review.test import Suite
from hardening.cli.session import Session
from tests.support.features import require

pytestmark = pytest.mark.system

#: A stack of its own, which permits what is planted against, and which no limit binds.
LOOSE = """
complete = true
[namespaces]
net = "{net}"
user = "{user}"
pid = "private"
mount = "private"
ipc = "private"
uts = "private"
cgroup = "private"
[capabilities]
add = [{capabilities}]
no_new_privileges = true
[seccomp]
default = "allow"
deny = [{denied}]
[rootfs]
read_only = true
tmpfs = ["/run:size=1M,exec,mode=1777", "/tmp:size=1M,{exec}"]
sys = "read-only"
hidden_paths.add = [{hidden}]
masked_paths.drop = [{masked}]
proc.subset = ""
[process]
umask = "022"
[process.rlimits]
nice = 0
[selinux]
requirement = "best-effort"
[landlock]
{landlock}
"""
HELD = (
    "SYS_ADMIN",
    "SYS_CHROOT",
    "SYS_RESOURCE",
    "SYS_PTRACE",
    "SYS_NICE",
    "IPC_LOCK",
    "NET_ADMIN",
    "NET_RAW",
    "NET_BIND_SERVICE",
    "SETPCAP",
    "KILL",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "SETUID",
    "SETGID",
    "MKNOD",
    "AUDIT_WRITE",
)

_CALLS = ("mount", "ptrace", "bpf", "keyctl", "add_key", "unshare(CLONE_NEWUTS)", "setns", "io_uring_setup(1)", "getpid",
          "perf_event_open", "userfaultfd", "socket(AF_PACKET, 3)", "socket(AF_NETLINK, 3)", "personality(8)", "chroot",
          "sethostname")  # fmt: skip
#: mechanism -> what is asked, and what plants its denial: a value of the stack above.
PLANTED: dict[str, dict[str, dict[str, str]]] = {
    "seccomp": {asked: {"denied": f'"{asked.partition("(")[0]}"'} for asked in _CALLS},
    "capabilities": {
        "sethostname": {"without": "SYS_ADMIN"},
        "setdomainname": {"without": "SYS_ADMIN"},
        "unshare(CLONE_NEWUTS)": {"without": "SYS_ADMIN"},
        "socket(AF_PACKET, 3)": {"without": "NET_RAW"},
        "bind :80": {"without": "NET_BIND_SERVICE"},
        **{f"CAP_{name}": {"without": name} for name in ("NET_RAW", "SYS_PTRACE", "CHOWN", "MKNOD", "KILL")},
    },
    "rootfs": {
        "write /usr": {},
        "write /etc/hostname": {},
        "execute /tmp": {"exec": "noexec"},
        "read /usr/share/doc/bash": {"hidden": '"/usr/share/doc"'},
        "see /usr/share/doc/bash": {"hidden": '"/usr/share/doc"'},
        "execute /dev/shm": {},
        "read /proc/timer_list": {"masked": ""},
    },
    "namespaces": {"connect 192.0.2.1:80": {"net": "private"}},
    "landlock": {
        "write /run": {"landlock": 'write = ["/tmp"]'},
        "read /usr/share/doc/bash": {
            "landlock": 'read = ["/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/etc", "/dev", "/proc"]'
        },
        "execute /run": {"landlock": 'execute = ["/bin", "/lib", "/lib64", "/usr"]'},
        "bind :8080": {"landlock": "bind = [9090]"},
        "connect 127.0.0.1:8080": {"landlock": "connect = [9090]"},
        "write /tmp": {"landlock": 'write = ["/run"]'},
    },
}
CASES = [(mechanism, asked) for mechanism, cases in PLANTED.items() for asked in cases]


def stack(values: dict[str, str]) -> str:
    """The loose stack with one thing planted."""
    without = values.get("without", "")
    default = {
        "net": "private", "user": "private", "denied": "", "exec": "exec", "hidden": "",
        "masked": '"/proc/timer_list"', "landlock": "",
        "capabilities": ", ".join(f'"{name}"' for name in HELD if name != without),
    }  # fmt: skip
    return LOOSE.format(**{**default, **values})


def planted(
    values: dict[str, str], asked: str, folder: Path
) -> tuple[Suite, testfile.Assertion, operation.AssertedOperation, trying.LiveAnswer]:
    """What a program comes to under the stack with one thing planted."""
    (folder / "planted.toml").write_text(stack(values))
    (folder / "planted.test.toml").write_text(f'[[test]]\nname = "planted"\ndenies = ["{asked}"]\n')
    suite = Suite(Session(), testfile.read(str(folder / "planted.test.toml")))
    (assertion,) = suite.file.cases[0].assertions
    assert isinstance(assertion, testfile.Assertion)
    made = operation.read(asked, suite.composition, suite.context, assertion.origin)
    with click.Context(click.Command("test"), obj=suite.here) as context:
        return suite, assertion, made, trying.tried(made, suite.attempt, suite.runner(context), suite.context)


def test_what_the_mode_of_a_file_refuses_first_shows_nothing_of_landlock(tmp_path: Path) -> None:
    require("root")
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        Path(file.name).chmod(0)
        read = '"/bin", "/lib", "/lib64", "/usr", "/etc", "/dev", "/proc"'
        values = {"user": "private", "landlock": f"read = [{read}]"}
        _, assertion, _, answer = planted(values, f"read {file.name}", tmp_path)
    found = trying.live(attrs.evolve(assertion, by="landlock"), answer)
    assert found.state is trying.AssertionState.SKIPPED, found
    assert found.why.startswith("landlock.read denies it, and so may the file's rights"), found.why


@pytest.mark.sampled("mechanism")
@pytest.mark.parametrize(("mechanism", "asked"), CASES)
def test_a_planted_denial_is_that_of_its_mechanism(mechanism: str, asked: str, tmp_path: Path) -> None:
    require("root")
    suite, _, made, answer = planted(PLANTED[mechanism][asked], asked, tmp_path)
    assert {denial.mechanism for denial in answer.denials} == {mechanism}, answer
    # The kernel is asked of each, and the reason is the one that the composition gives, in its words.
    foreseen = {(denial.leaf, denial.why) for denial in made.denials(suite.composition, suite.context)}
    assert {(denial.leaf, denial.why) for denial in answer.denials} <= foreseen
