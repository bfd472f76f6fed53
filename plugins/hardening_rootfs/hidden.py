"""What the host's own root does not show: home directories and secrets of the host."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterable
from contextlib import suppress

from hardening.base import patterns
from hardening.base.files import is_below
from hardening_rootfs import aliases
from hardening_rootfs.paths import holds, real_path

#: Stands for the caller's home and XDG directories.
HOME = "~"

_ETC = (
    "apt/auth.conf apt/auth.conf.d credstore credstore.encrypted cryptsetup-keys.d crypttab docker/key.json "
    "exim4/passwd.client gshadow gshadow- ipsec.d/private ipsec.secrets krb5.keytab kubernetes letsencrypt mysql/debian.cnf "
    "netrc NetworkManager/system-connections openvpn pki/tls/private postfix/sasl_passwd postfix/sasl_passwd.db "
    "ppp/chap-secrets ppp/pap-secrets rancher security/opasswd shadow shadow- ssh/ssh_host_*_key ssl/private sssd sudoers "
    "sudoers.d wireguard wpa_supplicant"
)
_STATE = (
    "NetworkManager bluetooth containerd containers docker dhcp etcd hardening iwd kubelet krb5kdc libvirt lxc lxd machines "
    "mongodb mysql pgsql postgresql private rabbitmq rancher redis samba/private sss sudo systemd/coredump "
    "systemd/credential.secret systemd/random-seed tpm"
)
_VAR = "backups cache/debconf/passwords.dat crash db/sudo log mail spool/at spool/cron spool/exim4 spool/mail spool/postfix"

#: The strict default.
PATHS = (
    HOME,
    "/home",
    "/root",
    "/.snapshots",
    "/sysroot",
    *(f"/etc/{name}" for name in _ETC.split()),
    *(f"/var/{name}" for name in _VAR.split()),
    *(f"/var/lib/{name}" for name in _STATE.split()),
    "/usr/lib/credstore",
)

#: Directories whose purpose is to hold roots: one that is named is shown, the others stay hidden.
STORES = tuple(
    f"/var/lib/{name}" for name in ("containerd", "containers", "docker", "hardening", "lxc", "lxd", "machines")
)

#: Top-level entries of a host that belong to the running system, not to its files; shown as empty mount points.
VOLATILE = ("/boot", "/dev", "/efi", "/lost+found", "/media", "/mnt", "/proc", "/run", "/sys", "/tmp")  # noqa: S108

#: Homes of system accounts: hiding these would hide the system.
SYSTEM = (
    "/ /bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /media /mnt /nonexistent /opt /proc /run /sbin /srv /sys /tmp /usr "
    "/usr/bin /usr/lib /usr/local /usr/sbin /usr/share /var /var/cache /var/lib /var/spool /var/tmp"
)


#: What is said of a path at which there is nothing; ESRCH by the /proc of a process that has ended.
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESRCH)
#: The variables that name the caller's own directories.
VARIABLES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")


def private_directories(environment: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The caller's home directories, by account as by HOME, and XDG directories, as an environment names them."""
    named = {value for name, value in environment if name in VARIABLES}
    found = {path for path in (*named, *_homes()) if path.startswith("/")}
    return tuple(sorted(path for path in map(os.path.normpath, found) if path not in SYSTEM.split()))


def _homes() -> Iterable[str]:
    """The homes of the accounts whose rights the caller has."""
    for uid in {os.getuid(), os.geteuid()}:
        with suppress(KeyError):
            yield pwd.getpwuid(uid).pw_dir


def expand(members: Iterable[str], private: Iterable[str]) -> tuple[str, ...]:
    """The existing paths that the patterns mean, symbolic links resolved, without those inside others."""
    return outermost(found(members, private))


def found(members: Iterable[str], private: Iterable[str]) -> tuple[str, ...]:
    """The same with those inside others: who shows one of these directories does not show what is hidden in it."""
    return tuple(sorted({real_path(path) for path in named(members, private)} - {"/"}))


def named(members: Iterable[str], private: Iterable[str]) -> Iterable[str]:
    """The same as they are named, with their links."""
    wanted = [path for member in members for path in (private if member == HOME else (member,))]
    return (path for pattern in wanted for path in meant(pattern))


