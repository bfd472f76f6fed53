"""Images as roots of real commands: what the kernel says of them, who stops them, and what killed pulls leave."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.stress import pulls
from tests.stress.pulls import Puller
from tests.support import audit, users
from tests.support.features import require
from tests.support.images import SHELL, archive, entry, folder, layout, shell
from tests.support.patience import until
from tests.support.runs import RUNTIMES, hand_over, workplace
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

OPEN = """extends = ["strict"]
[trust]
default = "accept"
[[exceptions]]
setting = "trust.default"
reason = "images of the test"
"""
CONFIG = {"User": "1000:1000", "WorkingDir": "/etc", "Env": ["COLOUR=red"], "Entrypoint": ["sh", "-c"],
          "Cmd": ['echo "$(id -u) $(id -g) $(pwd) $COLOUR"']}  # fmt: skip
PROGRAM = str(Path(sys.executable).with_name("hardening"))


@contextmanager
def puller(user: User | None) -> Iterator[Puller]:
    """A place of somebody's with an image `image:v1` and a profile `open.toml`."""
    require("userns")
    with workplace(user) as place:
        found = Puller(users.program(user) if user is not None else PROGRAM, place, user)
        layout(place / "image", [shell(), archive([entry("etc/motd", b"hello\n")])], CONFIG)
        (place / "open.toml").write_text(OPEN)
        (place / "none.toml").write_text('limits.trust.default = "reject"\n')
        hand_over(place, user)
        try:
            yield found
        finally:

            def is_empty() -> bool:
                """A root that somebody still uses, be it for a moment, goes with what is typed next."""
                if left := any((place / "images/roots").glob("*")):
                    code, said = found.type("rmi", "-f", "oci:image:v1", "oci:other:v1")
                    assert code == 0, said
                return not left

            until(is_empty)


#: Whoever runs the tests, and where that is root an ordinary user as well.
WHO = ("caller", "user") if os.geteuid() == 0 else ("caller",)


@pytest.fixture(params=WHO)
def here(request: pytest.FixtureRequest) -> Iterator[Puller]:
    with puller(ordinary() if request.param == "user" else None) as found:
        yield found


@pytest.fixture
def caller() -> Iterator[Puller]:
    with puller(None) as found:
        yield found


@pytest.fixture
def root() -> Iterator[Puller]:
    require("root")
    with puller(None) as found:
        yield found


