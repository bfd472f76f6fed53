"""Calls of real commands that a mechanism denied: the kernel's answer, who takes itself for the reason, and that its first
way has the call go well. And the same errnos made by others, of whom nobody is certain."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.features import require
from tests.support.forking import scripted

pytestmark = pytest.mark.system

#: Composes a layer, traces a command under it, and prints what each mechanism says of each failure; with ``past`` a leaf,
#: then traces it again with the first way past that. Standard output of the command goes to standard error.
SCRIPT = """
import json, sys, tomllib
from datetime import date
from pathlib import Path
from hardening.assemble import bundle, pipeline
from hardening.launch.request import LaunchRequest
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document
from hardening.trace.tracer import trace
from hardening.why import loosen
from hardening.why.attempt import attempt
folder, layer, command, past = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
everybody = plugins.load()
here = host.probe(everybody.mechanisms)

def run(name, *tables):
    layers = [parse_layer(Document(f"layer{at}", Path(f"/layer{at}.toml"), table, {})) for at, table in enumerate(tables)]
    tried = attempt(Stack(tuple(layers)), everybody.mechanisms, here, date(2030, 1, 1))
    assert tried.error is None, tried.error
    place = Path(folder, name)
    assembly = pipeline.assembled(everybody, tried.composition, here, command, bundle=place)
    pipeline.apply_host_changes(assembly)
    bundle.write(assembly.spec, place)
    found = []
    for call in trace(LaunchRequest(), place, seconds=60, streams={1: 2}).failures:
        for mechanism in everybody.mechanisms:
            settings = tried.composition.settings[mechanism.name]
            for cause in mechanism.denied(settings, assembly.context, call):
                found.append((call.text, call.outcome, cause.leaf, cause.certain, cause))
        found.append((call.text, call.outcome, "", False, None))
    return tried, found

tried, found = run("first", layer)
after = None
if past:
    cause = next(item[4] for item in found if item[2] == past)
    offer = loosen.first(tried, cause.leaf, cause.ways)
    assert offer is not None and not offer.barrier, offer
    after = [row[:4] for row in run("second", layer, tomllib.loads(offer.toml))[1]]
print(json.dumps({"found": [row[:4] for row in found], "after": after}))
"""
PYTHON = "/usr/bin/python3"
BASE: dict[str, Any] = {"selinux": {"requirement": "best-effort"}}
#: Nothing is filtered, so that what comes next is asked.
OPEN: dict[str, Any] = {"seccomp": {"default": "allow", "restrict_suid_sgid": False}}
#: A filter of the program's own, with which personality(2) answers EPERM.
OWN_FILTER = """
import ctypes, struct, os
number = {"x86_64": 135, "aarch64": 92}[os.uname().machine]
code = b"".join(struct.pack("HBBI", *row) for row in
    [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)])
