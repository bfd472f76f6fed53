"""`hardening apply` on configurations that podman, crun and runc wrote: the result runs, nowhere looser than the profile.

What other engines wrote is in test_engines.py.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import bundle
from hardening.assemble.spec import to_json
from hardening.base.pointer import lookup
from hardening.compare.configuration import changes
from hardening.mechanism.fragment import Spec
from hardening.runs import receipt
from hardening_seccomp.filters import is_no_looser_than
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import read
from hardening_seccomp.spec import filter_of
from tests.support import apart, bundles, podman, runs, shipped
from tests.support.features import require
from tests.support.forking import typed
from tests.support.runs import RUNTIMES
from tests.support.tighter import looser, receipt_of, tightened, write
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PROFILES = ("default", "strict")


@attrs.frozen
class Variant:
    """What podman is asked for, and some of what must be reported as beyond `strict`: leaf -> pointer."""

    options: Sequence[str] = ()
    beyond: Mapping[str, str] = attrs.field(factory=dict)
    runtime: str = "runc"


VARIANTS = {
    "plain": Variant(beyond={"capabilities.CHOWN": "/process/capabilities", "rootfs.read_only": "/root/readonly"}),
    "privileged": Variant(
        ["--privileged"],
        {"capabilities.SYS_ADMIN": "/process/capabilities", "seccomp.*": "/linux/seccomp"},
    ),
    "every capability": Variant(
        ["--cap-add", "ALL"], {"capabilities.SYS_MODULE": "/process/capabilities"}
    ),
    "no filter": Variant(["--security-opt", "seccomp=unconfined"], {"seccomp.*": "/linux/seccomp"}),
    "unmasked": Variant(
        ["--security-opt", "unmask=ALL"],
        {
            "rootfs.masked_paths./proc/kcore": "/linux/maskedPaths",
            "rootfs.read_only_paths./proc/sys": "/linux/readonlyPaths",
        },
    ),
    "host's processes": Variant(
        ["--pid", "host", "--ipc", "host", "--uts", "host"],
        {f"namespaces.{name}": "/linux/namespaces" for name in ("pid", "ipc", "uts")},
    ),
    "host's network": Variant(["--network", "host"], {"namespaces.net": "/linux/namespaces"}),
    "host's files": Variant(["-v", "/:/host"], {"rootfs.volumes./host": "/mounts"}),
    "other ids": Variant(["--userns", "keep-id:uid=200,gid=210"], {"namespaces.uid_map": "/linux/uidMappings"}),
    "ordinary user": Variant(["--read-only=false", "-u", "1000:1000"], {"rootfs.read_only": "/root/readonly"}),
    "device": Variant(["--device", "/dev/fuse"], {"rootfs.devices./dev/fuse": "/linux/devices/0"}),
    "limits": Variant(
        ["--ulimit", "nofile=500000:500000", "--oom-score-adj=-500", "--shm-size=1g"],
        {
            "process.rlimits.nofile": "/process/rlimits",
            "process.oom_score_adj": "/process/oomScoreAdj",
            "rootfs.shm_size": "/mounts",
        },
    ),
    "read-only": Variant(["--read-only", "--security-opt", "no-new-privileges"], {"rootfs.tmpfs./tmp": "/mounts"}),
    "without cgroups": Variant(["--cgroups=disabled"], {"rootfs.sys": "/mounts"}, "crun"),
}  # fmt: skip


@attrs.frozen
class Workshop:
    """A place for bundles, and what podman wrote there for each variant."""

    folder: Path
    documents: Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    require("root")
    require("cgroup2-mount")
    folder = apart.once("workshop", _furnish)
    return Workshop(folder, json.loads((folder / "documents.json").read_text()))


def _furnish(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    root = runs.busybox_root(folder / "root")
    found = {name: podman.written(folder, root, *variant.options, runtime=variant.runtime)
             for name, variant in VARIANTS.items()}  # fmt: skip
    (folder / "documents.json").write_text(json.dumps(found))


def run_tightened(
    document: Mapping[str, Any], profile: str, runtime: str, folder: Path, user: User | None = None
) -> dict[str, Any]:
    """Tighten a configuration and run it under a runtime: the kernel's report."""
    write(tightened(document, profile, folder, user), runtime, folder, user)
    return receipt_of(folder, runtime, user)