def run(here: Puller, *words: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    return here.type("run", "-q", "-p", "./open.toml", *options, "oci:image:v1", *words)


def only(here: Puller) -> Path:
    """The unpacked root."""
    (root,) = (here.place / "images/roots").glob("*/root")
    return root


def only_of(here: Puller, name: str) -> Path:
    """The unpacked root of one of several images."""
    said = json.loads(here.type("images", "--json")[1])
    (digest,) = (image["digest"] for image in said if image["name"].endswith(f"/{name}:v1"))
    (root,) = (here.place / "images/roots").glob(f"{digest.replace(':', '-')}-*/root")
    return root


def test_an_image_runs_as_it_says_and_the_kernel_agrees(here: Puller) -> None:
    assert run(here) == (0, "1000 1000 /etc red\n")
    assert run(here, "--", "cat motd; exit 7") == (7, "hello\n")
    assert run(here, "--", "id -u", options=("-u", "1001", "-w", "/")) == (0, "1001\n")
    assert run(here, "--", "-c", "umask", options=("--entrypoint", "sh")) == (0, "0077\n")
    status = run(here, "cat /proc/self/status; cat /proc/self/mounts")[1]
    assert "Seccomp:\t2\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status
    (bound,) = [line.split() for line in status.splitlines() if line.split()[1:2] == ["/bin"]]
    assert {"ro", "nosuid", "nodev"} <= set(bound[3].split(","))
    code, said = run(here, "echo x >/etc/motd", options=("-u", "0", "--exception", "process.user=test"))
    assert code != 0
    assert "Read-only file system" in said


def test_an_image_whose_user_cannot_be_read_is_not_run_as_root(caller: Puller) -> None:
    layout(caller.place / "image", [shell()], {**CONFIG, "User": " 1500"})
    code, said = run(caller)
    assert code == 125
    assert "error: image oci:" in said
    assert 'its configuration is invalid: process.user: " 1500" is not a user' in said
    assert run(caller, "id -u", options=("-u", "1500", "-w", "/")) == (0, "1500\n")


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_other_runtimes_run_the_same_image(here: Puller, runtime: str) -> None:
    options = ("--runtime", runtime)
    assert run(here, options=options) == (0, "1000 1000 /etc red\n")
    # What is kept for them counts for a command together with the image's own words, and not for one that looks so.
    assert run(here, "--", "echo own", options=options) == (0, "own\n")
    assert run(here, "--", "sh", "-c", "echo own", options=options) == (0, "")


def test_the_owners_in_a_root_are_the_image_s(here: Puller) -> None:
    own = archive([folder("srv", uid=7, gid=8), entry("srv/a", b"x", mode=0o600, uid=1000, gid=1000)])
    layout(here.place / "image", [shell((*SHELL, "stat")), own], CONFIG)
    code, said = run(here, "cat /srv/a; echo; stat -c '%u:%g %n' / /bin /srv /srv/a")
    assert (code, said.splitlines()[2:]) == (0, ["0:0 /bin", "7:8 /srv", "1000:1000 /srv/a"])
    status = (only(here) / "srv").stat()
    assert (status.st_uid, status.st_gid) != (7, 8)


def test_set_id_bits_and_devices_give_nothing(here: Puller) -> None:
    hostile = [entry("bin/root", b"", mode=0o6755), entry("dev/sda", kind=b"4", device=(8, 0)), entry("dev/null", b"")]
    layout(here.place / "image", [shell((*SHELL, "stat")), archive(hostile)], CONFIG)
    code, said = here.type("pull", *pulls.ACCEPT, "oci:image:v1")
    assert code == 0
    assert "left out: device node: dev/sda" in said
    assert ("left out: set-user-ID bit: bin/root" in said) == (here.user is not None or os.geteuid() != 0)
    code, said = run(here, "stat -c '%a' /bin/root; ls /dev/sda; cat /proc/self/mounts")
    assert said.splitlines()[0] == ("755" if here.user is not None or os.geteuid() != 0 else "6755")
    assert "/dev/sda: No such file" in said
    assert all("nosuid" in line for line in said.splitlines() if line.split()[1:2] == ["/bin"])


def test_no_other_user_reaches_a_root(root: Puller) -> None:
    assert run(root)[0] == 0
    asked = ordinary().run(["ls", str(only(root))])
    assert "Permission denied" in asked.stderr


def test_the_policy_is_asked_before_a_pull_and_at_every_run(here: Puller) -> None:
    line = ("run", "-q", "-p", "./app.toml", "oci:image:v1")
    (here.place / "app.toml").write_text('extends = ["strict"]\n')
    code, said = here.type(*line)
    assert code == 2
    assert "is rejected by policy" in said
    assert not any((here.place / "images/blobs").glob("*/*"))
    (here.place / "app.toml").write_text(OPEN)
    for _ in range(2):
        assert here.type(*line) == (0, "1000 1000 /etc red\n")
    assert "kept for the next call" in here.type("run", "--dry-run", *line[1:])[1]
    (here.place / "app.toml").write_text(OPEN.replace("accept", "reject"))
    code, said = here.type(*line)
    assert code == 2
    assert "is rejected by policy" in said
    assert "oci:" in said


def test_an_image_is_judged_by_where_it_came_from_and_not_by_where_a_link_leads_now(caller: Puller) -> None:
    for name in ("good", "bad"):
        layout(caller.place / name / "image", [shell(), archive([entry("etc/motd", name.encode())])], CONFIG)
        hand_over(caller.place / name, caller.user)
    link = caller.place / "link"
    link.symlink_to("bad/image")
    (caller.place / "good.toml").write_text(OPEN.replace('default = "accept"', f'oci."{caller.place}/good" = "accept"'))
    text = (caller.place / "good.toml").read_text().replace("trust.default", f"trust.oci.{caller.place}/good")
    (caller.place / "good.toml").write_text(text)
    strictly = ("run", "-q", "-p", "./good.toml")
    try:
        assert caller.type("run", "-q", "-p", "./open.toml", "oci:link:v1", "cat motd") == (0, "bad")
        assert caller.type(*strictly, "oci:link:v1", "cat motd")[0] == 2
        bad = caller.type("images", "--json")[1]
        link.unlink()
        link.symlink_to("good/image")
        assert caller.type(*strictly, "oci:link:v1", "cat motd") == (0, "good")
        assert caller.type(*strictly, "oci:link:v1", "cat motd") == (0, "good")
        # Nor is the place itself another one because its name leads tcaller now.
        (caller.place / "bad").rename(caller.place / "away")
        (caller.place / "bad").symlink_to("good")
        (digest,) = [item["digest"] for item in json.loads(bad)]
        code, said = caller.type(*strictly, digest, "cat motd")
        assert (code, "is rejected by policy" in said) == (2, True), said
        link.unlink()
        link.symlink_to("away/image")
        assert caller.type(*strictly, "oci:link:v1", "cat motd")[0] == 2
    finally:
        caller.type("rmi", "-f", f"oci:{caller.place}/bad/image:v1", f"oci:{caller.place}/good/image:v1")


def test_what_the_policy_rejects_leaves_no_store(caller: Puller) -> None:
    (caller.place / "app.toml").write_text('extends = ["strict"]\n')
    lines = (("run", "-q"), ("pull", "-q"), ("run", "--dry-run"), ("compose", "-q"))
    for line in lines:
        code, said = caller.type(*line, "-p", "./app.toml", "oci:image:v1")
        assert (code, "is rejected by policy" in said) == (2, True), said
    assert caller.type("pull", *pulls.ACCEPT, "oci:absent:v1")[0] == 125
    assert caller.type("explain", "--image", "oci:image:v1")[0] == 125
    assert not (caller.place / "images").exists()


def test_a_bundle_of_an_image_runs_for_as_long_as_that_is_there(here: Puller) -> None:
    line = ("-q", "-p", "./open.toml", "-o", "app", "oci:image:v1")
    assert here.type("compose", *line) == (0, "")
    for runtime in ("native", "native", "crun"):
        assert here.type("launch", "app", "--runtime", runtime) == (0, "1000 1000 /etc red\n")
    layout(
        here.place / "image", [shell(), archive([entry("etc/motd", b"new\n")])], {"Entrypoint": ["cat", "/etc/motd"]}
    )
    assert here.type("pull", "-q", *pulls.ACCEPT, "oci:image:v1")[0] == 0  # takes the old root away
    for runtime in ("native", "crun"):
        code, said = here.type("launch", "app", "--runtime", runtime)
        assert code == 125
        assert "is no longer in the store" in said
        assert "pull the same image again, or compose the bundle again" in said
    assert here.type("compose", *line[:4], "new", "oci:image:v1", "--", "-") == (0, "")
    assert here.type("launch", "new") == (0, "new\n")
    assert here.type("rmi", "oci:image:v1")[0] == 0
    assert here.type("launch", "new")[0] == 125
    assert here.type("pull", "-q", *pulls.ACCEPT, "oci:image:v1")[0] == 0
    assert here.type("launch", "new") == (0, "new\n")
    assert not any((here.place / "state/launches").glob("*"))


def test_a_bundle_does_not_run_an_image_that_it_does_not_name(caller: Puller) -> None:
    assert caller.type("compose", "-q", "-p", "./open.toml", "-o", "app", "oci:image:v1")[0] == 0
    path = caller.place / "app/config.json"
    document = json.loads(path.read_bytes())
    document["annotations"] = {name: text for name, text in document["annotations"].items() if "image" not in name}
    path.write_text(json.dumps(document))
    code, said = caller.type("launch", "app")
    assert (code, "does not name the image" in said) == (2, True), said


def test_no_bundle_writes_to_a_root_that_all_runs_share(here: Puller) -> None:
    """What it wrote, every later run of the image would take for that."""
    assert (
        here.type("compose", "-q", "-p", "./open.toml", "-o", "app", "oci:image:v1", "--", "echo x >/etc/motd")[0] == 0
    )
    path = here.place / "app/config.json"
    composed = path.read_bytes()
    lax = ("--set", "rootfs.read_only=false", "--exception", "rootfs.read_only=test", "--rootfs", "./image")
    mount = {"destination": "/etc", "type": "bind", "source": str(only(here) / "etc"), "options": ["rbind"]}
    for change in ({"root": {"path": str(only(here)), "readonly": False}}, {"mounts": [mount]}):
        path.write_text(json.dumps({**json.loads(composed), **change}))
        for runtime in ("native", "crun"):
            code, said = here.type("launch", "app", "--runtime", runtime)
            assert (code, "the root of an image stays read-only" in said) == (2, True), said
        if "root" in change:
            code, said = here.type("apply", "-p", "./open.toml", *lax, "app", "--in-place")
            assert (code, "config.json:/root/readonly" in said, "stays read-only" in said) == (2, True, True), said
            assert here.type("apply", "-p", "./open.toml", "app", "--in-place")[0] == 0
    assert (only(here) / "etc/motd").read_text() == "hello\n"


def test_a_bundle_runs_no_other_image_than_it_names(caller: Puller) -> None:
    layout(caller.place / "other", [shell()], CONFIG)
    assert caller.type("compose", "-q", "-p", "./open.toml", "-o", "app", "oci:image:v1", "--", "echo ran")[0] == 0
    assert caller.type("pull", "-q", *pulls.ACCEPT, "oci:other:v1")[0] == 0
    named = only_of(caller, "image")
    (other,) = {*(caller.place / "images/roots").glob("*/root")} - {named}
    path = caller.place / "app/config.json"
    composed = json.loads(path.read_bytes())
    (caller.place / "linked").symlink_to(caller.place / "images/roots")
    (caller.place / "app/plain").symlink_to(named)
    path.write_text(json.dumps({**composed, "root": {"path": str(other), "readonly": True}}))
    for line in (("launch", "app"), ("apply", "-p", "./open.toml", "app", "-o", "out.json")):
        code, said = caller.type(*line)
        assert (code, "binds the root of another" in said) == (2, True), said
    # However it is spelt.
    unnamed = {name: text for name, text in composed["annotations"].items() if "image" not in name}
    for spelt in (f"{caller.place}/linked/{named.parent.name}/root", f"{named}/etc/..", "plain"):
        root = {"path": spelt, "readonly": True}
        path.write_text(json.dumps({**composed, "root": root, "annotations": unnamed}))
        code, said = caller.type("launch", "app")
        assert (code, "does not name the image" in said) == (2, True), said


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (5, "must be an object"),
        ([1], "must be an object"),
        ({"org.hardening.image.store": "/a\0b"}, "neither a name nor a path"),
        ({"org.hardening.image.digest": "x:../../.."}, "is not a digest"),
    ],
)
def test_what_a_bundle_says_wrongly_of_its_image_is_told(caller: Puller, annotations: object, message: str) -> None:
    if isinstance(annotations, dict):
        named = {"org.hardening.image.reference": "oci:/image:v1", "org.hardening.image.store": "/srv"}
        annotations = {**named, **annotations}
    (caller.place / "app/rootfs").mkdir(parents=True)
    document = {
        "ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True}, "annotations": annotations,
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    }  # fmt: skip
    (caller.place / "app/config.json").write_text(json.dumps(document))
    code, said = caller.type("launch", "app")
    assert (code in (2, 125), message in said, "Traceback" in said) == (True, True, False), said


