"""Nothing shows, writes or mounts what a limit withholds: every attempt succeeds with its one limit or rule off, and fails
with it on, for root and for an ordinary user."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support import apart, images
from tests.support.features import require
from tests.support.forking import ForkServer
from tests.support.runs import busybox_root, hand_over
from tests.support.users import User, ordinary, program
from tests.system.withheld import NO_KERNEL, TRIES, Try

pytestmark = pytest.mark.system

ORG = 'extends = ["default"]\n'
#: What a fork of root's does before it is the program.
_APART = """
import subprocess
from hardening.base.linux import abi, kernel
kernel.unshare(abi.CLONE_NEWNS)
subprocess.run(["sh", "-e", "-c", {!r}], check=True)
"""
#: Of each runtime one attempt meets its limit in the program as it is installed.
FIRST = {attempt.runtime: attempt.name for attempt in reversed(TRIES)}.values()


def python(user: User | None) -> list[str]:
    """The words that start the program's Python, isolated as the program starts it."""
    argv = [str(Path(program(user or ordinary())).with_name("python")), "-I"]
    return user.argv(argv) if user is not None else argv


@attrs.frozen
class Arena:
    """Files of a host that a limit hides, in ``folder``; ``own`` holds the program's state, and profiles."""

    folder: Path
    own: Path
    token: str
    user: User | None
    server: ForkServer

    @property
    def environment(self) -> dict[str, str]:
        base = {"PATH": os.environ["PATH"], "HOME": "/root"} if self.user is None else self.user.environment
        state = {f"HARDENING_{name}": str(self.own / name.lower()) for name in ("STATE", "IMAGES", "SECRETS")}
        return {**base, **state, "XDG_CONFIG_HOME": str(self.own / "config")}

    def said(self, text: str) -> str:
        """A text with the arena's places in it."""
        known = {"W": self.folder, "TOP": self.folder.parent, "NAME": self.folder.name, "TOKEN": self.token,
                 "CONFIG": self.own / "config"}  # fmt: skip
        for name, value in known.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def layer(self, name: str, text: str) -> str:
        path = self.own / f"{name}.toml"
        path.write_text(self.said(text))
        path.chmod(0o644)
        return str(path)

    def succeeds(self, attempt: Try, *, on: bool) -> tuple[bool, str]:
        """Whether an attempt gets what it is after, and what was said."""
        profiles = ["-p", self.layer("org", ORG + (attempt.limit if on else ""))]
        if attempt.always:
            profiles += ["-p", self.layer("always", attempt.always)]
        code = "" if on else attempt.code
        words = [self.said(word) for word in attempt.words]
        command = ["sh", "-c", self.said(attempt.script)]
        bundle = self.own / f"bundle-{secrets.token_hex(4)}"
        if attempt.runtime.startswith("apply"):
            steps = [["apply", "-q", *profiles, "--in-place", self._foreign(bundle, words, command)]]
        elif attempt.runtime:
            steps = [["compose", "-q", *profiles, "-o", str(bundle), *words, "--", *command]]
        else:
            steps = [["run", "-q", "--fresh", *profiles, *words, "--", *command]]
        if attempt.runtime:
            runtime = attempt.runtime.removeprefix("apply").strip() or "native"
            steps.append(["launch", "--runtime", runtime, str(bundle)])
        setup = f"mount --make-rprivate /\n{self.said(attempt.setup)}\n"
        text = ""
        for step in steps:
            done = self.call(setup if attempt.setup else "", code, step, whole=on and attempt.name in FIRST)
            text += done.stdout + done.stderr
            if step is steps[-1]:
                return self.token in done.stdout, text
            if done.returncode != 0:
                break
        return False, text

    def call(self, setup: str, code: str, words: list[str], *, whole: bool = False) -> subprocess.CompletedProcess[str]:
        """Run ``hardening`` after the commands of ``setup`` in a mount namespace of their own, with ``code`` run before, or,
        where it is to be the ``whole`` of it, as its installed script starts it."""
        start = f"{code}\nfrom hardening.whole import main"
        if whole:
            script = [program(self.user or ordinary())]
            argv = script if self.user is None else self.user.argv(script)
        elif setup and self.user is not None:  # who may not mount
            argv = [*python(self.user), "-c", f"{start}\nimport sys\nsys.exit(main())"]
        else:
            mounts = _APART.format(setup) if setup else ""
            return self.server.run(words, code=mounts + start, cwd="/", env=self.environment)
        if setup:
            argv = ["unshare", "--mount", "sh", "-e", "-c", f'{setup}exec "$@"', "sh", *argv]
        return subprocess.run(
            [*argv, *words], env=self.environment, cwd="/", capture_output=True, text=True, timeout=120, check=False
        )

    def _foreign(self, bundle: Path, binds: list[str], command: list[str]) -> str:
        """A bundle that somebody else made, with some bind mounts; one of ``/`` at ``/`` stands for the root."""
        recursive = "bind" if any(bind.startswith("bind:") for bind in binds) else "rbind"
        pairs = [bind.removeprefix("bind:").split(":") for bind in binds]
        places = {kind: [target for source, target in pairs if source == kind] for kind in ("tmpfs", "copy", "secret")}
        named = [{"name": "token", "type": "mount", "target": target} for target in places["secret"]]
        whole = ["/", "/"] in pairs
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        ]
        mounts += [
            {"destination": target, "type": "bind", "source": source, "options": [recursive, "ro"]}
            for source, target in pairs if target != "/" and source not in places
        ]  # fmt: skip
        mounts += [
            {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["size=8M", *option]}
            for kind, option in (("tmpfs", ()), ("copy", ("tmpcopyup",))) for target in places[kind]
        ]  # fmt: skip
        document = {
            "ociVersion": "1.0.2",
            "root": {"path": "/" if whole else str(self.folder / "image"), "readonly": True},
            "process": {
                "args": command,
                "cwd": "/",
                "env": ["PATH=/bin:/usr/bin", f"LD_X={self.token}"],
                "user": {"uid": 0, "gid": 0},
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
            **({"annotations": {"org.hardening.secrets": json.dumps(named)}} if named else {}),
        }
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(document))
        hand_over(bundle, self.user)
        return str(bundle)