@pytest.mark.sampled("profile", "runtime")
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", VARIANTS)
def test_what_podman_wrote_runs_within_the_profile(workshop: Workshop, name: str, profile: str, runtime: str) -> None:
    with runs.workplace() as folder:
        found = run_tightened(workshop.documents[name], profile, runtime, folder)
        assert looser(found, profile) == []


@pytest.mark.sampled("profile")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_filter_allows_nothing_that_the_profile_denies(workshop: Workshop, name: str, profile: str) -> None:
    """What the kernel does not report: every system call, with every argument, of both filters."""
    assembly = tightened(workshop.documents[name], profile, workshop.folder)
    bound = filter_of(assembly.composition.settings["seccomp"], assembly.context)
    result = read(assembly.spec.document["linux"]["seccomp"], native=assembly.host.of(SeccompFacts).native).model
    assert is_no_looser_than(result, bound)
    foreign = workshop.documents[name]["linux"].get("seccomp")
    if foreign is not None:
        # The counter-proof, with the filter that podman wrote.
        assert not is_no_looser_than(read(foreign, native=assembly.host.of(SeccompFacts).native).model, bound)


@pytest.mark.sampled("profile")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_second_time_nothing_changes(workshop: Workshop, name: str, profile: str) -> None:
    first = tightened(workshop.documents[name], profile, workshop.folder)
    second = tightened(first.spec.document, profile, workshop.folder)
    assert changes(first.spec.document, second.spec.document, {}) == []
    assert second.violations == ()
    assert first.spec.files == second.spec.files


@pytest.mark.parametrize("name", VARIANTS)
def test_files_of_the_engine_are_no_wish(workshop: Workshop, name: str) -> None:
    assembly = tightened(workshop.documents[name], "strict", workshop.folder)
    places = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv"}
    assert places <= {mount["destination"] for mount in assembly.spec.document["mounts"]}
    assert not {f"rootfs.volumes.{place}" for place in places} & {item.leaf for item in assembly.violations}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_was_asked_for_beyond_the_profile_is_reported(workshop: Workshop, name: str) -> None:
    document = workshop.documents[name]
    assembly = tightened(document, "strict", workshop.folder)
    reported = {item.leaf: item for item in assembly.violations}
    # What a runtime would do at the word of an annotation.
    assert "/annotations/org.systemd.property.KillSignal" in {item.pointer for item in assembly.violations}
    for leaf, pointer in VARIANTS[name].beyond.items():
        assert leaf in reported, leaf
        assert reported[leaf].pointer.startswith(pointer), reported[leaf].pointer
    for item in assembly.violations:
        assert item.asked != item.allowed
        place = item.pointer
        assert lookup(document, place) is not None or lookup(document, place.rpartition("/")[0]) is not None, place


@pytest.mark.parametrize(("name", "rows"), [
    ("plain", {"CapBnd", "namespace user", "mount /", "limit open files"}),
    ("privileged", {"CapBnd", "Seccomp", "NoNewPrivs", "mount /sys"}),
    ("host's processes", {"namespace pid", "namespace ipc", "namespace uts"}),
    ("host's files", {"mount /host"}),
])  # fmt: skip
def test_as_podman_wrote_it_the_kernel_reports_more(workshop: Workshop, name: str, rows: set[str]) -> None:
    """The counter-proof: without `apply`, the same comparison finds what is looser."""
    document = json.loads(json.dumps(workshop.documents[name]))
    # The network's name was bound in podman's own mount namespace.
    document["linux"]["namespaces"] = [
        {key: value for key, value in item.items() if key != "path"} for item in document["linux"]["namespaces"]
    ]
    with runs.workplace() as folder:
        (folder / "bundle").mkdir()
        (folder / "bundle/config.json").write_text(json.dumps(document))
        assert rows <= set(looser(receipt_of(folder, "runc"), "strict"))


