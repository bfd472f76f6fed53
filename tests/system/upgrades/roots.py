"""Roots to compare: releases of Debian, and packages of PyPI and npm above one. Packages come with all that they depend on,
unpacked and not configured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Of a root that nobody configures: users, a shell by its name.
_USERS = ("passwd", "group")
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: The release that packages of PyPI and npm lie above, its Python, where it looks for modules, and platforms of wheels.
BELOW, _PYTHON, MODULES = "bookworm", "3.11", "usr/lib/python3/dist-packages"
_PLATFORMS = ("manylinux2010_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")


def root(folder: Path, name: str, packages: Sequence[str]) -> Path:
    """The root of a name below a folder, made where it is not there yet: a release of Debian with these packages, or that of
    `BELOW` with ``pip:NAME==VERSION`` or ``npm:NAME@VERSION``. Needs the registry of it."""
    registry, _, package = name.rpartition(":")
    place = folder / name.replace("/", "+")
    if (place / "made").exists():
        return place
    if place.exists():  # it was left half made
        subprocess.run(["rm", "-rf", place], check=True)
    if registry:
        subprocess.run(["cp", "-al", root(folder, BELOW, packages), place], check=True)
        (place / "made").unlink()
        {"pip": _of_pypi, "npm": _of_npm}[registry](place, package)
    else:
        _debian(folder, place, name, packages)
    (place / "made").touch()
    return place


def _debian(folder: Path, place: Path, suite: str, packages: Sequence[str]) -> None:
    apt = _apt(folder / f"{suite}.apt", suite)
    subprocess.run([*apt, "update"], check=True)
    command = [*apt, "--yes", "install", *packages]
    printed = subprocess.run([*command, "--print-uris"], check=True, capture_output=True, text=True).stdout
    files = [line.split()[1] for line in printed.splitlines()]
    subprocess.run([*command, "--download-only"], check=True)
    place.mkdir()
    # What makes `/bin` a link comes first.
    for name in sorted(files, key=lambda name: not name.startswith("base-files")):
        subprocess.run(["dpkg-deb", "-x", folder / f"{suite}.apt/archives/{name}", place], check=True)
    for name in _USERS:
        (place / "etc" / name).write_bytes((place / f"usr/share/base-passwd/{name}.master").read_bytes())
    if not (place / "bin/sh").exists():
        (place / "bin/sh").symlink_to("dash")


def _of_pypi(place: Path, package: str) -> None:
    words = [
        "install",
        "-q",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        _PYTHON,
        "--implementation",
        "cp",
    ]
    platforms = (word for name in _PLATFORMS for word in ("--platform", name))
    subprocess.run(
        [sys.executable, "-m", "pip", *words, *platforms, "--target", place / MODULES, "--upgrade", package], check=True
    )


def _of_npm(place: Path, package: str) -> None:
    name = package.rpartition("@")[0]
    module = place / "usr/lib/node_modules" / name
    module.mkdir(parents=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", module, package], check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    subprocess.run(["tar", "-xzf", module / packed, "-C", module, "--strip-components=1"], check=True)
    (module / packed).unlink()


def _apt(state: Path, suite: str) -> list[str]:
    """apt-get with lists and archives of its own, for one release."""
    for name in ("lists/partial", "archives/partial", "etc"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    source = state / "etc/sources.list"
    source.write_text(f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {suite} main\n")
    options = {
        "Dir::State::lists": state / "lists", "Dir::State::status": state / "status",
        "Dir::Cache::archives": state / "archives", "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": source, "Dir::Etc::sourceparts": "/dev/null", "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
    }  # fmt: skip
    return ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