def test_an_image_of_a_bundle_that_runs_is_not_removed(caller: Puller) -> None:
    assert caller.type("compose", "-q", "-p", "./open.toml", "-o", "app", "oci:image:v1", "--", "sleep 600")[0] == 0
    code, said = caller.type("launch", "-d", "app")
    assert code == 0, said
    try:
        code, problem = caller.type("rmi", "oci:image:v1")
        assert (code, "is in use by" in problem) == (1, True), problem
    finally:
        assert caller.type("rm", "-f", said.strip())[0] == 0


def test_the_root_of_a_bundle_is_never_writable(caller: Puller) -> None:
    writable = ("--set", "rootfs.read_only=false", "--exception", "rootfs.read_only=test")
    code, said = caller.type("compose", "-q", "-p", "./open.toml", *writable, "-o", "app", "oci:image:v1")
    assert (code, "the root of an image stays read-only" in said) == (2, True), said
    assert not (caller.place / "app").exists()


def test_what_an_image_says_is_explained(caller: Puller) -> None:
    config = {**CONFIG, "Env": ["COLOUR=red", "1X=y", "SHAPE=round"], "Volumes": {"/data": {}}}
    layout(caller.place / "image", [shell()], config)
    stack = ("-p", "./open.toml", "-e", "SHAPE=square", "--exception", "process.set_environment.SHAPE=test")
    assert caller.type("pull", "-q", *pulls.ACCEPT, "oci:image:v1")[0] == 0
    code, said = caller.type("explain", "--json", *stack, "--image", "oci:image:v1")
    assert code == 0, said
    image = json.loads(said)["image"]
    assert image["reference"] == f"oci:{caller.place}/image:v1"
    found = {item["leaf"]: (item["said"], item["outcome"]) for item in image["says"]}
    assert found == {
        "process.user": ("1000:1000", "taken"),
        "process.cwd": ("/etc", "taken"),
        "process.set_environment.COLOUR": ("red", "taken"),
        "process.set_environment.SHAPE": ("round", "not taken"),
        "process.set_environment.1X": ("y", "not taken"),
        "rootfs.volumes./data": ("it wants to write to /data, which is read-only", "not taken"),
    }
    reasons = {item["leaf"]: item["because"] for item in image["says"]}
    assert "square is set at -e SHAPE=square" in reasons["process.set_environment.SHAPE"]
    assert "is not the name of a variable" in reasons["process.set_environment.1X"]
    leaf = json.loads(caller.type("explain", "--json", *stack, "--image", "oci:image:v1", "process.cwd")[1])
    assert (leaf["value"], leaf["origin"]) == ("/etc", f"image oci:{caller.place}/image:v1")
    said = caller.type("explain", *stack, "--image", "oci:image:v1", "process.set_environment")[1]
    assert "not taken  square is set at" in said
    # And the receipt of a run is held against the same composition.
    assert caller.type("run", "-q", "-p", "./open.toml", "--receipt", "r.json", "oci:image:v1", "true") == (0, "")
    assert caller.type("receipt", "-p", "./open.toml", "r.json")[0] == 1
    assert caller.type("receipt", "-p", "./open.toml", "--image", "oci:image:v1", "r.json")[0] == 0
    assert "rootfs" in caller.type("doctor", "-p", "./open.toml", "--image", "oci:image:v1")[1]


