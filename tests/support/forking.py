"""Command lines in forks of one process that has imported the program, where it is asked what a command does, and not how
the program starts: to import it takes longer than most of what it does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

#: Each line of its input is an order, and each of its output what came of it.
_SERVER = """
import gc, json, os, pkgutil, sys, tempfile
from importlib import import_module
import hardening
for module in pkgutil.walk_packages(hardening.__path__, "hardening."):
    import_module(module.name)
import_module("hardening.plugins").load()
gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            os.chdir(order["cwd"])
            for name in list(os.environ):
                del os.environ[name]
            os.environ.update(order["env"])
            os.umask(order["umask"])
            for number, file in enumerate((os.open(os.devnull, os.O_RDWR), stdout.fileno(), stderr.fileno())):
                os.dup2(file, number)
            sys.argv = ["hardening", *order["words"]]
            made = {}
            exec(order["code"], made)
            os._exit(made["main"]())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = [os.pread(file.fileno(), 1 << 30, 0).decode() for file in (stdout, stderr)]
        print(json.dumps([code, *said]), flush=True)
"""


@attrs.frozen(eq=False)
class Forking:
    """Runs command lines, one after another, each in a process of its own."""

    server: subprocess.Popen[str]

    def run(
        self, words: Sequence[str], *, code: str, cwd: Path | str, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What came of a command line, with nothing to read. ``code`` defines ``main``, which gives the exit code; it may do
        more before, in that process alone."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        os.umask(umask := os.umask(0o22))
        order = {"words": list(words), "code": code, "cwd": str(cwd), "env": dict(env), "umask": umask}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return subprocess.CompletedProcess(list(words), *json.loads(self.server.stdout.readline()))


@contextmanager
def forking(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Forking]:
    """Start the process that command lines are forked from: ``argv`` are the words that start its Python."""
    with subprocess.Popen(
        [*argv, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
        env=dict(os.environ if env is None else env),
    ) as server:  # fmt: skip
        yield Forking(server)