held = ctypes.create_string_buffer(code)
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(held)))
assert libc.prctl(22, 2, program, 0, 0) == 0
libc.personality(0x40000)
"""
SYSCALL = "import ctypes; ctypes.CDLL(None).{}"
#: what a layer says, what Python does, the failure's outcome, the leaf that is to blame, and whether that is certain
DENIED: dict[str, tuple[dict[str, Any], str, str, bool]] = {
    "a call": ({}, SYSCALL.format("personality(0x40000)"), "seccomp.personality", True),
    "a family": ({"seccomp": {"allow": ["@strict"]}}, "import socket; socket.socket(40, 1)", "seccomp.socket", True),
    "a bit of a mode": (
        {}, "import os; open('/tmp/f', 'w'); os.chmod('/tmp/f', 0o4755)", "seccomp.restrict_suid_sgid", True,
    ),
    "a kill": (
        {"seccomp": {"rules": [{"names": ["personality"], "action": "kill-process"}]}},
        SYSCALL.format("personality(0x40000)"), "seccomp.personality", True,
    ),
    "a new root": (OPEN, "import os; os.chroot('/')", "capabilities.SYS_CHROOT", False),
    "a mount": (OPEN, SYSCALL.format("mount(b'none', b'/tmp', b'tmpfs', 0, None)"), "capabilities.SYS_ADMIN", False),
    "a namespace": (OPEN, SYSCALL.format("unshare(0x04000000)"), "capabilities.SYS_ADMIN", False),
    "a port": (
        OPEN, "import socket; socket.socket().bind(('127.0.0.1', 80))", "capabilities.NET_BIND_SERVICE", False,
    ),
    "a raw socket": (OPEN, "import socket; socket.socket(2, 3, 255)", "capabilities.NET_RAW", False),
    "a socket of ping's": (
        OPEN, "import socket\ntry: socket.socket(2, 2, 1)\nexcept OSError: socket.socket(2, 3, 1)",
        "capabilities.NET_RAW", False,
    ),
    "many files": ({}, "fs = [open('/dev/null') for _ in range(2000)]", "process.rlimits.nofile", False),
    "a long file": (
        {"process": {"rlimits": {"fsize": 4096}}}, "open('/tmp/f', 'wb').write(bytes(9999))", "process.rlimits.fsize",
        False,
    ),
    "locked memory": (
        OPEN, "import ctypes, mmap; m = mmap.mmap(-1, 1 << 20); "
        "ctypes.CDLL(None).mlock(ctypes.byref(ctypes.c_char.from_buffer(m)), 1 << 20)",
        "process.rlimits.memlock", False,
    ),
    "a terminal": ({}, "open('/dev/tty')", "process.terminal", True),
}  # fmt: skip
#: The same errnos, by others.
OTHERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a filter of its own": (OPEN, OWN_FILTER, "EPERM"),
    "a mode": ({}, "import os; open('/tmp/f', 'w'); os.chmod('/tmp/f', 0); open('/tmp/f', 'x')", "EEXIST"),
    "a file that nobody executes": (OPEN, "import os; open('/tmp/f', 'w'); os.execv('/tmp/f', ['f'])", "EACCES"),
    "a missing file": ({}, "open('/tmp/none')", "ENOENT"),
    "a file that is there": ({}, "import os; os.mkdir('/tmp')", "EEXIST"),
    "a port that is taken": (
        OPEN,
        "import socket; a = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen(); socket.socket().bind(a.getsockname())",
        "EADDRINUSE",
    ),
    "a process that is gone": ({}, "import os; os.kill(4194303, 0)", "ESRCH"),
    "no family of that number": (OPEN, "import socket; socket.socket(46, 1)", "EAFNOSUPPORT"),
}  # fmt: skip


@pytest.fixture(params=("root", "user-range"))
def stance(request: pytest.FixtureRequest) -> Stance:
    require("userns")
    return bundles.stance(request.param)


def traced(
    stance: Stance, layer: dict[str, Any], code: str, past: str = ""
) -> dict[str, list[tuple[str, str, str, bool]]]:
    """What was said of a run of Python under a layer."""
    with runs.workplace(stance.user) as folder:
        command = json.dumps([PYTHON, "-ISc", f"try:\n exec({code!r})\nexcept OSError: pass"])
        done = scripted(stance.user, SCRIPT, str(folder), json.dumps({**BASE, **layer}), command, past)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[tuple[str, str, str, bool]]] = json.loads(done.stdout)
    return found


@pytest.mark.sampled("stance", kinds=lambda row: [DENIED[row["case"]][2].partition(".")[0], DENIED[row["case"]][3]])
@pytest.mark.parametrize("case", DENIED)
def test_who_denied_a_call_says_so_and_its_first_way_permits_it(case: str, stance: Stance) -> None:
    layer, code, leaf, certain = DENIED[case]
    if case == "locked memory" and stance.user is not None:
        stance = bundles.stance("root")  # an ordinary user's own limit is no higher
    found = traced(stance, layer, code, past=leaf)
    (first, *_) = [row for row in found["found"] if row[2] == leaf]
    assert first[3] is certain, first
    before = [row for row in found["found"] if row[:2] == first[:2]]
    again = [row for row in found["after"] if row[:2] == first[:2]]
    assert len(again) < len(before) if "many" in case else not again, again
    # Nobody else is certain of the same.
    assert not [row for row in before if row[3] and row[2].split(".")[0] != leaf.split(".")[0]]


@pytest.mark.sampled("stance", kinds=lambda row: [bool(OTHERS[row["case"]][0])])
@pytest.mark.parametrize("case", OTHERS)
def test_nobody_is_certain_of_what_others_denied(case: str, stance: Stance) -> None:
    layer, code, outcome = OTHERS[case]
    found = traced(stance, layer, code)["found"]
    last = [row for row in found if row[1] == outcome][-1]
    blamed = [row for row in found if row[:2] == last[:2] and row[2]]
    assert not [row for row in blamed if row[3]], blamed
    assert not [row for row in blamed if row[2].startswith(("seccomp.", "capabilities.", "process."))], blamed


def test_a_file_capability_and_a_set_user_id_bit_are_read_from_the_file() -> None:
    """On a volume whose files may give something, without a user namespace, which would heed neither."""
    require("root")
    with runs.workplace() as folder:
        tools = folder / "tools"
        tools.mkdir()
        tools.chmod(0o755)
        for name in ("raw", "root"):
            shutil.copy("/bin/true", tools / name)
            (tools / name).chmod(0o755)
        subprocess.run(["setcap", "cap_net_raw=ep", str(tools / "raw")], check=True)
        (tools / "root").chmod(0o4755)
        layer = {**OPEN, "namespaces": {"user": "host"}, "rootfs": {"volumes": [f"{tools}:/tools:ro,suid,exec"]}}
        stance = bundles.stance("root")
        found = traced(stance, layer, "import os; os.execv('/tools/raw', ['raw'])", past="capabilities.NET_RAW")
        (row,) = [row for row in found["found"] if row[2].startswith("capabilities.")]
        assert (*row,) == ("execve /tools/raw", "EPERM", "capabilities.NET_RAW", True)
        assert not [row for row in found["after"] if row[1] == "EPERM"]
        as_user = {**layer, "process": {"user": "1000"}}
        found = traced(stance, as_user, "import os; os.execv('/tools/root', ['root'])")
        (quiet,) = [row for row in found["found"] if row[2] == "capabilities.no_new_privileges"]
        assert quiet[0].startswith("execve /tools/root")
        assert not quiet[1]
