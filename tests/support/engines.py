"""Configurations that podman, docker and containerd wrote, as they gave them to a runtime.

``python -m tests.support.engines`` has the installed engines write them anew for `OPTIONS`, into tests/system/engines. They
lie there as what each option changes in the configuration without any (RFC 7386): so a change of the engine can be read.
Needs root; nothing of it stays on the host: all daemons live and end in namespaces of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support import podman, runs
from tests.support.patience import until
from tests.support.users import ordinary

KEPT = Path(__file__).parents[1] / "system/engines"
#: Stands for the folder of a workplace, where the engines keep what is theirs.
PLACE = "{place}"

_VOLUMES = """
-v /:/host
-v {place}/data:/data
-v {place}/data:/data:ro
-v {place}/data:/data:rslave
-v named:/data
-v /data
"""
_LIMITS = """
--memory 64m
--memory 64m --memory-swap 128m --memory-reservation 32m
--cpus 0.5
--cpu-shares 512
--pids-limit 50
--pids-limit -1
--blkio-weight 100
--shm-size 1g
--ulimit nofile=500000:500000 --oom-score-adj -500
"""
#: Of podman and docker, which say it alike.
_BOTH = f"""
--privileged
--cap-add ALL
--cap-drop ALL
--cap-drop ALL --cap-add NET_BIND_SERVICE
--security-opt seccomp=unconfined
--security-opt no-new-privileges
--pid host
--ipc host
--uts host
--network none
--network host
--cgroupns host
--tmpfs /scratch
--tmpfs /scratch:rw,noexec,size=1m,mode=1770
--mount type=tmpfs,destination=/cache,tmpfs-size=1m,tmpfs-mode=0700
--mount type=bind,source={PLACE}/data,destination=/data,readonly
--read-only
--read-only --tmpfs /run
--device /dev/fuse
--device /dev/null:/dev/mynull:r
--device-cgroup-rule 'c 10:200 rwm'
-p 8080:80 -p 127.0.0.1:5353:53/udp
-u 1000:1000
-u 33 --group-add 44
-h name -e A=b -w /data --stop-signal SIGINT
--add-host other:127.0.0.1 --dns 192.0.2.1
--health-cmd true --health-interval 30s
--sysctl net.ipv4.ip_unprivileged_port_start=80
-t
{_VOLUMES}{_LIMITS}"""
_PODMAN = f"""{_BOTH}
--cgroups enabled --cgroup-parent /parent
--security-opt unmask=ALL
--security-opt mask=/proc/uptime --security-opt proc-opts=hidepid=2
--uidmap 0:100000:65536
--userns keep-id:uid=200,gid=210
--ipc none
--ipc shareable
-v {PLACE}/data:/data:shared
-v {PLACE}/data:/data:O
-v {PLACE}/data:/data:idmap
-v {PLACE}/data:/data:nosuid,nodev,noexec
--mount type=ramfs,destination=/cache
--read-only --read-only-tmpfs=false
--systemd always
--umask 077
--cpuset-cpus 0
--no-hosts --tz UTC
--cgroup-conf pids.max=50
--annotation org.example.job=1 --label job=1
--personality LINUX32
"""
#: By engine, without the configuration that it writes for no options at all.
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "podman": _PODMAN,
        "rootless": f"""
--privileged
--cap-add ALL
--cap-drop ALL
--security-opt seccomp=unconfined
--security-opt unmask=ALL
--pid host --uts host
--network host
--userns keep-id
--userns nomap
-p 8080:80
--tmpfs /scratch
--read-only
--device /dev/fuse
-u 1000:1000
-u 33 --group-add 44
--group-add keep-groups
--health-cmd true
--systemd always
--shm-size 1g
{_VOLUMES}""",
        "docker": f"""{_BOTH}
--security-opt systempaths=unconfined
--device-read-bps /dev/null:1mb
--mount type=bind,source={PLACE}/data,destination=/data,bind-propagation=rshared
--init
--restart always
--cgroup-parent /parent
""",
        # Where it works through systemd.
        "docker-systemd": "--cgroup-parent job.slice",
        "containerd": f"""
