"""Options and commands that podman and docker have and this program has not, with what does the same here.

A mechanism that offers one of these options takes it over: an answer is given only for an option that nobody has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_OWN_PLATFORM = "leave it out: of an image for several machines, the one for this machine is taken"
_NOT_KEPT = "leave it out: --name is all that tells containers apart here"
_PORTS = "no port is forwarded: --network host shares the host's network, `-p web` names a profile for servers"

#: For a policy.json in the place of a profile.
POLICY = (
    "a policy.json is taken over into a profile: `hardening trust import FILE --into team.toml`, then -p ./team.toml"
)

_ANSWERS = {
    (
        "--privileged",
    ): "there is no such thing: `hardening explain SETTING` shows the smallest loosening of what was denied",
    ("--publish", "--publish-all", "-P", "--expose"): _PORTS,
    ("--restart",): "nothing is started again by itself: use a unit of systemd, or a loop of the shell",
    ("--mount", "--volumes-from"): "write -v SRC:DST[:OPTS], or --tmpfs DST[:OPTS]",
    ("--pid",): "write --set namespaces.pid=host, or the path of a namespace to join",
    ("--ipc",): "write --set namespaces.ipc=host, or the path of a namespace to join",
    ("--uts",): "write --set namespaces.uts=host, or the path of a namespace to join",
    ("--userns",): "write --set namespaces.user=host, or choose a map with --set namespaces.id_map=keep-id",
    ("--cgroupns",): "write --set namespaces.cgroup=host, or the path of a namespace to join",
    ("--uidmap", "--gidmap"): "write --set 'namespaces.uid_map=[\"0:100000:65536\"]' and the same for gid_map",
    ("--security-opt",): (
        "seccomp=FILE is --set seccomp.profile=FILE; for unconfined, `hardening explain seccomp.CALL` shows what lets one "
        "call run; label=type:T is --set selinux.type=T; mask and unmask are rootfs.masked_paths; no-new-privileges is on "
        "anyway"
    ),
    ("--gpus",): "show each device that it needs: --device /dev/nvidia0, or /dev/dri/renderD128",
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
    ("--platform", "--arch", "--os"): _OWN_PLATFORM,
    ("--creds", "--authfile"): "log in with podman login HOST; REGISTRY_AUTH_FILE=FILE names another file of logins",
    ("--policy", "--signature-policy"): POLICY,
    ("--cert-dir",): "put the certificates into ~/.config/containers/certs.d/HOST",
}

_NO_ENTRY = "nothing enters a container that runs: write a shell as the command, `hardening run -it -- sh`"
_NOT_MADE = "images are not made here: use buildah, podman or skopeo, and `hardening pull oci:DIR`"
_NO_CONFIGURATION = "there is no such thing: write the command line again, with `hardening run`"

_COMMANDS = {
    ("exec", "attach"): _NO_ENTRY,
    ("inspect",): "`hardening ps -a --json` shows a container, `hardening run --dry-run` what one would be",
    ("push", "build", "commit", "save", "import", "tag"): _NOT_MADE,
    ("image",): "leave that word out: hardening pull, images, rmi",
    ("image trust",): "write `hardening trust`: show, set, explain and lint are there",
    ("image sign",): "write `hardening trust sign IMAGE --key ID`",
    ("image prune",): "what no name needs goes by itself: `hardening rmi IMAGE` takes a name away",
    ("image inspect",): "`skopeo inspect docker://IMAGE` shows it, and `hardening images --json` what is here",
    ("image exists",): "look for the name in `hardening images --json`",
    ("image ls", "image list"): "write `hardening images`",
    ("image rm",): "write `hardening rmi`",
    ("history",): "`skopeo inspect --config docker://IMAGE` shows how an image was made",
    ("search",): "`skopeo list-tags docker://REPOSITORY` shows the tags of one; use podman search for names",
    ("secret exists",): "write `hardening secret inspect NAME`: its exit code tells",
    ("secret update",): "write `hardening secret rotate NAME FILE`",
    ("secret remove",): "write `hardening secret rm NAME`",
    ("secret list",): "write `hardening secret ls`",
    ("trust unset", "trust rm", "trust remove", "trust delete"): (
        "take its line out of the file with an editor: `hardening trust show` tells file and line"
    ),
    ("load",): "write `hardening pull docker-archive:FILE`",
    ("login", "logout"): "use podman login, or skopeo login: their auth.json is read",
    ("start", "restart", "create"): _NO_CONFIGURATION,
    ("stats", "top"): "use top(1) or ps(1): `hardening ps --json` has the pid of the command",
    ("cp", "export"): "show the container a directory of yours: hardening run -v ./DIR:/DIR",
    ("pause", "unpause"): "write `hardening kill -s STOP NAME`, and `hardening kill -s CONT NAME`",
    ("container",): "leave that word out: hardening ps, logs, stop, kill, wait, rm",
    ("events",): "`hardening log -f` shows launches and ends as they come",
    ("info", "system"): "`hardening doctor` shows what this host can enforce",
    ("volume",): "there are no named volumes: write -v SRC:DST with a directory of yours",
    ("network",): "write --network none or --network host",
    ("prune",): "`hardening rm -a` removes the containers that have ended",
    ("help",): "write `hardening --help`, or `hardening COMMAND --help`",
    ("version",): "write `hardening --version`",
    ("rename",): "a container keeps its name: give it one with hardening run --name NAME",
    ("port",): _PORTS,
}

_MORE = "…"  # a word too many
_SHAPE = "write --json, and let jq(1) or the like choose"
_OF_COMMANDS: Mapping[str, Mapping[tuple[str, ...], str]] = {
    "ps": {
        ("--format", "--filter", "-f"): _SHAPE,
        ("--no-trunc",): "in pipes nothing is cut: hardening ps | cat",
        ("-n", "--last"): "the last ones stand last: hardening ps -a | tail -n N",
        ("-l", "--latest"): "the latest one stands last: hardening ps -aq | tail -n 1",
    },
    "logs": {("--until",): "leave it out, or choose from what -t shows"},
    "rm": {
        ("-v", "--volumes"): "leave it out: there are no volumes but your own directories",
        ("-t", "--time"): "write `hardening stop -t SECONDS NAME` before it",
    },
    "images": {
        ("-q", "--quiet"): f"{_SHAPE}: hardening images --json | jq -r '.[].name'",
        ("-a", "--all"): "leave it out: all are shown",
        ("--digests",): "leave it out: digests are shown, and whole ones with --json",
        ("--no-trunc",): "digests are whole with --json",
        ("--format", "--filter", "-f", "--sort"): _SHAPE,
        ("--noheading", "-n"): "write hardening images | tail -n +2",
    },
    "rmi": {
        ("-a", "--all"): "name them: hardening images --json | jq -r '.[].name' | xargs hardening rmi",
        ("-i", "--ignore"): "write -f: what is not there is no error then",
    },
    "pull": {
        (_MORE,): "one image is pulled at a time: write a line for each",
        ("-a", "--all-tags"): "name each tag: `skopeo list-tags docker://REPOSITORY` shows them",
    },
    "secret create": {
        ("--replace",): "write `hardening secret rotate NAME FILE`",
        ("--label", "-l"): "leave it out: a secret has a name, and no labels",
        ("--env", "-e"): 'give the value through a pipe: printf %s "$VARIABLE" | hardening secret create NAME -',
    },
    "secret rm": {("-a", "--all"): "name them: hardening secret ls -q | xargs hardening secret rm"},
    "secret ls": {
        ("--format", "-f", "--filter"): _SHAPE,
        ("-n", "--noheading"): "write -q, which shows the names only",
    },
    "secret inspect": {("--format", "-f"): _SHAPE, ("--pretty",): "leave it out"},
}

_PORT = re.compile(r"([0-9.]+:)?[0-9]+(-[0-9]+)?(:[0-9]+(-[0-9]+)?)?(/(tcp|udp|sctp))?")


def answer(option: str) -> str | None:
    """What to write instead of an option, such as ``--rm``; None where there is nothing to say."""
    return _listed(_ANSWERS, option)


def of_command(command: str, option: str = _MORE) -> str | None:
    """What to write instead of an option of one command, such as ``secret rm``, or of a word too many; None where there is
    nothing to say."""
    if command == "kill" and re.fullmatch("-[0-9A-Z]+", option):
        return "write `hardening kill -s KILL NAME`" if option == "-9" else "write `hardening kill -s SIGNAL NAME`"
    return _listed(_OF_COMMANDS.get(command, {}), option)


def instead_of(command: str, *more: str) -> str | None:
    """What to write instead of a command, such as ``exec`` or ``secret exists``, and perhaps the word after it; None where
    there is nothing to say."""
    return _listed(_COMMANDS, " ".join((command, *more[:1]))) or _listed(_COMMANDS, command)


def _listed(texts: Mapping[tuple[str, ...], str], word: str) -> str | None:
    return next((text for words, text in texts.items() if word in words), None)


def published(profile: str) -> str | None:
    """What to write instead of ``-p 8080:80``, by which podman users mean a port; None for what may be a profile."""
    return _PORTS if _PORT.fullmatch(profile) else None
