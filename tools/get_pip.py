"""Install pip into a virtual environment that was made without it, for users who cannot install python3-venv.

Ask the package index that pip would ask (PEP 691 JSON) for the pip wheel that `tools/locks/run.txt` names, check its SHA-256
by that file, and let the wheel install itself. Standard library only.
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
LOCK = Path(__file__).parent / "locks/run.txt"
#: The pin of pip, and the lines of its hashes.
PIN = re.compile(r"^pip==(\S+).*\\\n((?:    --hash=sha256:.*\n)+)", re.MULTILINE)


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


def locked() -> tuple[str, set[str]]:
    """Return the file name of the wheel, and the SHA-256 of each file of that release."""
    match = PIN.search(LOCK.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{LOCK} names no pip")
    return f"pip-{match[1]}-py3-none-any.whl", set(re.findall(r"sha256:([0-9a-f]{64})", match[2]))


def address(index: str, name: str) -> str:
    """Return the URL of a wheel. Raises ValueError if the index does not list it."""
    base = index.rstrip("/") + "/pip/"
    for file in json.loads(fetch(base))["files"]:
        if file["filename"] == name:
            return urllib.parse.urljoin(base, str(file["url"]))
    raise ValueError(f"it does not list {name}")


def main() -> int:
    index = setting("index-url") or DEFAULT_INDEX
    try:
        name, digests = locked()
        url = address(index, name)
        content = fetch(url)
    except (OSError, ValueError, KeyError) as error:
        print(f"setup: cannot get pip from {index}: {error}", file=sys.stderr)
        return 1
    if hashlib.sha256(content).hexdigest() not in digests:
        print(f"setup: {url} does not have the SHA-256 that {LOCK} names", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / name
        wheel.write_bytes(content)
        # A wheel is a zip file, and pip can run out of it.
        command = [sys.executable, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