def spec_of(folder: Path, command: Sequence[str], user: User | None = None) -> dict[str, Any]:
    """What a runtime's own ``spec`` writes, for a root that is there and a command that ends."""
    place = folder / "spec"
    place.mkdir()
    runs.hand_over(place, user)
    argv = user.argv(command) if user is not None else command
    subprocess.run(argv, cwd=place, check=True, capture_output=True)
    document = json.loads((place / "config.json").read_text())
    assert isinstance(document, dict)
    document["root"]["path"] = str(runs.busybox_root(folder / "root"))
    document["process"] |= {"args": ["/bin/true"], "terminal": False}
    return document


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("author", ["crun", "runc"])
def test_the_spec_of_a_runtime_runs_within_the_profile(author: str, profile: str) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, [author, "spec"])
        first = tightened(document, profile, folder)
        second = tightened(first.spec.document, profile, folder)
        assert changes(first.spec.document, second.spec.document, {}) == []
        assert second.violations == ()
        for runtime in RUNTIMES:
            assert looser(run_tightened(document, profile, runtime, folder), profile) == [], runtime
            shutil.rmtree(folder / "bundle")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_rootless_spec_runs_within_the_profile(runtime: str, profile: str) -> None:
    require("userns")
    user = ordinary()
    with runs.workplace(user) as folder:
        document = spec_of(folder, ["runc", "spec", "--rootless"], user)
        assert document["linux"]["uidMappings"] == [{"containerID": 0, "hostID": user.uid, "size": 1}]
        assert looser(run_tightened(document, profile, runtime, folder, user), profile, user) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_rootless_podman_wrote_runs_within_the_profile(runtime: str, profile: str) -> None:
    """podman makes the user namespace itself, so its configuration has none, and gets one of the profile."""
    require("root")
    require("cgroup2-mount")
    require("userns")
    user = ordinary()
    with runs.workplace(user) as folder:
        root = runs.busybox_root(folder / "root")
        runs.hand_over(root, user)
        document = podman.written(folder, root, "--privileged", "--network=none", "-v", "/:/host", user=user)
        assert looser(run_tightened(document, profile, runtime, folder, user), profile, user) == []


def hostile(folder: Path) -> dict[str, Any]:
    """A configuration that reaches for the host in ways that no mechanism has a setting for."""
    document = spec_of(folder, ["crun", "spec"])
    touch = {"path": "/usr/bin/touch", "args": ["touch", str(folder / "hooked")]}
    document["hooks"] = {"createRuntime": [touch], "poststop": [touch]}
    document["linux"]["personality"] = {"domain": "LINUX32"}
    (folder / "data").mkdir()
    document["mounts"] += [
        {"destination": "/mnt/proc", "type": "proc", "source": "proc"},
        {"destination": "/mnt/data", "type": "bind", "source": str(folder / "data"), "options": ["rbind", "rw"]},
        {"destination": "/mnt/overlay", "type": "overlay", "source": "overlay", "options": ["lowerdir=/etc:/usr"]},
    ]
    return document


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_reaches_for_the_host_is_gone(runtime: str) -> None:
    require("root")
    with runs.workplace() as folder:
        document = hostile(folder)
        found = run_tightened(document, "strict", runtime, folder)
        assert not (folder / "hooked").exists()
        assert not [line for line in found["mountinfo"] if " /mnt/" in line]
        # The counter-proof, without what some runtimes refuse by themselves.
        shutil.rmtree(folder / "bundle")
        refused = ("/mnt/proc", "/mnt/overlay")
        document["mounts"] = [mount for mount in document["mounts"] if mount["destination"] not in refused]
        document["linux"].pop("personality")
        (folder / "bundle").mkdir()
        (folder / "bundle/config.json").write_text(json.dumps(document))
        found = receipt_of(folder, runtime)
        assert (folder / "hooked").exists()
        assert [line for line in found["mountinfo"] if " /mnt/data " in line]


@pytest.mark.parametrize("sbin", ["sbin", "usr/sbin"])
def test_the_mount_of_the_program_is_told_with_what_adds_it(sbin: str) -> None:
    """As the init of docker's `--init`, whose place is a link's in most images."""
    require("root")
    with runs.workplace() as folder:
        document = bundles.config("/sbin/init", "sh", "-c", "echo ran")
        document["root"]["path"] = str(bundles.make_root(folder / "root"))
        (folder / "root" / sbin).mkdir(parents=True)
        (folder / "root" / sbin / "init").touch()
        if sbin != "sbin":
            (folder / "root/sbin").symlink_to(sbin)
        init = folder / "own init"
        init.write_text('#!/bin/sh\necho init\nexec "$@"\n')
        init.chmod(0o755)
        mount = {"destination": "/sbin/init", "type": "bind", "source": str(init), "options": ["bind", "ro"]}
        document["mounts"].append(mount)
        (folder / "config.json").write_text(json.dumps(document))
        (folder / "bundle").mkdir()
        words = ["apply", "--json", "-q", "-o", str(folder / "bundle/config.json"), str(folder / "config.json")]
        told = {item["pointer"]: item["allowed"] for item in json.loads(hardening(*words).stdout)["violations"]}[
            "/mounts/7"
        ]
        assert told == f"none: the command is in it, and -v '{init}:/{sbin}/init:ro' adds it"
        assert hardening("launch", str(folder / "bundle")).returncode == 126
        done = hardening(*words, *shlex.split(told.partition(", and ")[2].removesuffix(" adds it")))
        assert done.returncode == 0, done.stderr
        for runtime in RUNTIMES:
            done = hardening("launch", "--runtime", runtime, str(folder / "bundle"))
            assert (done.returncode, done.stdout) == (0, "init\nran\n"), done.stderr


