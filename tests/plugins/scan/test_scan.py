"""`plugins/hardening_scan/examine.py`: what is found in roots with planted problems, and in hostile ones: exactly what was
planted, as root and as an ordinary user, and without anything of the root being run or opened that must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.images.ids import Ids
from hardening_scan import Scan, examine, walk
from hardening_scan.scanners import SCANNERS
from hardening_scan.settings import ScanSettings
from tests.support import sarif
from tests.support.features import require
from tests.support.forking import typed
from tests.support.runs import hand_over, workplace
from tests.support.texts import composed
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PROGRAM = str(Path(sys.executable).with_name("hardening"))
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
WHO = ("caller", "user") if os.geteuid() == 0 else ("caller",)
#: Version 2 of the attribute: cap_net_raw, permitted and effective (capabilities(7)).
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")


@pytest.fixture(params=WHO)
def who(request: pytest.FixtureRequest) -> User | None:
    require("userns")
    return ordinary() if request.param == "user" else None


@pytest.fixture
def place(who: User | None) -> Iterator[Path]:
    with workplace(who) as found:
        yield found


def scan(who: User | None, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return typed(who, "scan", *words, cwd=place, env=os.environ if who is None else who.environment)


def put(root: Path, path: str, text: str = "text\n", mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def found(who: User | None, place: Path, *words: str) -> set[tuple[str, str]]:
    done = scan(who, place, "--json", *words, "./root")
    assert done.returncode in (0, 1), done.stderr
    return {(item["kind"], item["path"]) for item in json.loads(done.stdout)["findings"]}


def test_what_is_found_is_what_was_planted_and_nothing_is_run(who: User | None, place: Path) -> None:
    root = place / "root"
    ran = place / "ran"
    put(root, "bin/plain", f"#!/bin/sh\ntouch {ran}\n", 0o755)
    put(root, "etc/ssl/cert.pem", "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0B\n")
    put(root, "usr/share/doc/keys.txt", "A file begins with -----BEGIN PRIVATE KEY-----.\n")
    (root / "tmp").mkdir()
    (root / "var").mkdir()
    put(root, "var/open", mode=0o666)
    put(root, "etc/ssl/private/key.pem", KEY, 0o600)
    put(root, "root/.aws/credentials", "[default]\naws_secret_access_key = planted\n")
    put(root, "root/.docker/config.json", '{"auths": {"r": {"auth": "cGxhbnRlZA=="}}}')
    put(root, "home/a/.netrc", "machine h login a password planted\n")
    put(root, "home/a/.pgpass", "h:5432:d:u:planted\n")
    put(root, "var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1-2\nArchitecture: all\n\n")
    os.mkfifo(root / "var/fifo")
    planted = {
        ("setuid", "/bin/su"),
        ("setgid", "/bin/wall"),
        ("world_writable", "/srv"),
        ("world_writable", "/var/open"),
        ("world_writable", "/var/fifo"),
        *(("credentials", path) for path in ("/etc/ssl/private/key.pem", "/root/.aws/credentials",
          "/root/.docker/config.json", "/home/a/.netrc", "/home/a/.pgpass")),
    }  # fmt: skip
    put(root, "bin/su", f"#!/bin/sh\ntouch {ran}\n")
    put(root, "bin/wall")
    (root / "srv").mkdir()
    if os.geteuid() == 0 and who is None:
        os.mknod(root / "var/null", 0o600 | 0o020000, os.makedev(1, 3))
        put(root, "bin/ping", mode=0o755)
        os.setxattr(root / "bin/ping", "security.capability", NET_RAW)
        planted |= {("devices", "/var/null"), ("file_capabilities", "/bin/ping")}
    hand_over(place, who)
    for path, mode in (("bin/su", 0o4755), ("bin/wall", 0o2755), ("srv", 0o777), ("tmp", 0o1777), ("var/fifo", 0o666)):
        (root / path).chmod(mode)
    done = scan(who, place, "--json", "./root")
    data = json.loads(done.stdout)
    assert {(item["kind"], item["path"]) for item in data["findings"]} == planted
    assert data["packages"] == [{"manager": "dpkg", "name": "a", "version": "1-2", "architecture": "all"}]
    assert "planted" not in done.stdout
    assert KEY.splitlines()[1] not in done.stdout
    assert done.returncode == 0
    assert not ran.exists()


def test_hostile_roots_lead_nowhere(who: User | None, place: Path) -> None:
    root, outside = place / "root", place / "outside"
    put(outside, "key", KEY)
    put(outside, "lib/dpkg/status", "Package: outside\nVersion: 1\n\n")
    root.mkdir()
    (root / "key").symlink_to(outside / "key")
    (root / "up").symlink_to("../outside")
    (root / "var").symlink_to("../outside")  # the list of packages is looked for inside the root alone
    (root / "loop").symlink_to("loop")
    (root / "self").symlink_to("/proc/self/root")
    os.mkfifo(root / "id_rsa")
    (root / "lib/apk/db").mkdir(parents=True)
    os.mkfifo(root / "lib/apk/db/installed")
    put(root, "var2/line\nbreak", KEY)
    put(root, "var2/\x1b[31mred\x9b", KEY)
    (root / "var2" / os.fsdecode(b"bytes\xff")).write_text(KEY)
    hand_over(place, who)
    unread = ("unread", "/lib/apk/db/installed")
    names = ("line\nbreak", "\x1b[31mred\x9b", os.fsdecode(b"bytes\xff"))
    assert found(who, place) == {unread, *(("credentials", f"/var2/{name}") for name in names)}


def test_a_list_of_packages_that_is_none_concerns_who_judges_by_it(tmp_path: Path) -> None:
    require("userns")
    put(tmp_path, "var/lib/dpkg/status", "no list\n")
    for text, denied in (("", False), ("scan.devices = 'deny'", False), ("scan.external = 'deny'", True)):
        gate = composed(text, by=[Scan()]).settings["scan"]
        assert isinstance(gate, ScanSettings)
        scanned = examine.examine(str(tmp_path), SCANNERS, Ids())
        assert [(item.kind, item.path) for item in scanned.findings] == [("unread", "/var/lib/dpkg/status")]
        assert bool(scanned.denied(gate)) == denied


def test_what_nobody_may_read_is_told_and_is_no_acceptance() -> None:
    require("userns")
    user = ordinary() if os.geteuid() == 0 else None
    with workplace(user) as place:
        put(place / "root", "closed/file")
        put(place / "root", "mine", KEY)
        hand_over(place, user)
        if user is not None:
            os.chown(place / "root/closed", 0, 0)  # root itself may read everything, and everybody what is their own
            (place / "root/closed").chmod(0o700)
        done = scan(user, place, "--json", "--set", "scan.devices=deny", "./root")
    data = json.loads(done.stdout)["findings"]
    closed = {("unread", "/closed", True)} if user is not None else set()
    assert {(item["kind"], item["path"], item["denied"]) for item in data} == {("credentials", "/mine", False), *closed}
    assert done.returncode == (1 if closed else 0)


def test_another_file_system_is_not_entered(tmp_path: Path) -> None:
    require("userns")
    put(tmp_path / "root", "proc/x")
    script = f"mount -t proc none {tmp_path}/root/proc && exec {PROGRAM} scan --json {tmp_path}/root"
    words = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sh", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    items = json.loads(done.stdout)["findings"]
    assert [(item["kind"], item["path"]) for item in items] == [("unread", "/proc")], done.stderr


def test_limits_are_told_and_keep_the_rest_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(50):
        (root / f"f{number}").touch()
        (root / f"f{number}").chmod(0o666)
    deep = root
    for _ in range(6):
        deep = deep / "d"
        deep.mkdir()
    limits = walk.WalkLimits(entries=20, depth=5, findings=10)
    for one in (
        walk.WalkLimits(entries=20),
        walk.WalkLimits(depth=5),
        walk.WalkLimits(findings=10),
        walk.WalkLimits(text=100),
        limits,
    ):
        scanned = examine.examine(str(root), SCANNERS, Ids(), one)
        assert any(item.kind == "unread" for item in scanned.findings)
        assert len(scanned.findings) <= one.findings + 3
    assert not any(item.kind == "unread" for item in examine.examine(str(root), SCANNERS, Ids()).findings)


def test_many_findings_of_one_kind_hide_none_of_another(tmp_path: Path) -> None:
    require("userns")
    for number in range(50):
        put(tmp_path, f"open/f{number}", mode=0o666)
    put(tmp_path, "zz/su", mode=0o4755)
    scanned = examine.examine(str(tmp_path), SCANNERS, Ids(), walk.WalkLimits(findings=10))
    for text, denied in (
        ("scan.setuid = 'deny'", [("setuid", "/zz/su")]),
        ("scan.setgid = 'deny'", []),
        ("scan.world_writable = ['/open']", [("unread", "/")]),
    ):
        gate = composed(text, by=[Scan()]).settings["scan"]
        assert isinstance(gate, ScanSettings)
        assert [(item.kind, item.path) for item in scanned.denied(gate)] == denied


def test_the_command_writes_sarif(tmp_path: Path) -> None:
    require("userns")
    put(tmp_path / "root", "key", KEY)
    done = scan(None, tmp_path, "--sarif", "--set", "scan.credentials=deny", "./root")
    assert done.returncode == 1
    log = json.loads(done.stdout)
    sarif.check(log)
    (result,) = log["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("scan/credentials", "error")
    assert result["message"]["text"] == "/key: private key (PEM)"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "key", "uriBaseId": "ROOT"}
    assert log["runs"][0]["originalUriBaseIds"]["ROOT"]["uri"] == f"file://{tmp_path}/root/"


@pytest.mark.parametrize("words", [("--json", "--sarif", "./root"), ("root",), ("./absent",), ("./root/key",)])
def test_bad_usage_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    put(tmp_path / "root", "key", KEY)
    done = scan(None, tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr


def test_an_image_that_is_typed_as_a_root_is_named_by_its_transport(tmp_path: Path) -> None:
    put(tmp_path / "image", "oci-layout", "{}")
    for word in ("./image", "./image:v1"):
        done = scan(None, tmp_path, word)
        assert done.returncode == 2
        assert f"hint: for the OCI layout that is there, write oci:{word}\n" in done.stderr
