"""Configurations that podman itself writes, without a trace of it on the host.

Podman runs in namespaces of its own, with cgroup2 alone at /sys/fs/cgroup and a /run of its own. ``podman init`` writes the
configuration before it calls the runtime; whether that can make the container on this host does not matter here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.users import User

_SCRIPT = """
mount --make-rprivate /
for place in /run /dev/shm; do mount -t tmpfs tmpfs $place; done
umount --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
mkdir -m 777 /run/containers-test
export XDG_RUNTIME_DIR=/run/containers-test HOME="$1"
shift
exec "$@"
"""
_CREATE = """
runtime=$1 graph=$2
shift 2
podman() { command podman --root "$graph" --runroot "$graph/run" --storage-driver vfs --cgroup-manager cgroupfs \
    --log-level error --runtime "$runtime" "$@"; }
id=$(podman create "$@") || exit 1
podman init "$id" >/dev/null 2>&1
cat "$graph/vfs-containers/$id/userdata/config.json"
"""


def written(folder: Path, root: Path, *options: str, runtime: str = "runc", user: User | None = None) -> dict[str, Any]:
    """What podman writes for ``podman create OPTIONS --rootfs ROOT /bin/true``, called by root or by ``user``.

    What the configuration mounts lies in ``folder``, and is there until the folder goes. Needs root.
    """
    graph = folder / "podman"
    graph.mkdir(exist_ok=True, mode=0o777)
    create = [runtime, str(graph), *options, "--rootfs", str(root), "/bin/true"]
    words: Sequence[str] = ["sh", "-c", _CREATE, "sh", *create]
    home = folder
    environment: Mapping[str, str] = os.environ
    if user is not None:
        words, home, environment = user.argv(words), user.home, user.environment
        os.chown(graph, user.uid, user.gid)
    argv = apart(home, words)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd="/", timeout=60)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def apart(home: Path, words: Sequence[str]) -> list[str]:
    """The command line that runs ``words`` where podman works and leaves nothing: all that it starts ends with them."""
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    return [*own, "sh", "-e", "-c", _SCRIPT, "sh", str(home), *words]