--privileged
--allow-new-privs
--cap-add CAP_SYS_ADMIN
--cap-drop CAP_CHOWN
--seccomp
--net-host
--read-only
--user 1000:1000
--cwd /data --env A=b --hostname name
--mount type=bind,src={PLACE}/data,dst=/data,options=rbind:ro
--mount type=bind,src={PLACE}/data,dst=/data,options=rbind:rw
--mount type=tmpfs,src=tmpfs,dst=/scratch,options=nosuid:size=1m
--device /dev/fuse
--memory-limit 67108864
--cpus 0.5
--cpu-shares 512
--with-ns pid:/proc/1/ns/pid
--rootfs-propagation rslave
--cgroup /parent/job
--cgroup system.slice:ctr:job --runc-systemd-cgroup
--annotation org.example.job=1
""",
    }
)
#: Gives the engine's configuration to the reader and fails: no container is made.
_RUNTIME = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in create) made=yes ;; --bundle) bundle=$2 ;; esac
    shift
done
[ -z "$made" ] || { cp "$bundle/config.json" "${0%/*}/config.json"; exit 1; }
"""
#: What the kernel of a usual host has in cgroup2: engines leave out what it has not.
_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc\n"


def options(engine: str) -> list[str]:
    """The command lines whose configurations there are, the empty one first."""
    return ["", *(line for line in OPTIONS[engine].splitlines() if line)]


@cache
def kept(engine: str) -> Mapping[str, Any]:
    """The file of an engine: what it is, which sources of its mounts are files, and its bundles by their options."""
    found = json.loads((KEPT / f"{engine}.json").read_text())
    assert isinstance(found, dict)
    return found


def bundle_of(engine: str, words: str, folder: Path, root: Path) -> dict[str, Any]:
    """The configuration that an engine wrote for some options, with the root ``root``.

    The sources of its mounts and the network that it joins are made in ``folder``, and the places for them in the root, as
    the engine's runtime has. Its control group is one of the folder's.
    """
    record = kept(engine)
    document = merged(record["bundles"][""], record["bundles"][words]) if words else record["bundles"][""]
    files = {name.replace(PLACE, str(folder)) for name in record["files"]}
    document = json.loads(json.dumps(document).replace(PLACE, str(folder)))
    document["root"]["path"] = str(root)
    group = document["linux"].get("cgroupsPath")
    if group is not None:
        document["linux"]["cgroupsPath"] = re.sub("^/?[^/]+", rf"\g<0>-{folder.name}", group)
    network = folder / "netns"
    if str(network) in json.dumps(document["linux"]["namespaces"]):
        network.touch()
        subprocess.run(["unshare", f"--net={network}", "true"], check=True)
    for mount in document["mounts"]:
        source, place = Path(mount.get("source", "")), root / mount["destination"].lstrip("/")
        own = [source] if source.is_relative_to(folder) else []
        for path in (*own, place):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if str(source) in files or source.is_file() else path.mkdir(exist_ok=True)
    assert isinstance(document, dict)
    return document


