"""A hundred commands of Debian's packages, as somebody would have them learnt.

Each begins in a folder of its own, `DATA`, that `prepare` has filled and that it may write to. What needs several programs
is a line of the shell. What begins with ``root:`` no ordinary user may do.
"""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from pathlib import Path

import attrs

#: Where a command sees its folder.
DATA = "/data"

_COREUTILS = """
cat words
ls -lR .
cp -a tree /tmp/copy
mv words moved
rm -r tree
mkdir -p /tmp/new/below
rmdir empty
touch words
ln -s words link
chmod 640 words
chgrp -R --reference=words tree
root: chown 1:1 words
head -n 3 words
tail -n 3 words
wc words
sort -ru words
uniq -c words
cut -c 1-3 words
paste words words
join words words
comm words words
fold -w 5 words
nl words
od -c words
base64 words
sha256sum words
cksum words
split -l 100 words /tmp/part.
tac words
shuf words
seq 100
date
env
id
stat words
df /tmp
du -s .
dd if=words of=/tmp/copy bs=1k
truncate -s 1M /tmp/large
mktemp
realpath /bin/sh
timeout 5 sleep 0.1
nice -n 5 true
nohup true
install -m 600 words /tmp/installed
mkfifo pipe
sync words
stdbuf -o 0 cat words
sh: sort words | tr a-z A-Z | tee /tmp/upper | tail -n 1
"""
_UTIL_LINUX = """
flock /tmp/lock true
setsid -w true
getopt ab: -a -b c
lscpu
namei -l /etc/passwd
prlimit
chrt -p 1
ionice
taskset -c 0 true
whereis ls
mcookie
fallocate -l 1M /tmp/large
sh: truncate -s 1M /tmp/large && mkswap /tmp/large
findmnt /
mountpoint /
lsns
ipcs
ipcmk -M 4096
setpriv --no-new-privs true
hardlink tree
lslocks
root: setpriv --reuid 1 --clear-groups true
"""
_PROCPS = """
ps aux
free
uptime
top -b -n 1
sh: pgrep -c sh && true
pmap 1
vmstat
pwdx 1
watch -n 0.1 -g date +%N
sysctl kernel.ostype
w
"""
_IPROUTE2 = """
ip address
ip -s link show lo
ip route
ss -tuln
bridge link
tc qdisc
ip neighbour
"""
_OPENSSH = """
ssh-keygen -q -t ed25519 -N "" -f /tmp/key
ssh -F none -G example.org
sh: eval $(ssh-agent) && ssh-add key && ssh-add -l && ssh-agent -k
"""
_GIT = """
git -C repository log --stat
git -C repository status
sh: cd repository && echo more >> words && git commit -aqm more
git clone -q repository /tmp/clone
git -C repository gc -q
"""
_CURL = """
curl -s file:///data/words
sh: python3 -m http.server -b 127.0.0.1 8000 & \
curl -s --retry 20 --retry-delay 1 --retry-connrefused http://127.0.0.1:8000/words && \
kill $!
"""
_SQLITE3 = """
sqlite3 database "insert into t values (7); select count(*) from t"
"""
_REDIS = """
sh: redis-server --port 0 --unixsocket /tmp/redis.sock --dir /tmp --daemonize yes && \
for _ in 1 2 3 4 5 6 7 8; do redis-cli -s /tmp/redis.sock ping && break; sleep 0.2; done && \
redis-cli -s /tmp/redis.sock set a b && redis-cli -s /tmp/redis.sock shutdown
"""
_NGINX = """
sh: nginx -p /tmp -c /data/nginx.conf && curl -s http://127.0.0.1:8080/words && nginx -p /tmp -c /data/nginx.conf -s quit
"""

#: The commands of each package, a line each.
PACKAGES = {
    "coreutils": _COREUTILS,
    "util-linux": _UTIL_LINUX,
    "procps": _PROCPS,
    "iproute2": _IPROUTE2,
    "openssh-client": _OPENSSH,
    "git": _GIT,
    "curl": _CURL,
    "sqlite3": _SQLITE3,
    "redis": _REDIS,
    "nginx": _NGINX,
}


_NGINX_CONF = """
pid /tmp/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 127.0.0.1:8080; root /data; }
}
"""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
#: What makes a key, and a repository whose owner its own configuration names.
_PREPARED = (
    "ssh-keygen -q -t ed25519 -N '' -f key",
    "git init -q repository",
    "git -C repository config user.name one",
    "git -C repository config user.email one@example.org",
    "cp words repository",
    "git -C repository add words",
    "git -C repository commit -qm words",
)


@attrs.frozen
class Case:
    """One command of a package's; ``root``: one that only root may do, without a stack either."""

    package: str
    line: str
    root: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of the command."""
        script = self.line.removeprefix("sh: ")
        return ("sh", "-ec", script) if script != self.line else tuple(shlex.split(script))


CASES = tuple(
    Case(package, line.removeprefix("root: "), line.startswith("root: "))
    for package, lines in PACKAGES.items()
    for line in lines.strip().splitlines()
)


def prepare(folder: Path) -> None:
    """Fill the folder that a command begins in."""
    (folder / "words").write_text("".join(f"word{number % 700:03}\n" for number in range(1000)))
    (folder / "tree/below").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("tree/one", "tree/below/two"):
        (folder / name).write_text("the same\n" * 100)
    (folder / "nginx.conf").write_text(_NGINX_CONF)
    database = sqlite3.connect(folder / "database")
    database.executescript("create table t (x); insert into t values (1)")
    database.close()
    for line in _PREPARED:
        subprocess.run(shlex.split(line), cwd=folder, env=_ENVIRONMENT, check=True, capture_output=True)