def test_an_entry_is_used_for_every_command_until_the_name_stands_for_another_image(here: Puller) -> None:
    entries = here.place / "state/cache"
    own = run(here)
    assert run(here) == own
    assert run(here, "cat motd") == run(here, "--", "cat motd") == (0, "hello\n")
    assert run(here, "echo one") == (0, "one\n")
    assert run(here) == own
    assert len(list(entries.glob("*/*/entry.json"))) == 1
    document = json.loads(next(entries.glob("*/*/bundle/config.json")).read_bytes())
    said = document["annotations"]
    assert said["org.hardening.image.reference"] == f"oci:{here.place}/image:v1"
    digest = said["org.hardening.image.digest"]
    layout(here.place / "image", [shell(), archive([entry("etc/motd", b"new\n")])], CONFIG)
    assert run(here, "cat motd") == (0, "hello\n")
    changed = run(here, "cat motd", options=("--pull=newer",))
    assert changed == (0, "new\n")
    assert run(here, "cat motd") == (0, "new\n")
    assert digest not in here.type("images", "--json")[1]
    shutil.rmtree(here.place / "image")
    code, said = here.type("run", "-p", "./open.toml", "--pull=newer", "oci:image:v1", "cat motd")
    assert (code, said.splitlines()[-1]) == (0, "new")
    assert "image:v1 is taken as it was pulled: " in said