def merged(target: object, patch: object) -> Any:
    """JSON Merge Patch, RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def patch_of(source: object, target: object) -> Any:
    """The patch that makes ``target``, which holds no null, of ``source``."""
    if not isinstance(source, dict) or not isinstance(target, dict):
        return target
    gone = {key: None for key in source if key not in target}
    return gone | {key: patch_of(source.get(key), value) for key, value in target.items() if source.get(key) != value}


def gather(engine: str) -> dict[str, Any]:
    """Have an engine write its configurations, for its file."""
    with runs.workplace(ordinary() if engine == "rootless" else None) as folder:
        (folder / "data").mkdir()
        root = runs.busybox_root(folder / "root")
        if engine in ("podman", "rootless"):
            version = _output("podman", "--version")
            found = dict(_of_podman(folder, root, rootless=engine == "rootless"))
        else:
            program = "containerd" if engine == "containerd" else "dockerd"
            version = _output(program, "--version")
            argv = [sys.executable, "-m", "tests.support.engines", engine, str(folder)]
            subprocess.run(podman.apart(folder, ["sh", "-c", 'cd "$0" && exec "$@"', os.getcwd(), *argv]), check=True)
            found = json.loads((folder / "found.json").read_text())
        files = {mount["source"] for document in found.values() for mount in document["mounts"]
                 if mount.get("type") == "bind" and Path(mount["source"]).is_file()}  # fmt: skip
        text = _general(json.dumps([found, sorted(files)]), folder)
    found, files = json.loads(text)
    plain = found[""]
    bundles = {words: patch_of(plain, document) if words else plain for words, document in found.items()}
    assert all(not words or merged(plain, patch) == found[words] for words, patch in bundles.items())
    return {"engine": version, "files": sorted({name for name in files if name.startswith(PLACE)}), "bundles": bundles}


def _general(text: str, folder: Path) -> str:
    """Names that are other ones each time, made the same."""
    text = text.replace(str(folder), PLACE)
    for digits in (64, 32, 12):
        text = re.sub(rf"(?<![0-9a-f])[0-9a-f]{{{digits}}}(?![0-9a-f])", "0" * digits, text)
    return re.sub(r"/run/netns/netns-[0-9a-f-]{36}", f"{PLACE}/netns", re.sub(r"/proc/\d+/exe", "/proc/0/exe", text))


def _output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _of_podman(folder: Path, root: Path, *, rootless: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    user = ordinary() if rootless else None
    runs.hand_over(folder, user)
    for words in options("rootless" if rootless else "podman"):
        asked = shlex.split(words.replace(PLACE, str(folder)))
        if user is not None and "--network" not in asked:
            asked += ["--network", "none"]  # another one wants passt(1) of the host
        document = podman.written(folder, root, *asked, user=user)
        # podman sorts by depth alone, so that the rest is another order each time.
        document["mounts"].sort(key=lambda mount: (mount["destination"].count("/"), mount["destination"]))
        yield words, document


def _of_daemons(engine: str, folder: Path) -> None:
    """Within namespaces of our own: write found.json."""
    (folder / "controllers").write_text(_CONTROLLERS)
    subprocess.run(["mount", "--bind", folder / "controllers", "/sys/fs/cgroup/cgroup.controllers"], check=True)
    # As systemd leaves it; docker looks at it before it takes a volume that is to be `rslave` or `rshared`.
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
    runtime, written = folder / "runtime", folder / "config.json"
    runtime.write_text(_RUNTIME)
    runtime.chmod(0o755)
    found = {}
    with _daemons(folder, systemd=engine == "docker-systemd"):
        if engine != "containerd":
            tar = subprocess.run(["tar", "-C", folder / "root", "-c", "."], check=True, stdout=subprocess.PIPE).stdout
            subprocess.run(["docker", "import", "-", "job"], check=True, input=tar, stdout=subprocess.DEVNULL)
        for number, words in enumerate(options(engine)):
            asked = shlex.split(words.replace(PLACE, str(folder)))
            if engine == "containerd":
                argv = [
                    "ctr",
                    "run",
                    "--rootfs",
                    "--runc-binary",
                    str(runtime),
                    *asked,
                    f"{folder}/root",
                    f"job-{number}",
                ]
            else:
                argv = ["docker", "run", *asked, "job"]
            done = subprocess.run([*argv, "/bin/true"], check=False, capture_output=True, text=True)
            assert written.exists(), f"{engine} {words}: {done.stderr}"
            found[words] = json.loads(written.read_text())
            written.unlink()
    (folder / "found.json").write_text(json.dumps(found))


@contextmanager
def _daemons(folder: Path, *, systemd: bool) -> Iterator[None]:
    """containerd and dockerd, which keep everything in ``folder`` and in a /run of their own."""
    socket = "/run/containerd/containerd.sock"
    commands = [["containerd", "--root", f"{folder}/containerd", "--address", socket]]
    if shutil.which("dockerd"):
        if systemd:
            Path("/run/systemd/system").mkdir(parents=True)
        driver = "systemd" if systemd else "cgroupfs"
        commands.append(["dockerd", "--containerd", socket, "--iptables=false", "--ip6tables=false", "--storage-driver=vfs",
                         f"--data-root={folder}/docker", f"--add-runtime=kept={folder}/runtime", "--default-runtime=kept",
                         f"--exec-opt=native.cgroupdriver={driver}"])  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        for argv, asks in zip(commands, (["ctr", "version"], ["docker", "version"]), strict=False):
            log = folder / f"{argv[0]}.log"
            started.append(subprocess.Popen(argv, stdout=log.open("wb"), stderr=subprocess.STDOUT))
            until(lambda asks=asks: subprocess.run(asks, check=False, capture_output=True).returncode == 0,  # type: ignore[misc]
                  log.read_text)  # fmt: skip
        yield
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def main() -> None:
    if len(sys.argv) == 3:
        _of_daemons(sys.argv[1], Path(sys.argv[2]))
        return
    for engine in sys.argv[1:] or OPTIONS:
        found = gather(engine)
        bundles = found["bundles"].items()
        lines = [f"{json.dumps(words)}: {json.dumps(bundle, separators=(',', ':'))}" for words, bundle in bundles]
        head = f'"engine": {json.dumps(found["engine"])},\n"files": {json.dumps(found["files"])},\n"bundles": '
        (KEPT / f"{engine}.json").write_text("{" + head + "{\n" + ",\n".join(lines) + "\n}}\n")
        print(f"{engine}: {len(lines)} bundles of {found['engine']}")


if __name__ == "__main__":
    main()
