"""What the administrator of a machine puts before every stack, and whose signature it requires: what an ordinary user tries
against it, with the files where they belong, in a mount namespace of its own.

Each way is tried before and after: without the two files each does what it is for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from hardening.base.digest import sha256
from tests.support.features import require
from tests.support.gpg import Keys
from tests.support.runs import hand_over, workplace
from tests.support.users import User, ordinary, program

pytestmark = pytest.mark.system

ENFORCED = 'description = "no run goes beyond"\nextends = "base"\n[limits.namespaces]\nnet = "private"\n'
LOOSE = """
[selinux]
requirement = "best-effort"
[namespaces]
net = "host"
[[exceptions]]
setting = "namespaces.net"
reason = "a test"
"""
#: How the command is given the host's network, by the words before it; `launch` has a command of its own. ``p`` is a profile
#: that says so, ``enforced`` one of that name in the caller's folders, ``bundle`` one that was composed before.
RUN = "{h} run -q"
WAYS = {
    "a profile": f"{RUN} -p ./p.toml --",
    "a shipped profile, by the cache": f"{RUN} -p web --",
    "an option": f"{RUN} --net host --",
    "an option with an exception": f"{RUN} -p default --net host --exception namespaces.net=x --",
    "a setting": f'{RUN} --set namespaces.net=host --exception "namespaces.net=x" --',
    "a profile twice": f"{RUN} -p strict -p ./p.toml --",
    "the caller's configuration": f"XDG_CONFIG_HOME=$PWD/config {RUN} -p mine --",
    "another home": f"HOME=$PWD/home XDG_CONFIG_HOME= {RUN} -p ./p.toml --",
    "another state": f"HARDENING_STATE=$PWD/state {RUN} -p ./p.toml --",
    "a folder with an etc of its own": f"cd own && {RUN} -p ../p.toml --",
    "best-effort": f"{RUN} -p ./p.toml --set namespaces.requirement=best-effort --exception namespaces.requirement=x --",
    "nothing kept": f"{RUN} --fresh -p ./p.toml --",
    "a bundle": "{h} launch bundle #",
    "a bundle, again": "{h} launch bundle #",
    "a base of the caller's": f"XDG_CONFIG_HOME=$PWD/shadow {RUN} -p ./p.toml --",
    "a user namespace": f"HARDENING_STATE=$PWD/state unshare -r {RUN} -p ./p.toml --",
    "a link to the program": "ln -sf {h} mine; ./mine run -q -p ./p.toml --",
    "no environment": f"env -i {RUN} -p ./p.toml --",
    "a profile by its descriptor": f"exec 3<p.toml; {RUN} -p /dev/fd/3 --",
    "what apply is asked to keep": "{h} apply -q -p ./p.toml bundle -o other/config.json >&2; {h} launch other #",
}  # fmt: skip


@attrs.frozen
class Machine:
    """A machine whose /etc is a copy in ``etc``, and an ordinary user's folder."""

    user: User
    folder: Path
    etc: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        argv = self.user.argv(["sh", "-c", script])
        inside = 'mount --bind "$0" /etc && exec "$@"'
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", inside, str(self.etc), *argv], cwd=self.folder, env=self.user.environment,
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    def says(self, name: str, text: str) -> None:
        path = self.etc / "hardening" / name
        path.write_text(text)
        path.chmod(0o644)

    def tried(self) -> dict[str, str]:
        """What came of each way: ``host``, ``private``, or the first line of why not."""
        h = program(self.user)
        lines = [
            f'({line.format(h=h)} sh -c "readlink /proc/self/ns/net"\n) >out 2>err </dev/null; '
            f'printf "%s|%s|%s\\n" "{way}" "$(cat out)" "$(grep -m1 /enforced.toml err || grep -m1 . err)"'
            for way, line in WAYS.items()
        ]
        done = self.run("\n".join(lines))
        host = self.run("readlink /proc/self/ns/net").stdout.strip()
        rows = [line.split("|", 2) for line in done.stdout.splitlines()]
        assert [way for way, _, _ in rows] == list(WAYS), done.stderr
        return {way: "host" if out == host else "private" if out else why for way, out, why in rows}


@pytest.fixture
def machine() -> Iterator[Machine]:
    require("root")
    user = ordinary()
    with workplace(user) as folder, workplace() as outer:
        etc = outer / "etc"
        subprocess.run(["cp", "-a", "/etc/.", str(etc)], check=True)
        (etc / "hardening").mkdir(exist_ok=True)
        for name in (
            "config/hardening/profiles",
            "shadow/hardening/profiles",
            "home",
            "own/etc/hardening",
            "state",
            "other",
        ):
            (folder / name).mkdir(parents=True)
        for name, text in (
            ("p", LOOSE),
            ("config/hardening/profiles/mine", LOOSE),
            ("own/etc/hardening/enforced", ""),
            ("shadow/hardening/profiles/base", ""),
        ):
            (folder / f"{name}.toml").write_text(text)
        for path in (folder, *folder.rglob("*")):
            hand_over(path, user)
            path.chmod(0o755 if path.is_dir() else 0o644)
        (folder / "state").chmod(0o700)
        found = Machine(user, folder, etc)
        composed = found.run(f"{program(user)} compose -q -p ./p.toml -o bundle -- readlink /proc/self/ns/net")
        assert composed.returncode == 0, composed.stderr
        yield found