def test_what_a_record_says_of_an_image(here: Puller) -> None:
    with audit.alone():  # with a daemon, the record would be in its log
        assert run(here)[0] == 0
        records = [json.loads(line) for line in here.type("log", "--json")[1].splitlines()]
    (image,) = json.loads(here.type("images", "--json")[1])
    records = records[0] if records and isinstance(records[0], list) else records
    assert image["digest"] in json.dumps(records)


def test_the_root_of_an_image_is_never_writable(caller: Puller) -> None:
    writable = ("--set", "rootfs.read_only=false", "--exception", "rootfs.read_only=test")
    code, said = run(caller, options=writable)
    assert code == 2
    assert "the root of an image stays read-only" in said
    assert "--tmpfs" in said


def test_no_command_writes_to_the_store_or_sees_it(here: Puller) -> None:
    """A later run would execute under the old digest what it wrote."""
    assert run(here)[0] == 0
    store, root = here.place / "images", only(here)
    line = ("run", "-q", "-p", "default")
    shell = ("--", "sh", "-c", "echo planted >/x/images/names/a; ls /x")
    for volume in (f"{store}:/x:ro", f"{store}/names:/x", f"{root}:/x:ro", f"{root}/etc:/x:rw", f"{here.place}:/x:rw"):
        code, said = here.type(*line, "-v", volume, *shell)
        assert (code, "must lie apart" in said) == (2, True), (volume, said)
    for path, reason in ((here.place, "apart"), (root, "runs by the name")):
        writable = ("--set", "rootfs.read_only=false", "--exception", "rootfs.read_only=test")
        code, said = here.type(*line, "--rootfs", str(path), *writable, *shell)
        assert (code, reason in said) == (2, True), said
    assert here.type(*line, "-v", f"{here.place}:/x:ro", "--", "ls", "/x/images") == (0, "")
    shown = ("-v", f"{here.place}:/x:ro", "--exception", "rootfs.volumes./x=test")
    assert run(here, "ls /x/images", options=shown) == (0, "")
    assert not (store / "names/a").exists()


