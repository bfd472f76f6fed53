"""Entry points of installed packages: as importlib.metadata finds them."""

from __future__ import annotations

import site
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from hardening.plugin.installed import Brought, awaited, brought, everything


@pytest.mark.parametrize("group", ["hardening", "hardening.profiles", "console_scripts", "pytest11", "no.such.group"])
def test_the_same_as_importlib_metadata(group: str) -> None:
    """Of every group: names, values, and from where."""
    found = {
        (entry.name, entry.value, entry.dist.name if entry.dist else "", entry.dist.version if entry.dist else "")
        for entry in metadata.entry_points(group=group)
    }
    assert {(one.name, one.value, one.distribution, one.version) for one in brought(group)} == found


def distribution(place: Path, folder: str, headers: str, entries: str, file: str = "METADATA") -> None:
    info = place / folder
    info.mkdir(parents=True)
    (info / file).write_text(headers)
    (info / "entry_points.txt").write_text(entries)


def test_comments_other_groups_and_long_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = (
        "Metadata-Version: 2.1\nName: Acme.Tools\nVersion: 1.2\nLicense: long\n Name: not this one\n\nName: a README\n"
    )
    entries = "# a comment\n[console_scripts]\nx = y:z\n\n[acme.group]\n one = acme.tools:Nested.thing [extra] \n"
    distribution(tmp_path, "acme_tools-1.2.dist-info", headers, entries)
    monkeypatch.syspath_prepend(tmp_path)
    assert brought("acme.group") == [Brought("one", "acme.tools:Nested.thing [extra]", "Acme.Tools", "1.2")]
    assert {entry.value for entry in metadata.entry_points(group="acme.group")} == {"acme.tools:Nested.thing [extra]"}


def test_the_first_of_two_copies_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name, version in ((tmp_path / "a", "acme_tools-1.0", "1.0"), (tmp_path / "b", "Acme.Tools-2.0", "2.0")):
        headers = f"Name: acme-tools\nVersion: {version}\n"
        distribution(place, f"{name}.dist-info", headers, f"[acme.group]\none = acme{version[0]}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "missing"), *sys.path])
    assert [(one.value, one.version) for one in brought("acme.group")] == [("acme1", "1.0")]


def test_a_source_tree_of_setuptools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = "Name: acme\nVersion: 3\n"
    distribution(tmp_path, "acme.egg-info", headers, "[acme.group]\none = acme\n", file="PKG-INFO")
    monkeypatch.syspath_prepend(tmp_path)
    assert brought("acme.group") == [Brought("one", "acme", "acme", "3")]


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(
        tmp_path, "acme-1.dist-info", "Name: acme\nVersion: 1\n", "[acme.group]\none = acme\n[acme.other]\ntwo = x\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    read = everything()
    (tmp_path / "acme-1.dist-info/entry_points.txt").unlink()
    assert brought("acme.group", read) == [Brought("one", "acme", "acme", "1")]
    assert brought("acme.other", read) == [Brought("two", "x", "acme", "1")]
    assert brought("acme.group") == []


def test_what_an_entry_names_is_imported() -> None:
    assert Brought("x", "hardening.plugin.installed", "", "").load() is sys.modules["hardening.plugin.installed"]
    assert Brought("x", "hardening.plugin.installed : Brought.load [extra]", "", "").load() is Brought.load
    with pytest.raises(AttributeError):
        Brought("x", "hardening.plugin.installed:nothing", "", "").load()
    with pytest.raises(ImportError):
        Brought("x", "no_such_module:x", "", "").load()


def test_a_composition_imports_no_importlib_metadata() -> None:
    code = (
        "import sys; from hardening.plugin.plugins import load, shipped_profiles; load(); shipped_profiles();"
        "from hardening.cli.added import installed; installed(());"
        "print(*({'importlib.metadata', 'email', 'zipfile', 'difflib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_site_would_put_on_the_path_if_it_existed_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "some.pth").write_text("# /comment\nimport os\n\nbelow\n/somewhere/else \npresent\n")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages), str(tmp_path / "second")])
    monkeypatch.setattr(sys, "path", [str(packages), str(packages / "present")])
    assert list(awaited()) == [str(packages / "below"), "/somewhere/else", str(tmp_path / "second")]