def test_nobody_sheds_what_is_enforced(machine: Machine) -> None:
    before = machine.tried()
    assert set(before.values()) == {"host"}, before
    machine.says("enforced.toml", ENFORCED)
    after = machine.tried()
    assert "host" not in after.values(), after
    # A shipped profile is cut down to it, and goes on; everything else says which line forbids it.
    cut = {"a shipped profile, by the cache"}
    assert {way for way, what in after.items() if what == "private"} == cut, after
    assert all("/etc/hardening/enforced.toml" in what or what == "private" for what in after.values()), after
    # Programs and code of their own are not those that are run; a plugin that is left out binds.
    (machine.folder / "own/crun").write_text("#!/bin/sh\necho own\n")
    (machine.folder / "own/crun").chmod(0o755)
    (machine.folder / "own/click.py").write_text("print('own')\n")
    run = "run -q --fresh --runtime crun -p strict -- readlink /proc/self/ns/net"
    theirs = machine.run(f"PATH=$PWD/own:$PATH PYTHONPATH=$PWD/own {program(machine.user)} {run}")
    assert theirs.stdout.startswith("net:["), theirs
    without = machine.run(f"{program(machine.user)} --without namespaces {run}")
    assert (without.returncode, without.stdout) == (2, ""), without
    # Of a file that somebody else could write nothing is taken, and nothing goes without it.
    (machine.etc / "hardening/enforced.toml").chmod(0o666)
    refused = machine.run(f"{program(machine.user)} run -q -p strict -- true").stderr
    assert "/etc/hardening/enforced.toml: the profile can be written by others" in refused


def test_what_their_own_cache_says_sheds_nothing(machine: Machine, gpg_keys: Keys) -> None:
    """An entry of which its owner has taken out all that would make it invalid is taken, but not where they are bound."""
    run = f"HARDENING_STATE=$PWD/state {program(machine.user)} run -q -p ./p.toml -- readlink /proc/self/ns/net"
    host = machine.run("readlink /proc/self/ns/net").stdout
    assert machine.run(run).stdout == host
    (file,) = (machine.folder / "state/cache").glob("*/*/entry.json")
    text = json.dumps({**json.loads(file.read_bytes().partition(b"\n")[2]), "inputs": {}}).encode()
    file.write_bytes(sha256(text).encode() + b"\n" + text)
    (machine.folder / "p.toml").write_text("[selinux]\nrequirement = 'best-effort'\n")
    machine.says("hardening.toml", 'default = "strict"\n')
    assert machine.run(run).stdout == host
    (machine.etc / "hardening/team.gpg").write_bytes(gpg_keys.public(gpg_keys.good))
    for key in ("require_signed_by", '"require\\u005fsigned_by"'):
        machine.says("hardening.toml", f'[profiles]\n{key} = "team.gpg"\n')
        assert "p.toml: this profile is not signed" in machine.run(run).stderr
    (machine.etc / "hardening/hardening.toml").unlink()
    machine.says("enforced.toml", ENFORCED)
    bound = machine.run(run)
    assert (bound.returncode, bound.stdout != host) == (0, True), bound.stderr
    assert "is held against each run" in machine.run(run.replace(" run -q ", " run --dry-run ")).stdout
    # Nothing is kept of them, and it is there for whoever is bound no longer.
    assert list((machine.folder / "state/cache").glob("*/*/entry.json")) == [file]
    (machine.etc / "hardening/enforced.toml").unlink()
    assert machine.run(run).stdout == host


def test_a_layer_that_is_not_signed_is_none(machine: Machine, gpg_keys: Keys) -> None:
    run = f"{program(machine.user)} run -q -p ./p.toml -- readlink /proc/self/ns/net"
    assert machine.run(run).returncode == machine.run(run).returncode == 0  # which is kept
    (machine.etc / "hardening/team.gpg").write_bytes(gpg_keys.public(gpg_keys.good))
    machine.says("hardening.toml", '[profiles]\nrequire_signed_by = "team.gpg"\n')
    refused = machine.run(run)
    assert "p.toml: this profile is not signed, which /etc/hardening/hardening.toml:2 requires" in refused.stderr
    sign = [program(machine.user), "profile", "sign", "--key", gpg_keys.good, "p.toml"]
    done = subprocess.run(
        sign, cwd=machine.folder, env={"GNUPGHOME": str(gpg_keys.home.path), "PATH": "/usr/bin:/bin", "HOME": "/root"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "p.toml.sig\n"), done.stderr
    for _ in range(2):
        assert machine.run(run).returncode == 0
    verify = machine.run(f"{program(machine.user)} profile verify ./p.toml")
    assert (verify.returncode, gpg_keys.good in verify.stdout) == (0, True)
    # A run is good for as long as the signature is there, and the key.
    (machine.folder / "p.toml.sig").rename(machine.folder / "kept")
    assert machine.run(run).returncode == 2
    assert machine.run(f"{program(machine.user)} profile verify ./p.toml").returncode == 1
    (machine.folder / "kept").rename(machine.folder / "p.toml.sig")
    assert machine.run(run).returncode == 0
    (machine.etc / "hardening/team.gpg").write_bytes(gpg_keys.public(gpg_keys.other))
    assert "made by the unknown key" in machine.run(run).stderr