def test_the_root_of_an_image_runs_by_its_name_alone(caller: Puller) -> None:
    """What is required of an image is asked where it is named: by its path it would run although it is refused."""
    assert run(caller)[0] == 0
    (caller.place / "link").symlink_to(only(caller))
    for path in (str(only(caller)), f"{only(caller)}/etc/..", "link", f"{only(caller)}/etc"):
        code, said = caller.type("run", "-p", "./open.toml", "--rootfs", path, "--", "true")
        assert (code, "runs by the name of that alone" in said, "name the image instead" in said) == (2, True, True), (
            said
        )
    other = {"ociVersion": "1.0.2", "root": {"path": str(only(caller))}, "process": {"args": ["true"], "cwd": "/"}}
    (caller.place / "config.json").write_text(json.dumps(other))
    code, said = caller.type("apply", "-p", "strict", "-o", "out.json", "config.json")
    assert (code, "runs by the name of that alone" in said) == (2, True), said


def test_what_the_policy_rejects_is_not_unpacked(caller: Puller) -> None:
    assert run(caller)[0] == 0
    before = only(caller)
    other = ("--set", 'namespaces.id_map="one-id"', "--exception", "namespaces.id_map=test")
    code, said = run(caller, options=("-p", "./none.toml", *other))
    assert (code, "is rejected by policy" in said) == (2, True), said
    assert only(caller) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rootfs", "/", "oci:image:v1"), "a root and the image oci:image:v1 are named at once"),
        (("--pull=never", "oci:other:v1"), "was not pulled"),
        (("--entrypoint", "", "oci:image:v1"), "names no command"),
        (("--entrypoint", "[1]", "oci:image:v1"), "not a JSON array"),
        (("--pull=always", "--", "id"), "--pull is about an image"),
        (("BusyBox", "--", "id"), "capital letters"),
        (("-p", "./none.toml", "true"), "-p ./none.toml -- true\nfor the image: "),
    ],
)
def test_lines_that_are_wrong(caller: Puller, words: tuple[str, ...], message: str) -> None:
    code, said = caller.type("run", "-q", "-p", "./open.toml", *words)
    assert code in (2, 125)
    assert message in said
    assert "hint:" in said


def test_a_command_without_two_dashes_is_told_apart_from_an_image(caller: Puller) -> None:
    """First, whatever becomes of the image; a word that names no command, or has `--` after it, means an image."""
    code, said = caller.type("run", "-q", "-p", "strict", "-e", "TOKEN=value", "sleep", "60")
    assert code == 2
    error, hint, other, remark = said.splitlines()
    assert error.startswith(
        'error: "sleep" is taken for an image: Running image docker://docker.io/library/sleep:latest'
    )
    assert hint.startswith("hint: a command of the host's own root goes after `--`: hardening run -q -p strict -e ")
    assert hint.endswith(" -- sleep …")
    assert other.startswith("for the image: ")
    assert remark.startswith("(TOKEN taken from your environment: ")
    assert "value" not in hint
    code, said = caller.type("run", "-q", "-p", "strict", "/bin/sh")
    assert code == 2
    assert "after `--`: hardening run -q -p strict -- /bin/sh\nfor the image: " in said
    for words in (("nosuchtool", "60"), ("sleep", "--", "60")):
        code, said = caller.type("run", "-q", "-p", "strict", *words)
        assert code == 2
        assert said.startswith("error: Running image docker://docker.io/library/")
        assert "/annotations" not in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("strict", "--", "echo", "a b"), "hardening run -q -p strict -- echo 'a b'"),
        (("strict", "true"), "hardening run -q -p strict -- true"),
        (("./a;b.toml", "--", "true"), "hardening run -q -p './a;b.toml' -- true"),
        (("-e", "A=hunter2", "strict", "--", "true"), "hardening run -q -e A -p strict -- true"),
        (("--env=A=a\nhunter2", "-p", "./a;b.toml", "strict"), "hardening run -q --env=A -p './a;b.toml' -p strict"),
        (
            ("-eA=hunter2", "--set", 'rootfs.tmpfs.add=["/a b"]', "-w", "/tmp", "strict"),
            "hardening run -q -eA -w /tmp -p strict",
        ),
        (("strict",), "hardening run -q -p strict"),
    ],
)
def test_the_name_of_a_profile_without_its_option_is_told_apart_from_an_image(
    caller: Puller, words: tuple[str, ...], line: str
) -> None:
    (caller.place / "a;b.toml").write_text("")
    code, said = caller.type("run", "-q", *words)
    assert code in (2, 125)
    assert " is taken for an image: " in said.splitlines()[0]
    assert said.splitlines()[1] == f"hint: did you mean: {line}"
    assert "hunter2" not in said
    assert ("\n(A taken from your environment" in said) is ("hunter2" in "".join(words))
    assert (" and --set rootfs.tmpfs.add left out: " in said) is ("--set" in words)
    code, said = caller.type("run", "-q", "nosuch", "--", "true")
    assert "did you mean" not in said


