"""``python -m tests.software.learnt [PAGE…]``: what `hardening learn` makes of the programs of docs/software, beside the
layers of their pages.

The first test of a page is run three times. The first time each command of it is learnt from, over what of the page's
layer no run can show: the folders, the network and the user. The second time it runs under nothing but what was learnt, and
the third time, too, while strace(1) sees what is touched: nothing else may be granted.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from operator import or_
from unittest.mock import patch

import attrs
import tomli_w

from hardening.base.files import is_below, parent
from hardening.compose.composition import Composition
from hardening_seccomp.actions import is_denial
from tests.software.harness import PAGES, Place, Service, placed
from tests.software.witness import Touched, Witnessed
from tests.support import shipped
from tests.support.users import User, ordinary
from tools import beyond

NAMES = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
#: What of a page's layer says where it works, and for whom.
WHERE = ("namespaces", "process", "rootfs")
#: What a client asks of each service, while it runs and then as it ends.
CHECKS = {
    "http-server": 'curl -fs "http://$(ss -Hltnp | grep "pid=$HARDENING_PID," | grep -o "127[^ ]*")/hello.txt"',
    "nginx": """
        ask() { curl -fs --unix-socket /proc/$HARDENING_PID/root/run/nginx/http.sock http://localhost/hello.txt; }
        ask && kill -HUP $HARDENING_PID && sleep 0.5 && ask && kill -QUIT $HARDENING_PID
    """,
    "node": "curl -fs --unix-socket /proc/$HARDENING_PID/root/run/app/socket http://localhost/",
    "postgresql": """
        psql -h /proc/$HARDENING_PID/root/data -U me -d postgres -c 'create table if not exists t as
            select generate_series(1, 1000) n; set max_parallel_workers_per_gather = 2; select count(distinct n) from t'
    """,
    "redis": """
        ask() { redis-cli -e -s /proc/$HARDENING_PID/root/data/redis.sock "$@"; }
        ask set more hello && ask get more && ask bgsave &&
        while ask info persistence | grep rdb_bgsave_in_progress:1; do sleep 0.1; done
    """,
}
LAYER, SEEN = "learnt.toml", "seen.json"
#: How often the same service is learnt from at most: at its first start, and where it has something to recover.
OFTEN = 2
#: Seconds for all runs of one command.
PATIENCE = 1800.0
#: How much longer a command may take that is recorded, and how often that is measured again of one that took longer, until
#: so many seconds are over.
MOST, MORE, QUICK = 2.0, 2, 30.0
_SECONDS = re.compile(r"^recorded in ([\d.]+) s, and in ([\d.]+) s unrecorded$", re.MULTILINE)


@attrs.frozen
class Learning(Place):
    """A place where each command is learnt from before it runs."""

    seconds: list[tuple[float, ...]] = attrs.Factory(list)  # of each command, recorded and not
    served: list[tuple[str, ...]] = attrs.Factory(list)

    def run(self, *command: str, profiles: Sequence[str] = (), options: Sequence[str] = (), stdin: str | None = None):  # type: ignore[no-untyped-def]
        self._learn(command, [*(["-i"] if stdin is not None else []), *options], stdin)
        return super().run(*command, profiles=profiles, options=options, stdin=stdin)

    @contextmanager
    def serving(self, *command: str, profiles: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Service]:
        if self.served.count(command) < OFTEN:
            self._learn(command, ["--check", CHECKS[self.name], *options], None)
        self.served.append(command)
        with super().serving(*command, profiles=profiles, options=options) as service:
            yield service

    def _learn(self, command: Sequence[str], options: Sequence[str], stdin: str | None) -> None:
        data = tomllib.loads(self.profile.read_text())
        own = [item for item in data.pop("exceptions", ()) if item["setting"].partition(".")[0] in WHERE]
        kept = {key: value for key, value in data.items() if key in ("extends", *WHERE)}
        self.file("where.toml", tomli_w.dumps({**kept, "exceptions": own} if own else kept))
        argv = [
            "learn",
            "-p",
            "./where.toml",
            "--into",
            SEEN,
            "-o",
            LAYER,
            "--timeout",
            "300",
            *options,
            "--",
            *command,
        ]
        begun = time.monotonic()
        found = self._learnt(argv, stdin)
        again = [word for word in argv if word not in ("--into", SEEN, "-o", LAYER)]
        for _ in range(MORE):
            if found[0] <= MOST * found[1] or time.monotonic() - begun > QUICK:
                break
            found = tuple(map(min, found, self._learnt(again, stdin)))  # what else the machine does is in either
        self.seconds.append(found)

    def _learnt(self, argv: Sequence[str], stdin: str | None) -> tuple[float, ...]:
        """How long the command took recorded, and unrecorded."""
        done = attrs.evolve(self, patience=PATIENCE)._call(self._as_user([self._program(), *argv]), stdin)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        found = _SECONDS.search(done.stderr)
        assert found is not None, done.stderr
        return float(found[1]), float(found[2])


@attrs.frozen
class Permitted:
    """What a layer permits in all; ``closed`` are paths that are not shown as they are."""

    calls: frozenset[str]
    capabilities: frozenset[str]
    writable: frozenset[str]
    closed: frozenset[str]

    @classmethod
    def of(cls, composition: Composition) -> Permitted:
        settings = composition.settings
        rules, native = settings["seccomp"].syscalls, beyond.native_calls()
        root = settings["rootfs"]
        volumes = [volume.target for volume in root.mounted_volumes() if volume.writable]
        return cls(
            frozenset(name for name in native if not all(map(is_denial, rules[name].leaves))),
            settings["capabilities"].added,
            frozenset([*(place for place, tmpfs in root.mounted_tmpfs().items() if tmpfs.mode & 0o222), *volumes]),
            frozenset([*root.hidden_paths.having(True), *root.masked_paths.having(True)]),
        )


@attrs.frozen
class Learnt:
    """What was learnt of one page; ``by_hand`` is what its own layer permits, ``base`` what that does of which was learnt,
    and ``touched`` what strace(1) has seen under what was learnt, None where it could not look."""

    name: str
    user: User | None
    by_hand: Permitted
    base: Permitted
    permitted: Permitted
    seconds: Sequence[tuple[float, ...]]
    touched: Touched | None

    @property
    def cost(self) -> float:
        """How many times as long the commands take that are recorded."""
        recorded, plain = map(sum, zip(*self.seconds, strict=True))
        return recorded / plain

    @property
    def untouched(self) -> list[str] | None:
        """What is granted and was not touched, None where nobody has looked."""
        return None if self.touched is None else [*untouched(self.base, self.permitted, self.touched)]


def untouched(base: Permitted, permitted: Permitted, found: Touched) -> Iterator[str]:
    """Paths that are granted for nothing: a writable place below which nothing was written, and one that the base has not in
    which nothing was; what is shown that the base closes, and nobody has looked at."""
    for place in sorted(permitted.writable):
        known = place in base.writable
        if not any(
            path == place or (is_below(path, place) if known else parent(path) == place) for path in found.written
        ):
            yield place
    for place in sorted(base.closed - permitted.closed):
        if not any(path == place or is_below(path, place) for path in found.paths):
            yield place


def learnt(name: str, user: User | None) -> Learnt:
    """Learn from the page's test; `AssertionError` where that fails, or a command of it under what was learnt."""
    places: list[Learning] = []

    @contextmanager
    def learning(name: str, user: User | None, *, direct: bool = False) -> Iterator[Place]:
        with placed(name, user, direct=direct) as place:
            places.append(Learning(**attrs.asdict(place, recurse=False)))
            yield places[-1]
            found.extend(
                Permitted.of(shipped.composed([str(file)], user))
                for file in (place.profile, place.folder / "where.toml", place.folder / LAYER)
            )
            texts.extend((place.folder / file).read_text() for file in (LAYER, "where.toml"))

    found: list[Permitted] = []
    texts: list[str] = []
    _test(name, learning)(user)
    layer, where = texts

    @contextmanager
    def under(name: str, user: User | None, *, direct: bool = False) -> Iterator[Place]:
        with placed(name, user, direct=direct) as place:
            place.file("where.toml", where)
            place.file(place.profile.name, layer)
            yield place

    witnesses: list[Witnessed] = []

    @contextmanager
    def witnessed(name: str, user: User | None, *, direct: bool = False) -> Iterator[Place]:
        with under(name, user) as place:
            witnesses.append(Witnessed(**attrs.asdict(place, recurse=False)))
            yield witnesses[-1]

    _test(name, under)(user)
    by_hand, base, permitted = found
    if os.geteuid() == 0:  # whom programs that map ids work for although they are traced
        _test(name, witnessed)(user)
    seconds = [pair for place in places for pair in place.seconds]
    seen_outside = reduce(or_, (found for place in witnesses for found in place.found)) if witnesses else None
    return Learnt(name, user, by_hand, base, permitted, seconds, seen_outside)


def _test(name: str, place: Callable[..., AbstractContextManager[Place]]) -> Callable[[User | None], None]:
    """The first test of a page, in another place."""
    module = importlib.import_module(f"tests.software.test_{name.replace('-', '_')}")
    test = next(found for item, found in vars(module).items() if item.startswith("test_it"))

    def run(user: User | None) -> None:
        with patch.object(module, "placed", place):
            test(user)

    return run


def row(found: Learnt) -> str:
    """A line of the table; ``seconds`` are of each command, recorded and not."""
    pairs = [
        f"{len(getattr(side, kind))}"
        for kind in ("calls", "capabilities", "writable")
        for side in (found.by_hand, found.permitted)
    ]
    seconds = ", ".join(f"{recorded:.1f}/{plain:.1f}" for recorded, plain in found.seconds)
    who = "root" if found.user is None else "user"
    granted = "not looked at" if found.untouched is None else ", ".join(found.untouched) or "none"
    return "| " + " | ".join([found.name, who, *pairs, granted, f"{found.cost:.1f}", seconds]) + " |"


COLUMNS = ("program", "caller", "calls by hand", "learnt", "capabilities by hand", "learnt", "writable by hand", "learnt",
           "granted, not touched", "cost", "seconds")  # fmt: skip


def main(names: Sequence[str]) -> int:
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|")
    failed = 0
    for name in names or NAMES:
        for user in (None, ordinary()):
            try:
                print(row(learnt(name, user)), flush=True)
            except AssertionError:
                failed += 1
                print(f"{name}, {'root' if user is None else 'user'}:\n{traceback.format_exc()}", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
