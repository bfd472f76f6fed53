"""Programs of two releases of Debian that are run under one stack: whether the new one works there as the old one does.

A pair is one command in two roots. Under the stack ``aged`` what Linux 5.2 did not have yet is answered EPERM, as by the
profiles of container engines of its time; ``learnt`` is what `hardening learn` writes for the old one.
"""

from __future__ import annotations

import attrs

AGED, LEARNT, STRICT = "aged", "learnt", "strict"
#: What is unpacked into a root, beside what these depend on.
PACKAGES = (
    "base-files", "base-passwd", "bash", "bc", "busybox-static", "coreutils", "curl", "dash", "file", "findutils", "git",
    "gnupg", "grep", "lua5.4", "make", "openssh-client", "perl", "php-cli", "procps", "python3", "redis-server", "restic",
    "ripgrep", "rsync", "ruby", "sed", "sqlite3", "tar", "util-linux", "xz-utils", "zstd",
)  # fmt: skip


@attrs.frozen
class Pair:
    """A ``command`` in the releases ``old`` and ``new``, and the ``program`` of it that is looked at."""

    name: str
    command: tuple[str, ...]
    program: str
    stack: str
    old: str
    new: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.stack} {self.old}"


def _sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


_THREAD = "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"
_IDENTITY = "export HOME=/tmp GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a"
_COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "python, a thread": ("python3", ("python3", "-c", _THREAD)),
    "python, a child": ("python3", ("python3", "-c", "import subprocess; subprocess.run(['ls', '/etc'], check=True)")),
    "dash, test -w": ("dash", ("dash", "-c", "test -w /tmp && test -x /bin/sh")),
    "bash, test -w": ("bash", ("bash", "-c", "test -w /tmp && test -x /bin/sh")),
    "perl, a thread": ("perl", ("perl", "-e", "use threads; threads->create(sub { print 1 })->join")),
    "ruby, a thread": ("ruby", ("ruby", "-e", "Thread.new { puts 1 }.join; puts `ls /etc`.size")),
    "lua, a pipe": ("lua5.4", ("lua5.4", "-e", "print(io.popen('ls /etc'):read('a'))")),
    "php, a child": ("php", ("php", "-r", "echo shell_exec('ls /etc');")),
    "make -j": ("make", _sh("cd /tmp; printf 'all: a b\\na b:\\n\\ttouch $@\\n' >Makefile; make -j2")),
    "xz -T2": ("xz", _sh("xz -T2 -c /bin/bash >/tmp/x; xz -t /tmp/x")),
    "sort": ("sort", ("sort", "--parallel=2", "/etc/passwd", "/etc/group")),
    "redis": (
        "redis-server",
        _sh("redis-server --port 0 --unixsocket /tmp/s --dir /tmp >/dev/null & for i in 1 2 3 4 5 6 7 8 9; do "
            "redis-cli -s /tmp/s ping 2>&1 | grep PONG && break; sleep 0.5; done; redis-cli -s /tmp/s shutdown nosave"),
    ),
    "restic": ("restic", _sh("export RESTIC_PASSWORD=x HOME=/tmp; restic init -q -r /tmp/r")),
    "gpg, a key": (
        "gpg-agent",
        _sh("export GNUPGHOME=/tmp/g; mkdir -m 700 /tmp/g; gpg --batch --pinentry-mode loopback --passphrase '' "
            "--quick-gen-key me@x"),
    ),
    "git": ("git", _sh(f"{_IDENTITY}; cd /tmp; git init -q g; cd g; echo x >f; git add f; git commit -qm x; git log")),
    "curl, a file": ("curl", ("curl", "-sf", "file:///etc/passwd")),
    "ripgrep": ("rg", ("rg", "root", "/etc/passwd")),
    "rsync": ("rsync", ("rsync", "-r", "/etc/perl", "/tmp/x")),
    "sqlite": ("sqlite3", ("sqlite3", "/tmp/x.db", "pragma journal_mode=wal; create table a(b); select * from a;")),
    "ls": ("ls", ("ls", "-la", "/etc")),
    "stat": ("stat", ("stat", "/etc")),
    "find": ("find", ("find", "/etc/perl", "-type", "f", "-newer", "/etc/passwd")),
    "file": ("file", ("file", "/bin/bash")),
    "bc": ("bc", _sh("echo 1+1 | bc")),
    "busybox": ("busybox", ("busybox", "ls", "/etc")),
    "tar": ("tar", _sh("cd /tmp; tar cf x.tar -C /etc passwd && tar tf x.tar")),
    "ssh-keygen": ("ssh-keygen", ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/tmp/k")),
}  # fmt: skip
_OF = {
    (AGED, "bullseye", "bookworm"): (
        "python, a thread", "python, a child", "dash, test -w", "bash, test -w", "perl, a thread", "ruby, a thread",
        "lua, a pipe", "make -j", "xz -T2", "redis", "restic", "gpg, a key", "sort", "curl, a file", "git", "sqlite", "ls",
        "stat", "find", "file", "bc", "busybox", "php, a child",
    ),
    (LEARNT, "bookworm", "sid"): (
        "ruby, a thread", "curl, a file", "ripgrep", "restic", "rsync", "dash, test -w", "sort", "tar", "find", "file", "bc",
        "ssh-keygen", "stat", "make -j", "git", "perl, a thread", "ls", "php, a child",
    ),
    (STRICT, "bookworm", "trixie"): (
        "python, a thread", "ls", "stat", "curl, a file", "sqlite", "ssh-keygen", "file", "busybox",
    ),
}  # fmt: skip
PAIRS = [
    Pair(name, _COMMANDS[name][1], _COMMANDS[name][0], stack, old, new)
    for (stack, old, new), names in _OF.items()
    for name in names
]