def test_an_option_after_the_image_is_no_word_of_its_command(caller: Puller) -> None:
    code, said = caller.type("run", "-q", "-p", "./open.toml", "oci:image:v1", "--tls-verify=false", "--", "id")
    assert code == 2
    assert said.startswith(
        "error: --tls-verify stands after the image oci:image:v1\nhint: options go before the image: "
    )
    assert "hardening run -q -p ./open.toml oci:image:v1 -- --tls-verify …" in said
    assert run(caller, "-c", "echo all") == (0, "all\n")  # not ours: the entrypoint gets it, as under podman
    code, said = caller.type("run", "sleep", "-v", "60")
    assert code == 2
    assert said.startswith('error: "sleep" is taken for an image: -v stands after the image sleep\n')


def test_an_image_runs_by_the_digits_that_are_shown(caller: Puller) -> None:
    assert run(caller)[0] == 0
    (image,) = json.loads(caller.type("images", "--json")[1])
    shown = image["digest"].removeprefix("sha256:")[:12]
    assert shown in caller.type("images")[1]
    line = ("run", "-q", "-p", "./open.toml")
    for word in (shown, image["digest"]):
        assert caller.type(*line, word, "--", "id -u") == (0, "1000\n")
    code, said = caller.type(*line, "--pull=always", shown)
    assert code == 2
    assert "leave out --pull=always" in said
    code, said = caller.type("run", "-q", "-p", "strict", shown)
    assert code == 2
    assert f"Running image oci:{caller.place}/image:v1 is rejected by policy" in said


def test_the_digits_of_an_image_with_two_names_are_no_name(caller: Puller) -> None:
    shutil.copytree(caller.place / "image", caller.place / "other")
    assert caller.type("pull", "-q", "-p", "./open.toml", "oci:image:v1")[0] == 0
    code, digest = caller.type("pull", "-q", "-p", "./open.toml", "oci:other:v1")
    assert code == 0
    code, said = caller.type("run", "-q", "-p", "./open.toml", digest.strip())
    assert code == 2
    assert (
        f"is called oci:{caller.place}/image:v1 and oci:{caller.place}/other:v1\nhint: write one of these names" in said
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("./image:v1", "for the OCI layout that is there, write oci:./image:v1"),
        ("./open.toml", "write docker-archive:./open.toml"),
        ("./empty", "for a root in that directory, write --rootfs ./empty"),
        ("./r;touch PWN", "write --rootfs './r;touch PWN';"),
        ("./nothing", "a host has letters"),
    ],
)
def test_a_path_that_is_typed_as_an_image_is_answered_by_what_lies_there(caller: Puller, text: str, hint: str) -> None:
    for name in ("empty", "r;touch PWN"):
        (caller.place / name).mkdir(exist_ok=True)
    for command in ("run", "pull"):
        code, said = caller.type(command, "-q", "-p", "./open.toml", text)
        assert code == 2
        assert hint in said.partition("\nhint: ")[2]


def test_an_image_that_runs_is_not_removed(here: Puller) -> None:
    code, said = run(here, "sleep 600", options=("-d", "--name", f"keeper-{os.getpid()}"))
    assert code == 0, said
    identity = said.strip()
    try:
        code, said = here.type("rmi", "oci:image:v1")
        assert code == 1
        assert "is in use by" in said
        assert here.type("rmi", "-f", "oci:image:v1")[0] == 0
        assert only(here).is_dir()
        assert here.type("images", "--json")[1] == "[]\n"
    finally:
        assert here.type("rm", "-f", identity)[0] == 0
    assert here.type("rmi", "-f", "oci:image:v1")[0] == 0
    assert not any((here.place / "images/roots").glob("*"))
    code, said = here.type("rmi", "oci:image:v1")
    assert (code, said.splitlines()[0]) == (1, "error: no such image: oci:image:v1")


def test_two_pulls_at_once_both_succeed(here: Puller) -> None:
    processes = [here.start("pull", "-q", *pulls.ACCEPT, "oci:image:v1") for _ in range(4)]
    said = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(said) == 1
    assert here.type("images", "--check")[0] == 0
    assert len(list((here.place / "images/roots").glob("*"))) == 1
    assert run(here)[0] == 0


