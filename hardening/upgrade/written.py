"""What files that people write say of what a program will ask for: ports in its configuration, and the capabilities that the
scripts of a package give to files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hardening.base.linux import abi
from hardening.upgrade.difference import NewRights

#: Where configuration is, and bytes of a file of it, and of a script.
CONFIGURED = ("/etc", "/usr/lib/systemd/system")
LONGEST = 1 << 18
_LAST_PORT = 65535
#: What servers call the port that they listen on, without what joins words: of nginx, Apache, sshd, redis, PostgreSQL,
#: MariaDB, squid, systemd's sockets, and of most that read an INI file.
_KEYS = frozenset(
    "listen port listenport listenstream listendatagram httpport httpsport bindport serverport tlsport".split()  # noqa: SIM905
)
#: A key, what stands between, perhaps an address, and a number that is not the beginning of an address.
_LINE = re.compile(
    r"^[ \t]*(?P<key>[A-Za-z][A-Za-z_-]*)[ \t]*[ \t=:][ \t]*['\"]?(?:[0-9A-Za-z_.*-]*:|\[[0-9A-Fa-f:.]*\]:)?"
    r"(?P<port>[0-9]{1,5})(?![0-9A-Za-z.:])",
    re.MULTILINE,
)
_SETCAP = re.compile(
    r"\bsetcap[ \t]+(?:-[a-z]+[ \t]+)*['\"]?(?P<names>cap_[a-z_,]+)[+=](?P<sets>[eip]+)['\"]?[ \t]+"
    r"['\"]?(?P<path>[^\s'\";|&)]+)"
)
_VARIABLE = re.compile(r"^[ \t]*(?:local[ \t]+)?(?P<name>[A-Za-z_]\w*)=['\"]?(?P<value>/[^\s'\";]+)", re.MULTILINE)


def ports(text: str) -> Iterator[int]:
    """The ports that lines of a configuration name to listen on, comments left out."""
    for match in _LINE.finditer(text):
        key = match["key"].lower().replace("_", "").replace("-", "")
        if key in _KEYS and 0 < int(match["port"]) <= _LAST_PORT:
            yield int(match["port"])


def capabilities(script: str) -> Iterator[NewRights]:
    """The capabilities that a shell script gives to files with setcap(8), by a path or by a variable that has one."""
    values = {match["name"]: match["value"] for match in _VARIABLE.finditer(script)}
    for match in _SETCAP.finditer(script):
        word = match["path"]
        path = values.get(word.strip("${}"), "") if word.startswith("$") else word
        known = {name.lower(): number for number, name in enumerate(abi.CAPABILITIES)}
        numbers = sorted(known[name] for name in match["names"].split(",") if name in known)
        if path.startswith("/") and numbers and "p" in match["sets"]:
            yield NewRights(path, numbers, "e" in match["sets"])