def _files(folder: Path, token: str) -> None:
    for name in ("hid/sub/deep", "hid/inner", "pub/sub", "public", "b", "b2", "homes/ann", "home/ann", "pat/.d",
                 "socks/deep/er", "socks2/deep", "socks3/deep", "socks4/deep"):  # fmt: skip
        (folder / name).mkdir(parents=True)
    canaries = ("hid", "hid/sub", "pub", "public", "homes/ann")
    for place in (*(f"{name}/canary" for name in canaries), "key", "pat/.env", "pat/.d/key", "pat/[k]", "pat/w[h]?"):
        (folder / place).write_text(token + "\n")
    for name in ("pub/file", "bf"):
        (folder / name).touch()
    (folder / "pub/program").write_text(f"#!/bin/sh\necho {token}\n")
    (folder / "pub/program").chmod(0o755)
    links = {"link": "hid", "link2": "link", "linksub": "hid/sub", "linkfile": "hid/canary", "linktop": ".", "linkb": "b",
             "pub/out": "../hid", "pub/etc": "/etc", "linkproc": "/proc"}  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.link(folder / "key", folder / "hard")
    root = busybox_root(folder / "image")
    (root / "x").mkdir()
    (root / "etc/kept").touch()
    for name in (".env", "[k]"):
        (root / "x" / name).write_text(token + "\n")
        (root / "x" / name).chmod(0o666)
    (root / "run/secrets").mkdir(parents=True, exist_ok=True)
    for name, target in {"alias": "etc", "also": "tmp"}.items():
        (root / name).symlink_to(target)
    layer = images.archive([images.folder("data"), images.folder("tmp"), images.folder("run"), images.folder("proc")])
    images.layout(folder / "layout", [images.shell(), layer], {"Volumes": {"/data": {}}, "Env": [f"LD_X={token}"]})
    (folder / "pub").chmod(0o1777)
    (folder / "pub/sub").chmod(0o1777)


@contextmanager
def _listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(path))
        service.listen()
        yield


@pytest.fixture(scope="module")
def arenas() -> Iterator[Callable[[str], Arena]]:
    """The arena of whoever tries something, which is made when the first one does."""
    require("root")  # who mounts what the attempts go through
    with ExitStack() as stack:
        yield cache(lambda who: stack.enter_context(_arena(ordinary() if who == "rootless" else None)))


@pytest.fixture
def arena(request: pytest.FixtureRequest, arenas: Callable[[str], Arena]) -> Arena:
    """One for all rows: pytest would make one for each, because each has a parameter of its own."""
    return arenas(request.param)