def test_pulls_that_are_killed_leave_a_store_that_verifies(here: Puller) -> None:
    pulls.prepare(here.place)
    hand_over(here.place / "image1", here.user)
    hand_over(here.place / "image2", here.user)
    tally = pulls.kill_at_random(here, 6, seed=len(here.place.parts))
    assert tally.problems == []
    names = [f"oci:{here.place}/{name}" for name in ("image1", "missing", "image2")]
    code, said = here.type("rmi", *names)
    assert (code, f"no such image: {names[1]}" in said) == (1, True), said
    assert not any((here.place / "images/blobs").glob("*/*"))


def test_a_removal_that_is_killed_leaves_no_part_of_an_image_that_is_taken_for_it(caller: Puller) -> None:
    count = 3000
    many = archive([folder("many"), *(entry(f"many/{number}", b"") for number in range(count))])
    layout(caller.place / "image", [shell(), many], CONFIG)
    assert run(caller, "true")[0] == 0
    place = only(caller) / "many"

    def left() -> int:
        try:
            return len(os.listdir(place))
        except FileNotFoundError:
            return 0

    process = caller.start("rmi", "oci:image:v1")
    until(lambda: process.poll() is not None or left() < count)
    process.kill()
    process.communicate(timeout=60)
    assert run(caller, "ls /many")[1].count("\n") == count
    assert not any((caller.place / "images/partial").glob("*"))


def test_a_terminal_shows_how_far_a_pull_is(caller: Puller) -> None:
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [PROGRAM, "pull", *pulls.ACCEPT, "oci:image:v1"], cwd=caller.place, env={**caller.environment, "TERM": "xterm"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, text=True,
        )  # fmt: skip
        os.close(slave)
        seen = b""
        with suppress(OSError):  # EIO: nobody has the other side any more (pty(7))
            while piece := screen.read(4096):
                seen += piece
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert said.startswith("sha256:")
    assert b"unpacking" in seen
    assert "━" in seen.decode()
    drawn = re.findall(r"([0-9.]+)/([0-9.]+) (?:bytes|kB)", seen.decode())
    assert drawn[-1][0] == drawn[-1][1]


def test_a_full_disk_leaves_what_was_there(root: Puller) -> None:
    """On a file system of its own that has room for one image."""
    layout(root.place / "small", [archive([entry("a", b"x")])], {})
    layout(root.place / "large", [archive([entry("b", os.urandom(3 << 20))])], {})
    layout(root.place / "wide", [archive([entry("c", b"\0" * (8 << 20))])], {})  # which is small until it is unpacked
    pull = f"{PROGRAM} pull -q --set 'trust.default=\"accept\"'"
    script = f"""
        mkdir full && mount -t tmpfs -o size=4m,mode=711 none full || exit
        export HARDENING_IMAGES=$PWD/full/images
        {pull} oci:small || exit
        {pull} oci:large; echo "code $?"
        {pull} oci:wide; echo "code $?"
        {PROGRAM} images --check && {PROGRAM} images && ls full/images/partial | wc -l
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=root.place, env=dict(root.environment), capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.stdout.count("code 125") == 2, said
    assert done.stderr.count("No space left on device") == 2
    assert "`hardening rmi` removes images" in done.stderr
    assert "1 name," in done.stdout
    assert " 0 problems" in done.stdout
    assert f"oci:{root.place}/small" in done.stdout
    assert "/large" not in done.stdout
    assert "/wide" not in done.stdout
    assert done.stdout.splitlines()[-1] == "0"


def test_a_store_that_others_can_write_is_refused(caller: Puller) -> None:
    assert run(caller)[0] == 0
    (caller.place / "images").chmod(0o777)
    try:
        code, said = run(caller, "true")
        assert code == 125
        assert "other users can write to it" in said
    finally:
        (caller.place / "images").chmod(0o711)


def test_a_pull_that_is_interrupted_leaves_nothing_that_is_held(caller: Puller) -> None:
    process = caller.start("pull", "-q", *pulls.ACCEPT, "oci:image:v1")
    until(lambda: any((caller.place / "images/partial").glob("*")) or process.poll() is not None)
    process.terminate()
    process.communicate(timeout=60)
    assert caller.type("pull", "-q", *pulls.ACCEPT, "oci:image:v1")[0] == 0
    assert not any((caller.place / "images/partial").glob("*"))
    shutil.rmtree(caller.place / "image")
    assert run(caller)[0] == 0