@pytest.mark.parametrize("alias", ["/", "//", "/proc/self/root", "link", "../../../../.."])
def test_no_name_of_the_hosts_root_shows_its_secrets(alias: str) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, ["crun", "spec"])
        (folder / "link").symlink_to("/")
        document["root"]["path"] = str(folder / "link") if alias == "link" else alias
        look = "ls -A /root /home /run /mnt; cat /etc/shadow; test -d /usr/bin"
        document["process"]["args"] = ["/bin/sh", "-c", look]
        del document["linux"]["resources"]
        assembly = tightened(document, "default", folder)
        bundle.write(assembly.spec, folder / "bundle")
        done = hardening("launch", str(folder / "bundle"))
        assert done.returncode == 0, done.stderr
        shown = [line for line in done.stdout.splitlines() if line and not line.endswith(":")]
        assert shown == []


#: What the kernel says of the command, row by row.
LOOK = r"""
id -u; id -g; id -G; cat /proc/self/uid_map /proc/self/gid_map | tr -s " "
grep -E "^(CapBnd|CapEff|CapPrm|NoNewPrivs|Seccomp|Umask):" /proc/self/status
cat /proc/self/oom_score_adj; cat /proc/self/limits | tr -s " "
for name in pid net ipc uts mnt user cgroup; do test "$(readlink /proc/self/ns/$name)" = "$1" && echo "host $name"; done
sed "s/.* - //" /proc/self/mountinfo | sort; cut -d" " -f5,6 /proc/self/mountinfo
cat /proc/self/cgroup; hostname; pwd; ls /dev
"""
#: Keys that Go takes for fields of the specification -> the object that gets them, and what they ask for.
TAKEN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "user": ("/process/user", {"UID": 0, "Gid": 0}),
    "groups": ("/process/user", {"AdditionalGids": [0, 27]}),
    "umask": ("/process/user", {"uMasK": 0}),
    "long s": ("/process/user", {"umaſk": 0}),
    "kelvin": ("/process/user", {"umasK": 0}),
    "uid map": ("/linux/uidMappings/0", {"HostID": 0}),
    "gid map": ("/linux/gidMappings/0", {"hostid": 0}),
    "no new privileges": ("/process", {"NoNewPrivileges": False}),
    "capabilities": ("/process/capabilities", {"Bounding": ["CAP_SYS_ADMIN"], "PERMITTED": ["CAP_SYS_ADMIN"]}),
    "read-only": ("/root", {"ReadOnly": False}),
    "a mount": ("/mounts/0", {"Options": ["rw", "exec", "suid", "dev"]}),
    "masks": ("/linux", {"MaskedPaths": [], "ReadonlyPATHS": []}),
    "score": ("/process", {"OomScoreAdj": 500}),
    "host name": ("", {"HostName": "evil"}),
    "limits": ("/process/rlimits/0", {"Soft": 7, "HARD": 7}),
    "filter": ("/linux", {"Seccomp": None}),
    "namespaces": ("/linux/namespaces/0", {"Path": "/proc/1/ns/uts", "Type": "uts"}),
}  # fmt: skip


