"""Command lines in forks of one process that has imported the program, where it is asked what a command does, and not how
the program starts: to import it takes longer than most of what it does."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import attrs

from tests.support.users import User, program

#: Each line of its input is an order, and each of its output what came of it. It has loaded the plugins, which a line with
#: others loads anew, and has composed: what modules keep of that are results of functions of their arguments alone, nothing
#: of the host.
_SERVER = """
import gc, io, json, os, pkgutil, signal, sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
import hardening
from hardening.plugin.plugins import load
for package in (hardening, *(plugin.module for plugin in load().plugins)):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
for name in sys.argv[1:]:
    import_module(name)
from hardening.cli import main
from hardening.plugin import plugins
from hardening.plugin.installed import everything
announced, load = everything(), plugins.load
loaded = load(announced)
plugins.load = lambda among=None, without=(): loaded if among == announced and not without else load(among, without)
with redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(io.StringIO()):
    for name in ("strict", "default", "web", "batch"):
        main(["compose", "-q", "-p", name, "--", "true"])
gc.freeze()
gc.disable()  # as in a start of the program
def memory(name):
    return open(os.memfd_create(name), "r+b")  # no file that a command could be seen to need
for line in sys.stdin:
    order = json.loads(line)
    with memory("stdin") as stdin, memory("stdout") as stdout, memory("stderr") as stderr:
        child = os.fork()
        if child == 0:
            signal.alarm(120)
            os.chdir(order["cwd"])
            for name in list(os.environ):
                del os.environ[name]
            os.environ.update(order["env"])
            os.umask(order["umask"])
            os.write(stdin.fileno(), order["text"].encode())
            os.lseek(stdin.fileno(), 0, os.SEEK_SET)
            read = stdin.fileno() if order["text"] else os.open(os.devnull, os.O_RDWR)
            errors = stdout if order["merged"] else stderr
            for number, file in enumerate((read, stdout.fileno(), errors.fileno())):
                os.dup2(file, number)
            sys.argv = ["hardening", *order["words"]]
            made = {}
            exec(order["code"], made)
            os._exit(made["main"]())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = [os.pread(file.fileno(), 1 << 30, 0).decode(errors="backslashreplace") for file in (stdout, stderr)]
        print(json.dumps([code, *said]), flush=True)
"""


@attrs.define(eq=False)
class ForkServer:
    """Runs command lines, one after another, each in a process of its own. ``argv`` are the words that start the Python that
    they are forked from, which also imports ``modules``. One that was interrupted takes that process with it: its answer
    would be that of the next."""

    argv: Sequence[str]
    env: Mapping[str, str]
    modules: Sequence[str] = ()
    _started: subprocess.Popen[str] | None = attrs.field(init=False, default=None)

    def run(
        self,
        words: Sequence[str],
        *,
        code: str,
        cwd: Path | str,
        env: Mapping[str, str],
        text: str = "",
        merged: bool = False,
        umask: int = -1,
    ) -> subprocess.CompletedProcess[str]:
        """What came of a command line that reads ``text``; ``merged``, its errors are among the rest of its output. ``code``
        defines ``main``, which gives the exit code; it may do more before, in that process alone. An ``umask`` of -1 is the
        caller's."""
        os.umask(own := os.umask(0o22))
        order = {
            "words": list(words), "code": code, "cwd": os.path.abspath(cwd), "env": dict(env), "text": text,
            "merged": merged, "umask": own if umask == -1 else umask,
        }  # fmt: skip
        try:
            server = self._started = self._started or self._start()
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(order) + "\n")
            server.stdin.flush()
            return subprocess.CompletedProcess(list(words), *json.loads(server.stdout.readline()))
        except BaseException:
            self.close()
            raise

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.argv, "-c", _SERVER, *self.modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
            env=dict(self.env), process_group=0,
        )  # fmt: skip

    def close(self) -> None:
        """End the process, and with it, by its group, the command line that it waits for."""
        server, self._started = self._started, None
        if server is not None:
            os.killpg(server.pid, signal.SIGKILL)
            with suppress(BrokenPipeError), server:  # of an order that nobody has read
                pass


#: What `scripts/hardening-cli` does. The launcher goes on in the same process, as it does where an entry of the cache is
#: found, with what an execve(2) would have left open: another Python would import all of it again.
_TYPED = """
import os, sys
from hardening.cli import start
from hardening.launch import main as launcher, quick
from hardening.launch.request import of_argv
from hardening.whole import main as whole
execute = start.start
def go_on(argv):
    request = of_argv(argv)
    # This process has seen the values of secrets, and who looks for a launcher that stays does so by its command line.
    if request is None or request.secrets >= 0 or request.detach:
        execute(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if not os.get_inheritable(number):
                os.close(number)
        except OSError:  # that of the list itself
            pass
    os._exit(launcher.main(argv[-1]))
start.start = go_on
def main():
    code = quick.main({program!r}) if sys.argv[1] in ("run", "launch") else None
    return whole() if code is None else code
"""


@cache
def server(user: User | None) -> ForkServer:
    """Where somebody's lines are forked from, None for whoever runs the tests; it ends with them."""
    argv = [str(_scripts(user) / "python"), "-I", "-B"]
    found = ForkServer(argv if user is None else user.argv(argv), os.environ if user is None else user.environment)
    atexit.register(found.close)
    return found


#: What `hardening.launch.request.START` does.
_LAUNCHED = "from hardening.launch.main import main"


def launched(
    user: User | None, request: str, *, env: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """What came of a launcher that somebody starts with a request, in JSON."""
    return server(user).run([request], code=_LAUNCHED, cwd="/", env=env, text=text)


def _scripts(user: User | None) -> Path:
    return Path(program(user) if user is not None else sys.executable).parent


def typed(
    user: User | None,
    *words: str,
    cwd: Path | str,
    env: Mapping[str, str],
    text: str = "",
    merged: bool = False,
    umask: int = -1,
    before: str = "",
) -> subprocess.CompletedProcess[str]:
    """What came of a line of ``hardening`` that somebody types, None for whoever runs the tests: an entry of the cache is
    run, or else the whole program. The process does ``before``, in Python, while it is still the tests'."""
    code = before + _TYPED.format(program=str(_scripts(user) / "hardening-cli"))
    return server(user).run(words, code=code, cwd=cwd, env=env, text=text, merged=merged, umask=umask)


#: What is written for ``python -c`` ends with its words on their way, as an interpreter's end has it.
_SCRIPTED = """
def main():
    import sys
    sys.stdout.flush()
    sys.stderr.flush()
    return 0
"""


def scripted(
    user: User | None, script: str, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What came of Python's text with its ``words``, as of ``python -c`` in /, where the program has been imported."""
    environment = env or (os.environ if user is None else user.environment)
    return server(user).run(words, code=script + _SCRIPTED, cwd="/", env=environment)
