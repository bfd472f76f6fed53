"""Roots of Debian's releases: packages with all that they depend on, unpacked and not configured."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

#: Of a root that nobody configures: users, a shell by its name.
_USERS = ("passwd", "group")
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def debian(folder: Path, suite: str, packages: Sequence[str]) -> Path:
    """The root of a release below a folder, made where it is not there yet. Needs Debian's archive."""
    root = folder / suite
    if (root / "etc/passwd").exists():
        return root
    apt = _apt(folder / f"{suite}.apt", suite)
    subprocess.run([*apt, "update"], check=True)
    command = [*apt, "--yes", "install", *packages]
    printed = subprocess.run([*command, "--print-uris"], check=True, capture_output=True, text=True).stdout
    files = [line.split()[1] for line in printed.splitlines()]
    subprocess.run([*command, "--download-only"], check=True)
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    # What makes `/bin` a link comes first.
    for name in sorted(files, key=lambda name: not name.startswith("base-files")):
        file = folder / f"{suite}.apt/archives/{name}"
        subprocess.run(["dpkg-deb", "-x", file, root], check=True)
        package = subprocess.run(["dpkg-deb", "-f", file, "Package"], check=True, capture_output=True, text=True).stdout
        listed = subprocess.run(["dpkg-deb", "-c", file], check=True, capture_output=True, text=True).stdout
        paths = (line.split(None, 5)[5].partition(" -> ")[0].removeprefix(".") for line in listed.splitlines())
        (info / f"{package.strip()}.list").write_text("".join(f"{path.rstrip('/')}\n" for path in paths))
    for name in _USERS:
        (root / "etc" / name).write_bytes((root / f"usr/share/base-passwd/{name}.master").read_bytes())
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("dash")
    return root


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