def seen_by_runc(folder: Path, document: Mapping[str, Any], files: Mapping[str, Any]) -> str:
    """What the command reports of itself when plain runc runs a configuration."""
    place = folder / "bundle"
    bundle.write(Spec(to_json(document), {}, files), place)
    done = subprocess.run(bundles.alone(place, "runc"), capture_output=True, text=True, check=False, timeout=60)
    shutil.rmtree(place)
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.mark.sampled(kinds=lambda row: [bool(TAKEN[row["name"]][0])])
@pytest.mark.parametrize("name", TAKEN)
def test_runc_sees_no_key_in_another_case(name: str) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, ["runc", "spec"])
        document["process"]["args"] = ["/bin/sh", "-c", LOOK, "sh", "none"]
        del document["linux"]["resources"]
        options = '[process]\nuser = "1000:1000"\numask = "077"\n'
        with runs.workplace() as ours:
            layer = shipped.layer(ours, "user", f'extends = ["default"]\n{options}')
            assembly = tightened(document, layer, folder)
            plain = seen_by_runc(folder, assembly.spec.document, assembly.spec.files)
            assert plain.startswith("1000\n1000\n"), plain
            pointer, added = TAKEN[name]
            # The counter-proof: beside what was tightened, the key is obeyed.
            hostile = json.loads(assembly.spec.config)
            (lookup(hostile, pointer) if pointer else hostile).update(added)
            assert seen_by_runc(folder, hostile, assembly.spec.files) != plain
            again = tightened(hostile, layer, folder)
            assert again.spec.document == assembly.spec.document
            assert seen_by_runc(folder, again.spec.document, again.spec.files) == plain
            assert {item.pointer for item in again.violations} == {f"{pointer}/{key}" for key in added}


def hardening(*words: str) -> subprocess.CompletedProcess[str]:
    return typed(None, *words, cwd=".", env=os.environ)


def test_the_command_line_reports_replaces_and_is_content(tmp_path: Path) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, ["crun", "spec"])
        document["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")
        (folder / "bundle").mkdir()
        config = folder / "bundle/config.json"
        config.write_text(json.dumps(document))
        before = config.read_text()
        done = hardening("apply", "-p", "strict", "--check", "--json", str(folder / "bundle"))
        assert done.returncode == 1
        assert config.read_text() == before
        report = json.loads(done.stdout)
        beyond = {item["leaf"]: item["pointer"] for item in report["violations"]}
        assert beyond["capabilities.SYS_ADMIN"] == "/process/capabilities"
        assert "/process/noNewPrivileges" not in {item["pointer"] for item in report["changes"]}
        done = hardening("apply", "-p", "strict", "--in-place", str(folder / "bundle"))
        assert done.returncode == 0, done.stderr
        assert "CAP_SYS_ADMIN" not in config.read_text()
        assert (folder / "bundle/seccomp.bpf").is_file()
        done = hardening("apply", "-p", "strict", "--check", str(folder / "bundle"))
        assert (done.returncode, done.stdout) == (0, ""), done.stdout
        assert "nothing to change" in done.stderr
        target = folder / "receipt.json"
        done = hardening("launch", str(folder / "bundle"), "--runtime", "crun", "--receipt", str(target))
        assert done.returncode == 0, done.stderr
        assert looser(receipt.read(target), "strict") == []


def test_what_is_written_into_another_directory_runs_with_the_root_that_was_judged(tmp_path: Path) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, ["runc", "spec"])
        document["root"]["path"] = "root"
        (folder / "config.json").write_text(json.dumps(document))
        done = hardening("apply", "-q", "-p", "strict", "-o", str(folder / "elsewhere/config.json"), str(folder))
        assert done.returncode == 0, done.stderr
        done = hardening("launch", str(folder / "elsewhere"))
        assert (done.returncode, done.stderr) == (0, "")


def test_what_no_runtime_runs_as_it_is_leads_to_apply(tmp_path: Path) -> None:
    require("root")
    with runs.workplace() as folder:
        document = spec_of(folder, ["runc", "spec"])  # with ambient capabilities that are not inheritable
        (folder / "config.json").write_text(json.dumps(document))
        hint = f"hint: where another tool wrote it, `hardening apply --in-place {folder}` holds it to a profile\n"
        done = hardening("launch", str(folder))
        unheld = "CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE"
        assert (
            f"/process/capabilities/ambient: not permitted and inheritable, too: {unheld} (native)\n{hint}"
            in done.stderr
        )
        done = hardening("launch", "--runtime", "crun", str(folder))
        assert done.stderr.count(hint) == 3
        assert hardening("apply", "--in-place", str(folder)).returncode == 0
        assert hardening("launch", str(folder)).returncode == 0
        del document["linux"], document["process"]["capabilities"]
        (folder / "config.json").write_text(json.dumps(document))
        done = hardening("launch", str(folder))
        assert f"/linux: is missing (native)\n{hint}" in done.stderr  # as it is for crun and runc
        done = hardening("launch", str(folder / "config.json"))
        assert (done.returncode, done.stderr) == (
            2, f"error: {folder}/config.json: a bundle is a directory\nhint: name it: {folder}\n"
        )  # fmt: skip
