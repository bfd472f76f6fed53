"""How long it takes to compose: run by the interpreter that is measured, as `composing.py CURVE N REPEATS`. Prints seconds,
one repetition a line.

``layers``: a stack of N layers, each of which extends the one before; ``profiles``: a stack of N profiles; ``search``: one
profile, among N that can be named; ``scopes``: one profile with a policy for N images; ``linted``: N profiles that
`hardening lint` looks at, side by side on each processor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from hardening.compose import composition as compose
from hardening.lint.linter import Linter
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.profile import layers

TEXT = """description = "profile {number}"
{extends}
[process]
env = ["SETTING_{number}=on"]
[process.rlimits]
nofile = "{files}:{files}"
[capabilities]
drop = ["NET_RAW"]
[seccomp]
deny = ["ptrace"]
"""
CURVES = ("layers", "profiles", "search", "scopes")
LINTED = "linted"
#: What a profile of an application says beside that, and what it extends.
APPLICATION = """[namespaces]
uts = "host"
[rootfs]
volumes.add = ["/srv/app-{number}:/data:rw,noexec"]
[[exceptions]]
setting = "namespaces.uts"
reason = "the agent reports the host's name"
expires = 2099-12-31
[[exceptions]]
setting = "rootfs.volumes./data"
reason = "what it is for"
"""
EXTENDED = ("strict", "default", "web", "batch")
#: `extends` may not go deeper; the chains of a longer stack are named one by one.
DEEPEST = 50


def write(folder: Path, curve: str, count: int) -> list[str]:
    """Write the profiles of a curve, and return those to be named."""
    named: list[str] = []
    if curve == "scopes":
        return [str(_of_scopes(folder, count))]
    for number in range(count):
        chained = curve == "layers" and number % DEEPEST
        before = f'extends = ["./profile-{number - 1}.toml"]' if chained else ""
        if curve == LINTED:
            before = f'extends = ["{EXTENDED[number % len(EXTENDED)]}"]'
        text = TEXT.format(number=number, extends=before, files=max(16, 1000 - number // 20))
        text += APPLICATION.format(number=number) if curve == LINTED else ""
        path = folder / f"profile-{number}.toml"
        path.write_text(text)
        path.chmod(0o644)
        last = curve != "layers" or number == count - 1 or (number + 1) % DEEPEST == 0
        named += [str(path)] if last else []
    return [f"profile-{count // 2}"] if curve == "search" else named


def _of_scopes(folder: Path, count: int) -> Path:
    """A profile in which each of so many repositories has a say of its own."""
    rows = (f'"registry-{number % 100}.example.com/team/app-{number}" = "accept"\n' for number in range(count))
    path = folder / "scopes.toml"
    path.write_text(f'[trust]\ndefault = "reject"\n\n[trust.docker]\n{"".join(rows)}')
    path.chmod(0o644)
    return path


def main() -> None:
    curve, count, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    found = plugins.load()
    facts = host.probe(found.mechanisms)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        named = write(folder, curve, count)
        search = layers.SearchPath((layers.SearchDirectory(folder, "bench"), *plugins.shipped_profiles()))
        for _ in range(repeats):
            before = time.perf_counter()
            if curve == LINTED:
                Linter(found, search, date.today()).all(named)
                print(time.perf_counter() - before)
                continue
            if curve == "search":
                search.all()
            # Scopes stand before `strict`, which rejects whatever has none by then.
            stack = layers.resolve([*named, "strict"] if curve == "scopes" else ["strict", *named], search)
            compose.compose(stack, found.mechanisms, facts, date.today())
            print(time.perf_counter() - before)


if __name__ == "__main__":
    main()
