"""Lock what each set-up installs: one file in `tools/locks` for each, with versions and hashes.

    tools/lock.py            renew the files from the newest releases, and show what changed
    tools/lock.py --check    exit with 1 unless every file fits `pyproject.toml`

uv resolves for all the environments under `[tool.uv]` at once, and takes only releases that have a wheel for each of
them. All files come from one resolution, because a set-up may be installed on top of another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
LOCKS = ROOT / "tools/locks"
#: The extras of each set-up. All but `bench` hold what builds the project, too: it is installed there to be edited.
SETUPS = {
    "run": (),
    "test": ("test",),
    "check": ("test", "check"),
    "docs": ("docs",),
    "fuzz": ("test", "fuzz"),
    "bench": ("elf",),
}
#: An environment as `pyproject.toml` has it, of which `tools/setup` looks for a line such as ``# CPython 3.11 x86_64``.
ENVIRONMENT = re.compile(
    r"python_version == '(.+?)' and platform_machine == '(.+?)' .* platform_python_implementation == '(.+?)'"
)


def header() -> str:
    """Return the first lines of each lock: the SHA-256 of the requirements in `pyproject.toml`, and the environments."""
    document = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    project = document["project"]
    keys = ("requires-python", "dependencies", "optional-dependencies")
    decisive = [document["build-system"], document["dependency-groups"], document["tool"]["uv"]]
    text = json.dumps([*decisive, *(project[key] for key in keys), SETUPS], sort_keys=True)
    lines = [f"# Made by `make lock` for a pyproject.toml of {hashlib.sha256(text.encode()).hexdigest()}, and for"]
    for marker in document["tool"]["uv"]["environments"]:
        if not (found := ENVIRONMENT.fullmatch(marker)):
            raise SystemExit(f"{PROJECT}: tool.uv.environments: not of the form {ENVIRONMENT.pattern}: {marker}")
        lines += [f"# {found[3]} {found[1]} {found[2]}"]
    return "\n".join(lines) + "\n"


def pins(text: str) -> set[str]:
    """Return the pins of a lock file, such as ``attrs 26.1.0``, each once whatever its marker."""
    lines = [line.rstrip("\\ ") for line in text.splitlines() if line[:1].isalnum()]
    found = [Requirement(line) for line in lines]
    return {f"{pin.name} {next(iter(pin.specifier)).version}" for pin in found}


def resolved(extras: Iterable[str], *options: str) -> str:
    """Return the pins and hashes of all requirements of some extras, for every environment. Raises CalledProcessError."""
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "compile", str(PROJECT), "--quiet", "--universal", "--generate-hashes", "--no-build"]
    command += ["--no-header", "--no-annotate", "--python-version", "3.11", *options]
    command += [word for extra in extras for word in ("--extra", extra)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def renew() -> Iterator[str]:
    """Write every lock anew once all are resolved, and yield a line for each difference. Raises CalledProcessError."""
    building = ("--group", "setup")
    with tempfile.TemporaryDirectory() as folder:
        everything = Path(folder) / "everything.txt"
        everything.write_text(resolved(sorted({*chain(*SETUPS.values())}), *building), encoding="utf-8")
        same = ("--constraint", str(everything))
        locks = {
            LOCKS / f"{name}.txt": resolved(extras, *same, *(() if name == "bench" else building))
            for name, extras in SETUPS.items()
        }
    first = header()
    for path, text in locks.items():
        before = pins(path.read_text(encoding="utf-8")) if path.exists() else set()
        path.write_text(first + text, encoding="utf-8")
        for pin in sorted(before ^ pins(text)):
            yield f"{path.stem}: {'-' if pin in before else '+'} {pin}"


def stale() -> list[Path]:
    """Return the lock files that are missing, or were made for another `pyproject.toml`."""
    first = header()
    paths = [LOCKS / f"{name}.txt" for name in SETUPS]
    return [path for path in paths if not path.exists() or not path.read_text(encoding="utf-8").startswith(first)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Lock what each set-up installs.")
    parser.add_argument("--check", action="store_true", help="only look whether the locks fit pyproject.toml")
    if parser.parse_args().check:
        found = stale()
        for path in found:
            print(f"{path.relative_to(ROOT)} does not fit pyproject.toml; renew it with: make lock", file=sys.stderr)
        return 1 if found else 0
    try:
        changes = list(renew())
    except subprocess.CalledProcessError as error:
        return int(error.returncode)  # uv has said why
    print("\n".join(changes) or "nothing changed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