def meant(pattern: str, top: str = "") -> Iterable[str]:
    """The existing paths that a pattern means below a directory: most are paths themselves. Where the caller cannot look for
    them, that directory as a whole: what is not seen is not to be shown for that, where it has another name."""
    unseen: list[str] = []

    def listing(place: str) -> list[str]:
        try:
            return os.listdir(place)
        except OSError as error:
            if error.errno not in ABSENT:
                unseen.append(place)
            return []

    paths = patterns.expand(pattern, listing, top)
    return dict.fromkeys(path for path in map(seen, (*paths, *unseen)) if path is not None)


def seen(path: str) -> str | None:
    """A path, or the nearest directory above it that the caller can see; None where there is nothing."""
    while True:
        try:
            os.lstat(path)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            path = os.path.dirname(path)
        else:
            return path


def everywhere(secrets: Iterable[str], mounts: Iterable[aliases.MountAlias] | None = None) -> tuple[str, ...]:
    """All places where hidden paths of the host, or parts of them, are seen."""
    mounts = aliases.mounted() if mounts is None else tuple(mounts)
    return tuple(sorted({place for secret in secrets for place in aliases.shown(secret, mounts)}))


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths without those inside others, sorted."""
    result: list[str] = []
    for path in sorted(set(paths), key=lambda path: path.split("/")):
        if not result or not holds(result[-1], path):
            result.append(path)
    return tuple(sorted(result))


def hiding(root: str, secrets: Iterable[str], private: Iterable[str]) -> str | None:
    """The hidden path that a root directory is, or lies in; None where it may be shown. A directory in the caller's own
    home, or in one that is there to hold roots, may."""
    real, mounts = os.path.realpath(root), aliases.mounted()
    # They excuse what hides them, and nothing that is hidden in them.
    own = [path for path in map(os.path.realpath, (*private, *STORES)) if _lies_in(real, path, mounts)]
    for secret in secrets:
        excused = any(holds(secret, path) for path in own)
        if real in aliases.names(secret, mounts) or (not excused and _lies_in(real, secret, mounts)):
            return secret
    return None


def _lies_in(real: str, directory: str, mounts: tuple[aliases.MountAlias, ...]) -> bool:
    """Whether a path lies in a directory, under any name, or is where a part of that is mounted."""
    names = aliases.names(directory, mounts)
    parts = set(aliases.shown(directory, mounts)) - set(names)
    return any(is_below(real, name) for name in names) or any(holds(part, real) for part in parts)


def meeting(path: str, own: Iterable[str], *, writable: bool) -> str | None:
    """The directory of ``own``, which need not be there yet, that a path is or lies in, or that lies in a ``writable`` one,
    or is led to by a link in that; None where they are apart."""
    real, mounts = os.path.realpath(path), aliases.mounted()
    for place in own:
        for name in _future_names(place, mounts):
            if holds(name, real) or (writable and is_below(name, real)):
                return place
        if writable and any(is_below(link, real) for link in aliases.links(place)):
            return place
    return None


def _future_names(path: str, mounts: Iterable[aliases.MountAlias]) -> Iterable[str]:
    """All names of a path, by those of what is there of it already."""
    existing = real = os.path.realpath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    below = os.path.relpath(real, existing)
    return [os.path.normpath(os.path.join(name, below)) for name in aliases.names(existing, mounts)]


def is_in_home(path: str, homes: Iterable[str]) -> bool:
    """Whether a path is an ordinary file or directory in somebody's home: people work there, and what a program keeps for
    itself has a dot."""
    for home in homes:
        below = os.path.relpath(path, home).split("/") if is_below(path, home) else []
        names = below[1:] if home == "/home" else below
        if names and not names[0].startswith("."):
            return True
    return False


def homes(private: Iterable[str]) -> tuple[str, ...]:
    """Where homes are; ``private`` are the caller's home and XDG directories, some of which are no place to work in."""
    return ("/home", "/root", *(path for path in private if "/." not in path and not is_below(path, "/run")))
