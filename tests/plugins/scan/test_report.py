"""What was found, as a table, as JSON and as SARIF: of every kind, with names of every byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

import attrs
import pytest

from hardening.mechanism import scanner
from hardening.mechanism.scanner import Detection, Package
from hardening.report.table import plain
from hardening_scan import Scan, report
from hardening_scan.examine import Scanned
from hardening_scan.settings import ScanSettings
from tests.support import sarif
from tests.support.texts import composed

NAMES = (
    "plain",
    "line\nbreak",
    "\x1b[31mred\x9b",
    os.fsdecode(b"bytes\xff\xfe"),
    "a b%20c?d#e:f",
    'q"\\<>^`{|}',
    "ü/..x/€",
)
FOUND = tuple(Detection(kind, f"/d/{name}", f"detail {name}") for kind in scanner.KINDS for name in NAMES)
SCANNED = Scanned((*FOUND, Detection("unread", "/", "the rest is not looked at")), (Package("rpm", "a", "1"),), 9)


def settings(text: str = "") -> ScanSettings:
    found = composed(text, by=[Scan()]).settings["scan"]
    assert isinstance(found, ScanSettings)
    return found


@pytest.mark.parametrize("name", [".", "/", "/tmp/a b\udcff", "registry.example.com/team/app:v1"])
def test_sarif_of_every_kind_follows_the_schema(name: str) -> None:
    log = report.as_sarif(name, SCANNED, settings())
    sarif.check(log)
    json.dumps(log, ensure_ascii=False).encode()  # no byte of a name that is no UTF-8 is left
    driver = log["runs"][0]["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == sorted(
        f"scan/{kind.replace('_', '-')}" for kind in scanner.KINDS
    )
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in driver["rules"])
    sarif.check(report.as_sarif(name, Scanned((), (), 0), settings()))


def test_the_place_of_a_result_is_its_file_below_the_root(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    (run,) = report.as_sarif(str(link), SCANNED, settings())["runs"]
    base = run["originalUriBaseIds"]["ROOT"]["uri"]
    assert base == f"file://{tmp_path}/"
    for item, result in zip(SCANNED.findings, run["results"], strict=True):
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        path = unquote_to_bytes(urljoin(base, artifact["uri"]).removeprefix("file://"))
        assert path == os.fsencode(f"{tmp_path}{item.path}")
        assert location["logicalLocations"] == [{"fullyQualifiedName": f"scan.{item.kind}"}]
    assert "uri" not in report.as_sarif("busybox", SCANNED, settings())["runs"][0]["originalUriBaseIds"]["ROOT"]


def test_what_is_denied_is_an_error_and_all_else_a_warning() -> None:
    gate = settings("[scan]\nsetuid = ['/d/plain']")
    (run,) = report.as_sarif(".", SCANNED, gate)["runs"]
    levels = {item: result["level"] for item, result in zip(SCANNED.findings, run["results"], strict=True)}
    errors = {item for item, level in levels.items() if level == "error"}
    assert errors == {item for item in levels if item.kind in ("setuid", "unread") and item.path != "/d/plain"}
    assert set(levels.values()) == {"error", "warning"}


def test_what_an_image_has_and_its_root_has_not_is_told_and_refused_where_it_is_denied() -> None:
    device, more = (
        Detection("devices", "/dev/sda", "device node, left out"),
        Detection("unread", "/", "9 more were left out"),
    )
    scanned = attrs.evolve(SCANNED, findings=(), left_out=(device, more), hiding={more: frozenset({"devices"})})
    for text, refused in (
        ("devices = 'deny'", {device, more}),
        ("devices = ['/dev/sda']", {more}),
        ("credentials = 'deny'", set()),
    ):
        gate = settings(f"[scan]\n{text}")
        log = report.as_sarif("busybox", scanned, gate)
        sarif.check(log)
        levels = ["error" if item in refused else "note" for item in (device, more)]
        assert [item["level"] for item in log["runs"][0]["results"]] == levels
        said = "refused" if device in refused else "left out"
        assert f"\n{said} " in plain(report.table(scanned, gate))
        assert f"0 findings, {len(refused)} refused, 2 left out" in report.summary(scanned, gate)
        data = json.loads(report.as_json("busybox", scanned, gate))["left_out"]
        assert [(item["path"], item["denied"]) for item in data] == [
            ("/dev/sda", device in refused),
            ("/", more in refused),
        ]
        assert report.unused(scanned, gate) == ()


def test_a_result_keeps_its_fingerprint_while_only_its_detail_changes() -> None:
    def fingerprints(*found: Detection) -> list[str]:
        (run,) = report.as_sarif(".", Scanned(found, (), 1), settings())["runs"]
        return [result["partialFingerprints"]["place/v1"] for result in run["results"]]

    one, other = fingerprints(Detection("setuid", "/a", "mode 4755"), Detection("setuid", "/a", "mode 4711"))
    assert one == other
    different = fingerprints(
        Detection("setuid", "/a", "x"), Detection("setgid", "/a", "x"), Detection("setuid", "/b", "x"),
        Detection("external", "/a", "tool: CVE-1"), Detection("external", "/a", "tool: CVE-2"),
    )  # fmt: skip
    assert len(set(different)) == 5


def test_what_is_permitted_and_not_there_is_told_where_it_was_looked_at() -> None:
    gate = settings(
        "[scan]\nsetuid = ['/d/plain', '/d', '/gone', '/shut/x']\nsetgid.allow = ['/gone']\ndevices = ['/gone']"
    )
    whole = Scanned(
        (Detection("setuid", "/d/plain", ""), Detection("devices", "/gone2", ""), Detection("unread", "/shut", "")),
        (),
        2,
    )
    assert report.unused(whole, gate) == (("setuid", "/gone"), ("devices", "/gone"))
    assert report.unused(SCANNED, gate) == ()  # the rest was not looked at


def test_a_table_and_json_drive_no_terminal() -> None:
    gate = settings("scan.setuid = 'deny'")
    shown = plain(report.table(SCANNED, gate))
    assert len(shown.splitlines()) == 1 + len(SCANNED.findings)
    assert "refused  setuid" in shown
    said = report.as_json("./root", SCANNED, gate)
    for text in (shown, said):
        assert text.replace("\n", "").isprintable()
    data = json.loads(said)
    assert [item["path"] for item in data["findings"]] == [item.path for item in SCANNED.findings]
    assert {item["kind"] for item in data["findings"] if item["denied"]} == {"setuid", "unread"}
    assert data["packages"] == [{"manager": "rpm", "name": "a", "version": "1", "architecture": ""}]
    assert plain(report.packages(SCANNED)).splitlines()[1] == "rpm      a        1"
    assert report.summary(SCANNED, gate).endswith("refused; packages: 1 of rpm")