@contextmanager
def _arena(user: User | None) -> Iterator[Arena]:
    with ExitStack() as stack:
        folder = apart.directory("hardening-test-", "/srv")
        own = apart.directory("hardening-test-", "/var/tmp")
        for place in (folder, own):
            stack.callback(shutil.rmtree, place)
            place.chmod(0o755)
        token = f"token-{secrets.token_hex(8)}"
        _files(folder, token)
        for name in ("config/hardening", "config/containers", "team/deep"):
            (own / name).mkdir(parents=True)
        (own / "team/deep/team.toml").touch()
        for place in (own / "config", *(own / "config").iterdir()):
            place.chmod(0o777)
        for path in ("socks/s", "socks/deep/er/s"):
            stack.enter_context(_listening(folder / path))
        with chdir(folder / "socks2/deep"):
            stack.enter_context(_listening(Path("relative")))
        stack.enter_context(_listening(folder / "before"))
        os.link(folder / "before", folder / "socks4/deep/linked")
        (folder / "before").rename(folder / "socks3/deep/renamed")
        for place in (folder, own):
            hand_over(place, user)
        environment = dict(os.environ if user is None else user.environment)
        server = stack.enter_context(closing(ForkServer(python(user), environment)))
        found = Arena(folder, own, token, user, server)
        made = found.call("", "", ["secret", "create", "token", str(folder / "pub/canary")])
        assert made.returncode == 0, made.stderr
        yield found


TRIED = [
    pytest.param(who, one, id=f"{who}: {one.name}") for who in ("root", "rootless") for one in TRIES if who in one.who
]


def _kinds(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What withholds what attempts are after, from whom, and by another runtime."""
    one: Try = row["attempt"]
    return row["arena"], one.name.partition(":")[0], one.runtime


@pytest.mark.sampled(kinds=_kinds)
@pytest.mark.parametrize(("arena", "attempt"), TRIED, indirect=["arena"])
def test_its_one_limit_makes_the_difference(arena: Arena, attempt: Try) -> None:
    off, said = arena.succeeds(attempt, on=False)
    assert off, f"it fails without the limit: {said}"
    on, said = arena.succeeds(attempt, on=True)
    assert not on, said
    assert "Traceback" not in said


@pytest.mark.parametrize("arena", ["root", "rootless"], indirect=True)
@pytest.mark.parametrize("runtime", ["native", "crun", "runc"])
def test_a_receipt_tells_of_the_kernel_s_file_systems_in_the_host_s_root(arena: Arena, runtime: str) -> None:
    """Also of one where only root can look: what is around it is hidden, and the launch goes on."""
    setup = "mount --make-rprivate /\nmkdir -p @W@/locked/b\nchown 0:0 @W@/locked\nchmod 700 @W@/locked\n" \
        "mount -t proc proc @W@/locked/b\nmount -t proc proc @W@/b\n"  # fmt: skip
    for code, result in ((NO_KERNEL, "does not hold"), ("", "holds")):
        receipt = arena.own / f"receipt-{secrets.token_hex(4)}"
        profiles = ["-p", arena.layer("org", ORG)]
        words = ["run", "-q", "--fresh", *profiles, "--runtime", runtime, "--receipt", str(receipt), "--", "ls", "/"]
        done = arena.call(arena.said(setup), code, words)
        assert done.returncode == 0, done.stderr
        done = arena.call(arena.said(setup), "", ["receipt", *profiles, str(receipt), "--json"])
        checks = json.loads(done.stdout)["checks"]
        told = {check["result"] for check in checks if check["leaf"] == "rootfs.hidden_paths.*"}
        assert result in told, done.stdout + done.stderr
        if not code:
            assert not [check for check in checks if check["result"] == "does not hold"], done.stdout


WRITABLE = '[process]\nuser = "root"\n[rootfs]\nvolumes.add = ["@W@/wv:/x:rw{}"]\n'
BELOW = {
    "hidden": '[limits.rootfs]\nhidden_paths.add = ["@W@/wv/sub/private"]\n',
    "no source": '[limits.rootfs.volume_sources]\n"*" = false\n"@W@/wv" = true\n"@W@/wv/sub/private" = false\n',
    "a link": '[limits.rootfs]\nhidden_paths.add = ["@W@/wv/link"]\n',
}


@pytest.mark.parametrize("arena", ["root", "rootless"], indirect=True)
@pytest.mark.parametrize("limit", BELOW.values(), ids=BELOW)
def test_what_a_command_renames_is_not_shown_to_the_next(arena: Arena, limit: str) -> None:
    layer = WRITABLE.format("" if arena.user else ",idmap")
    for on in (False, True):
        place = arena.folder / "wv"
        shutil.rmtree(place, ignore_errors=True)
        (place / "sub/private").mkdir(parents=True)
        (place / "sub/private/key").write_text(arena.token)
        (place / "link").symlink_to("sub")
        hand_over(place, arena.user)
        for script in ("mv /x/sub /x/sub2; rm /x/link; true", "cat /x/sub2/private/key || cat /x/sub/private/key"):
            got, said = arena.succeeds(Try("", (), script, limit, always=layer), on=on)
        assert got != on, said


def test_there_are_enough_attempts_of_different_names() -> None:
    assert len({attempt.name for attempt in TRIES}) == len(TRIES) >= 60
