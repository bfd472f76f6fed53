"""What places and namespaces deny of a real command is named by its own failing calls, and what is offered past it is what
the command then needs; what the file, the program or the host does is named by nobody here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from hardening.assemble.pipeline import examine
from hardening.mechanism import host
from hardening.mechanism.denial import Caller, Cause, SystemCall
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import read
from hardening.why import loosen
from hardening.why.attempt import Attempt, attempt
from tests.support.features import require
from tests.support.forking import scripted, typed
from tests.support.runs import workplace

pytestmark = pytest.mark.system

#: The mechanisms of places; what others say of the same calls is theirs to test.
PLACES = ("rootfs", "namespaces", "secrets")
TRACE = """
import json, sys
import attrs
from hardening.launch.request import LaunchRequest
from hardening.trace.tracer import trace
found = trace(LaunchRequest(), sys.argv[1], streams={1: 2})
print(json.dumps([attrs.asdict(call) for call in found.failures], default=sorted))
"""
HEAD = '[selinux]\nrequirement = "best-effort"\n'
#: A library of the host's, mapped from a copy.
LIBRARY = "cp $(ls /usr/lib/*/libz.so.1) /tmp/z && python3 -c 'import ctypes; ctypes.CDLL(\"/tmp/z\")'"
NETWORK = '[seccomp]\nallow = ["socket", "connect"]'
CONNECT = "import socket; socket.socket().connect(('192.0.2.1', 80))"


@pytest.fixture
def shown() -> Iterator[Path]:
    """A directory of the host outside of what is private, which all may write to."""
    require("root")
    require("userns")
    Path("/srv").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="/srv") as place:
        Path(place).chmod(0o777)
        (Path(place) / "file").write_text("content")
        (Path(place) / "file").chmod(0o666)
        (Path(place) / "closed").touch(mode=0o600)
        yield Path(place)


class Profile:
    """A profile, and what a command fails at under it."""

    def __init__(self, folder: Path, said: str) -> None:
        self.folder = folder
        self.profile = folder / "mine.toml"
        self.profile.write_text(f"{HEAD}{said}\n")
        self.profile.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HARDENING_STATE": str(self.folder / "state")}

    def called(self, *words: str) -> subprocess.CompletedProcess[str]:
        return typed(None, *words, cwd=".", env=self.environment)

    def failures(self, *command: str) -> list[SystemCall]:
        """The calls of a command that fail, as a trace has them."""
        bundle = self.folder / "bundle"
        done = self.called("compose", "-q", "-p", str(self.profile), "-o", str(bundle), "--", *command)
        assert done.returncode == 0, done.stderr
        traced = scripted(None, TRACE, str(bundle), env=self.environment)
        assert traced.returncode == 0, traced.stderr
        return [_call(row) for row in json.loads(traced.stdout)]

    def tried(self) -> Attempt:
        installed = plugins.load().mechanisms
        found = host.probe(installed)
        layer = parse_layer(read(self.profile, "mine"))
        return attempt(Stack((layer,)), installed, found, date(2026, 1, 1))

    def causes(self, calls: list[SystemCall]) -> list[tuple[SystemCall, Cause, list[str]]]:
        """Each cause in the order of the calls, with the options that are offered past it."""
        tried = self.tried()
        context = examine(tried.composition, tried.host)
        found = []
        for call in calls:
            for mechanism in tried.composition.mechanisms:
                if mechanism.name in PLACES:
                    for cause in mechanism.denied(tried.composition.settings[mechanism.name], context, call):
                        way = loosen.of_cause(tried, mechanism, cause, call)
                        found.append((call, cause, list(way.options) if way is not None else []))
        return found


def _call(row: dict[str, Any]) -> SystemCall:
    caller = Caller(**{**row["caller"], "capabilities": frozenset(row["caller"]["capabilities"])})
    tuples = {name: tuple(row[name]) for name in ("arguments", "ids")}
    return SystemCall(**{**row, **tuples, "access": frozenset(row["access"]), "caller": caller})


#: what a layer says, the command (`{}` is the directory of the host), the call that fails, and the leaf that denies it
DENIED = [
    ("", "cp /bin/true /tmp/true && /tmp/true", "execve", "rootfs.tmpfs./tmp"),
    ("", LIBRARY, "mmap", "rootfs.tmpfs./tmp"),
    ("", "head -c 80M /dev/zero >/tmp/full", "write", "rootfs.tmpfs./tmp"),
    ("", "head -c 20M /dev/zero >/dev/shm/full", "write", "rootfs.shm_size"),
    ("", "cat {tmp}", "openat", "rootfs.tmpfs./tmp"),
    ("", "cat /proc/cpuinfo", "openat", "rootfs.proc.subset"),
    ("", "cd /sys/kernel", "chdir", "rootfs.sys"),
    ("", "echo more >>{}/file", "openat", "rootfs.read_only"),
    ("", "echo new >{}/new", "openat", "rootfs.read_only"),
    ("", "mkdir -p /var/lib/hardening-of-a-test && echo >/var/lib/hardening-of-a-test/new", "mkdir", "rootfs.read_only"),
    ("", "cat {}/closed", "openat", "rootfs.path"),
    ("", "grep -q root: /etc/shadow", "openat", "rootfs.hidden_paths./etc/shadow"),
    ('[rootfs]\nvolumes.add = ["{}:/data:ro"]', "echo new >/data/new", "openat", "rootfs.volumes./data"),
    ('[rootfs]\nvolumes.add = ["{}:/data:ro"]', "echo more >>/data/file", "openat", "rootfs.volumes./data"),
    ('[rootfs]\nvolumes.add = ["{}:/data:noexec"]', "cp /bin/true /data && /data/true", "execve", "rootfs.volumes./data"),
    ('[rootfs]\ntmpfs = "none"', "echo >/tmp/new", "openat", "rootfs.read_only"),
    ("[rootfs]\nshm_size = 0", "echo >/dev/shm/new", "openat", "rootfs.shm_size"),
]  # fmt: skip


@pytest.mark.sampled("leaf")
@pytest.mark.parametrize(("said", "command", "call", "leaf"), DENIED)
def test_what_denies_a_command_is_named_and_what_is_offered_is_what_it_needs(
    said: str, command: str, call: str, leaf: str, shown: Path
) -> None:
    require("idmapped")
    with workplace() as folder, TemporaryDirectory(dir="/tmp") as private:
        file = Path(private) / "file"
        file.write_text("content")
        Path(private).chmod(0o755)
        profile = Profile(folder, said.replace("{}", str(shown)))
        words = ("sh", "-c", command.replace("{}", str(shown)).replace("{tmp}", str(file)))
        found = profile.causes(profile.failures(*words))
        options = [offered for failed, cause, offered in found if (failed.name, cause.leaf) == (call, leaf)]
        assert options, [(failed.text, failed.outcome, cause.leaf) for failed, cause, _ in found]
        done = profile.called("run", "-q", "-p", str(profile.profile), *options[-1], "--", *words)
        assert done.returncode == 0, (options[-1], done.stderr)


#: what fails for reasons of the file's, the program's or the host's own
OTHERS = [
    ("", "cat /etc/nothing-of-this-name"),
    ("", "cat /var/log/nothing-of-this-name"),
    ("", "echo >/dev/full"),
    ("", "cd /tmp && echo >mine && chmod 0 mine && ! cat mine"),
    ("", "cd /tmp && mkdir of && rmdir of && ! ls of"),
    ('[rootfs]\ntmpfs.add = ["/tmp:exec"]', "echo text >/tmp/plain; ! /tmp/plain"),
    ('[rootfs]\nvolumes.add = ["{}:/data:idmap"]', "! ls /data/nothing; ! cat /data/file/below"),
    (NETWORK, "python3 -c 'import socket; socket.socket().connect((\"127.0.0.1\", 1))'"),
    ("", "! kill -0 4194300"),
]


@pytest.mark.sampled("said")
@pytest.mark.parametrize(("said", "command"), OTHERS)
def test_nobody_here_is_blamed_for_what_no_setting_denies(said: str, command: str, shown: Path) -> None:
    """Beside what programs look for in /proc of themselves, and do without."""
    with workplace() as folder:
        profile = Profile(folder, said.replace("{}", str(shown)))
        failures = profile.failures("sh", "-c", command.replace("{}", str(shown)))
        assert failures
        found = profile.causes([call for call in failures if not call.path.startswith("/proc/")])
        assert not [(failed.text, failed.outcome, cause.leaf) for failed, cause, _ in found]


def test_a_network_of_its_own_is_named_by_the_call_that_leads_nowhere() -> None:
    require("root")
    require("userns")
    with workplace() as folder:
        profile = Profile(folder, NETWORK)
        found = profile.causes(profile.failures("python3", "-c", CONNECT))
        (way,) = [(cause.leaf, offered) for call, cause, offered in found if call.name == "connect"]
        assert way == ("namespaces.net", ["--set", 'namespaces.net="host"'])
