"""Options that podman and docker have and this program has not, with what does the same here.

A mechanism that offers one of these options takes it over: an answer is given only for an option that nobody has.
"""

from __future__ import annotations

import re

_NO_IMAGE = "there are no images: name a root with --rootfs DIR, or use the host's own"
_NOT_KEPT = "leave it out: --name is all that tells containers apart here"
_PORTS = "no port is forwarded: --network host shares the host's network, `-p web` names a profile for servers"

_ANSWERS = {
    (
        "--privileged",
    ): "there is no such thing: `hardening explain SETTING` shows the smallest loosening of what was denied",
    ("--publish", "--publish-all", "-P", "--expose"): _PORTS,
    ("--entrypoint",): "write the command and its arguments after `--`",
    ("--restart",): "nothing is started again by itself: use a unit of systemd, or a loop of the shell",
    ("--mount", "--volumes-from"): "write -v SRC:DST[:OPTS], or --tmpfs DST[:OPTS]",
    ("--pid",): "write --set namespaces.pid=host, or the path of a namespace to join",
    ("--ipc",): "write --set namespaces.ipc=host, or the path of a namespace to join",
    ("--uts",): "write --set namespaces.uts=host, or the path of a namespace to join",
    ("--userns",): "write --set namespaces.user=host, or choose a map with --set namespaces.id_map=keep-id",
    ("--cgroupns",): "write --set namespaces.cgroup=host, or the path of a namespace to join",
    ("--uidmap", "--gidmap"): "write --set 'namespaces.uid_map=[\"0:100000:65536\"]' and the same for gid_map",
    ("--security-opt",): (
        "seccomp=FILE is --set seccomp.profile=FILE; label=type:T is --set selinux.type=T; mask and unmask are "
        "rootfs.masked_paths; no-new-privileges is on anyway"
    ),
    ("--shm-size",): "write --set rootfs.shm_size=64M",
    ("--label", "--label-file", "-l", "--pod"): _NOT_KEPT,
    ("--cidfile",): "the id is what `run -d` prints: hardening run -d … >FILE",
    ("--replace",): "write `hardening rm -f NAME` before it",
    ("--init",): "the command is process 1: an init that the root has goes before it, as in `-- tini -- COMMAND`",
    ("--dns", "--dns-search", "--dns-option", "--add-host"): (
        "files decide names: show one of your own with -v ./resolv.conf:/etc/resolv.conf:ro (or hosts)"
    ),
    ("--sysctl",): 'write --set \'namespaces.sysctls."NAME"="VALUE"\'',
    ("--timeout",): "write `-- timeout SECONDS COMMAND`, or run it under timeout(1)",
    ("--env-file", "--env-host"): "write -e NAME=VALUE, or -e NAME to pass your own value on, for each",
    ("-m",): "write --memory SIZE",
    ("--memory-swap",): "write --set process.resources.memory_swap=SIZE",
    ("--oom-score-adj",): "write --set process.oom_score_adj=NUMBER",
    ("--umask",): "write --set process.umask=022",
    ("--pull", "--platform", "--arch", "--os"): _NO_IMAGE,
}

_PORT = re.compile(r"([0-9.]+:)?[0-9]+(-[0-9]+)?(:[0-9]+(-[0-9]+)?)?(/(tcp|udp|sctp))?")


def answer(option: str) -> str | None:
    """What to write instead of an option, such as ``--rm``; None where there is nothing to say."""
    return next((text for flags, text in _ANSWERS.items() if option in flags), None)


def published(profile: str) -> str | None:
    """What to write instead of ``-p 8080:80``, by which podman users mean a port; None for what may be a profile."""
    return _PORTS if _PORT.fullmatch(profile) else None
