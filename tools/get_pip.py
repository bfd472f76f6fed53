"""Install pip into a virtual environment that was made without it, for users who cannot install python3-venv.

Asks the package index that pip would ask (PEP 691 JSON), takes the newest pip wheel that this Python can run, checks the
SHA-256 that the index states, and lets the wheel install itself. Standard library only.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"
WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")


def setting(name: str) -> str | None:
    """A setting of pip: the environment first, then its configuration files, the user's before the system's."""
    explicit = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if explicit:
        return explicit
    home = Path(os.path.expanduser("~"))
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [os.environ.get("PIP_CONFIG_FILE"), config / "pip/pip.conf", home / ".pip/pip.conf", "/etc/pip.conf"]
    files += [Path(folder) / "pip/pip.conf" for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    for file in files:
        parser = configparser.RawConfigParser()
        if file and parser.read(file) and parser.has_option("global", name):
            return parser.get("global", name)
    return None


def fetch(url: str) -> bytes:
    """The body at an https URL (or http on request of the configuration)."""
    if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
        raise ValueError(f"not a web address: {url}")
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})  # noqa: S310
    context = ssl.create_default_context(cafile=setting("cert"))
    with urllib.request.urlopen(request, timeout=180, context=context) as response:  # noqa: S310
        body: bytes = response.read()
    return body


def supported(requirement: str | None) -> bool:
    """Whether this Python satisfies a ``>=3.9`` style requirement; other forms count as satisfied."""
    match = re.fullmatch(r">=\s*(\d+)\.(\d+).*", requirement or "")
    return match is None or sys.version_info[:2] >= (int(match[1]), int(match[2]))


def newest(index: str) -> tuple[str, str, str]:
    """File name, URL and SHA-256 of the newest stable pip wheel."""
    base = index.rstrip("/") + "/pip/"
    found = []
    for file in json.loads(fetch(base))["files"]:
        match = WHEEL.fullmatch(file["filename"])
        if match and not file.get("yanked") and supported(file.get("requires-python")) and "sha256" in file["hashes"]:
            version = tuple(int(part) for part in match[1].split("."))
            found.append((version, file["filename"], urllib.parse.urljoin(base, file["url"]), file["hashes"]["sha256"]))
    if not found:
        raise ValueError("it lists no pip wheel for this Python")
    return max(found)[1:]


def main() -> int:
    index = setting("index-url") or DEFAULT_INDEX
    try:
        name, url, digest = newest(index)
        content = fetch(url)
    except (OSError, ValueError, KeyError) as error:
        print(f"setup: cannot get pip from {index}: {error}", file=sys.stderr)
        return 1
    if hashlib.sha256(content).hexdigest() != digest:
        print(f"setup: {url} does not have the SHA-256 that the index states", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / name
        wheel.write_bytes(content)
        # A wheel is a zip file, and pip can run out of it.
        command = [sys.executable, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
