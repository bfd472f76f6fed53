"""`plugins/hardening_scan`: runs that are gated are refused with the paths and the smallest loosening, or run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import pytest

from hardening.mechanism import host, inputs
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.scanner import EXTERNAL, Detection, RootEntry, Scanner
from hardening.mechanism.used import Used
from hardening_scan import Scan, hardening_inputs
from hardening_scan.scanners import SCANNERS
from tests.support import forking
from tests.support.features import require
from tests.support.images import archive, entry, layout, shell
from tests.support.runs import busybox_root, hand_over, workplace
from tests.support.texts import composed
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

WHO = ("caller", "user") if os.geteuid() == 0 else ("caller",)
GATE = '[scan]\ncredentials = "deny"\nsetuid = "deny"\n'
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
PERMIT = """extends = ["./gate.toml"]
[scan]
credentials.allow = ["/etc/key"]
setuid.allow = ["/bin/both"]
[[exceptions]]
setting = "scan.credentials./etc/key"
reason = "a test"
[[exceptions]]
setting = "scan.setuid./bin/both"
reason = "a test"
"""
#: What no root here has, or an ordinary user's has not.
LEFT_OUT = (
    entry("dev/sda", kind=tarfile.BLKTYPE, device=(8, 0)),
    entry("bin/ping", b"", mode=0o755, pax={"SCHILY.xattr.security.capability": "x"}),
    entry("bin/both", b"", mode=0o6755),
)
TRUST = '[trust]\ndefault = "accept"\n'


class Typed:
    """A place where somebody types commands."""

    def __init__(self, place: Path, user: User | None, digest: str) -> None:
        self.place, self.user, self.digest = place, user, digest

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        base = os.environ if self.user is None else self.user.environment
        own = {"HARDENING_STATE": f"{self.place}/state", "HARDENING_IMAGES": f"{self.place}/images"}
        return forking.typed(self.user, *words, cwd=self.place, env={**base, **own})


@pytest.fixture(scope="module", params=WHO)
def here(request: pytest.FixtureRequest) -> Iterator[Typed]:
    require("userns")
    user = ordinary() if request.param == "user" else None
    with workplace(user) as place:
        busybox_root(place / "root")
        (place / "root/etc").mkdir(exist_ok=True)
        (place / "root/etc/key").write_text(KEY)
        (place / "gate.toml").write_text(f'extends = ["default"]\n{GATE}')
        (place / "permit.toml").write_text(PERMIT)
        (place / "trust.toml").write_text(TRUST)
        digest = layout(place / "image", [shell(), archive([entry("etc/key", KEY.encode()), *LEFT_OUT])], {})
        hand_over(place, user)
        typed = Typed(place, user, digest)
        yield typed
        typed.type("rmi", "-f", "oci:image:v1")


def test_a_gated_run_is_refused_and_runs_where_the_path_is_allowed(here: Typed) -> None:
    run = ("-q", "--rootfs", "./root", "--", "/bin/sh", "-c", "echo ran")
    assert here.type("run", "-p", "default", *run).stdout == "ran\n"
    refused = here.type("run", "-p", "./gate.toml", *run)
    assert refused.returncode == 2
    assert "scan.credentials denies: /etc/key (private key (PEM))" in refused.stderr
    assert "gate.toml:3" in refused.stderr
    assert "--exception scan.credentials./etc/key=REASON" in refused.stderr
    assert refused.stdout == ""
    assert KEY.splitlines()[1] not in refused.stderr
    assert here.type("run", "-p", "./permit.toml", *run).stdout == "ran\n"
    # a directory is scanned at each run
    (here.place / "root/etc/new").write_text(KEY)
    again = here.type("run", "-p", "./permit.toml", *run)
    (here.place / "root/etc/new").unlink()
    assert again.returncode == 2
    assert "/etc/new" in again.stderr


def test_the_hint_is_what_permits_the_run(here: Typed) -> None:
    words = ("run", "-q", "-p", "./gate.toml", "--rootfs", "./root", "--set", 'scan.credentials.allow=["/etc/key"]')
    refused = here.type(*words, "--", "/bin/sh", "-c", "echo ran")
    assert refused.returncode == 2
    assert "scan.credentials./etc/key" in refused.stderr
    permitted = here.type(*words, "--exception", "scan.credentials./etc/key=test", "--", "/bin/sh", "-c", "echo ran")
    assert permitted.stdout == "ran\n", permitted.stderr


def test_the_host_s_own_root_is_not_admitted_and_the_hint_says_how_to_go_without(here: Typed) -> None:
    refused = here.type("run", "-q", "-p", "./gate.toml", "--", "true")
    assert refused.returncode == 2
    assert "the host's own root is not scanned" in refused.stderr
    options = shlex.split(refused.stderr.partition("without a scan: ")[2])
    assert options[:2] == ["--set", "scan.setuid=allow"]
    permitted = here.type("run", "-q", "-p", "./gate.toml", *options, "--", "/bin/sh", "-c", "echo ran")
    assert permitted.stdout == "ran\n", permitted.stderr


@pytest.mark.parametrize(("path", "words"), [("root", ()), ("root", ("-o", "tight.json")), ("../root", ("--check",))])
def test_a_configuration_made_elsewhere_is_gated_by_the_root_that_it_names(
    here: Typed, path: str, words: tuple[str, ...]
) -> None:
    bundle = here.place if path == "root" else here.place / "bundle"
    bundle.mkdir(exist_ok=True)
    document = {"ociVersion": "1.0.2", "process": {"args": ["true"], "cwd": "/"}, "root": {"path": path}}
    (bundle / "config.json").write_text(json.dumps(document))
    refused = here.type("apply", "-q", "-p", "./gate.toml", *words, str(bundle / "config.json"))
    assert refused.returncode == 2, refused.stdout
    assert "scan.credentials denies: /etc/key (private key (PEM))" in refused.stderr
    assert refused.stdout == ""
    assert not (here.place / "tight.json").exists()
    if not words:
        permitted = here.type("apply", "-q", "-p", "./permit.toml", str(bundle / "config.json"))
        assert permitted.returncode == 0, permitted.stderr
        assert json.loads(permitted.stdout)["root"]["readonly"] is True


def test_what_scanners_look_at_beside_an_image_decides_how_long_its_verdict_counts() -> None:
    class Silent(Scanner):
        name = "silent"
        summary = "asks for nothing"
        kinds = (EXTERNAL,)

        def entry(self, entry: RootEntry) -> Iterable[Detection]:
            return ()

    class Telling(Silent):
        name = "telling"

        def inputs(self) -> Inputs:
            return inputs.file("/etc/hostname")

    def looked(*scanners: Scanner, denied: str = "external") -> list[Input | Unknown]:
        found = composed(f'[scan]\n{denied} = "deny"\n', by=[Scan()])
        image = Used("example.com/app:1", f"sha256:{'1' * 64}", Path("/store"))
        by_name = {scanner.name: scanner for scanner in (*SCANNERS, *scanners)}
        return list(hardening_inputs(attrs.evolve(found, image=image), host.plain(), lambda: by_name))

    assert looked() == []
    assert looked(Telling()) == list(inputs.file("/etc/hostname"))
    assert looked(Telling(), Silent()) == [
        Unknown("the scanner silent does not say what it looks at"),
        *inputs.file("/etc/hostname"),
    ]
    assert looked(Silent(), denied="setuid") == []


def test_an_image_is_gated_and_its_verdict_goes_with_its_plan(here: Typed) -> None:
    words = ("-p", "./trust.toml", "oci:image:v1")
    pulled = here.type("pull", *words)
    assert pulled.returncode == 0, pulled.stderr
    run = ("-q", "-p", "./trust.toml", "oci:image:v1", "--", "/bin/sh", "-c", "echo ran")
    refused = here.type("run", "-p", "./gate.toml", *run)
    assert refused.returncode == 2
    assert "/etc/key (private key (PEM))" in refused.stderr
    for _ in range(2):
        assert here.type("run", "-p", "./permit.toml", *run).stdout == "ran\n"
    digest = pulled.stdout.strip()
    never = ("--pull=never", "--tls-verify=false")
    assert "/etc/key   private key" in here.type("scan", *never, *words[:2], digest.removeprefix("sha256:")[:12]).stdout
    missing = here.type("scan", *never, *words[:2], "oci:other")
    assert (missing.returncode, "was not pulled" in missing.stderr) == (125, True)
    explained = here.type("trust", "explain", *words[:2], digest)
    assert explained.stdout.startswith(f"image:    oci:{here.place}/image:v1\n")
    scanned = here.type("scan", "--json", "-p", "./gate.toml", *words)
    assert scanned.returncode == 1
    data = json.loads(scanned.stdout)
    found = {(item["kind"], item["path"]) for item in data["findings"] if item["denied"]}
    assert data["digest"] == here.digest
    left_out = {(item["kind"], item["path"]) for item in data["left_out"]}
    rights = {("setuid", "/bin/both"), ("setgid", "/bin/both")}
    kept = os.geteuid() == 0 and here.user is None
    denied = {(item["kind"], item["path"]) for item in (*data["findings"], *data["left_out"]) if item["denied"]}
    assert denied == {("credentials", "/etc/key"), ("setuid", "/bin/both")}  # the same, whoever asks
    assert found - rights == {("credentials", "/etc/key")}
    assert left_out - rights == {("devices", "/dev/sda"), ("file_capabilities", "/bin/ping")}
    assert (rights <= left_out) == (not kept)
