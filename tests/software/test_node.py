"""node serves on a socket in a folder, and code that gets into it gets no further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

#: Answers with what a piece of JavaScript comes to, as a server with a hole does.
HOLE = """
const {execFileSync} = require("child_process"), fs = require("fs"), net = require("net");
require("http").createServer((request, response) => {
  let text;
  try { text = String(eval(decodeURIComponent(request.url.slice(1)))); } catch (error) { text = error.code || error.name; }
  response.end(text);
}).listen("/run/app/socket");
"""


@contextmanager
def application(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("node", user, direct=direct) as place:
        place.folders("app", "run")
        (place.folder / "server.js").rename(place.folder / "app/server.js")
        yield place


def get(place: Place, path: str = "/") -> str:
    return place.outside("curl", "-s", "-g", "--unix-socket", "run/socket", f"http://localhost{path}").stdout


def works(place: Place, *profiles: str) -> None:
    (place.folder / "run/socket").unlink(missing_ok=True)
    with place.serving("node", "/app/server.js", profiles=profiles) as service:
        service.until(lambda: get(place) == "hello\n")


def test_it_serves_and_works_in_threads(user: User | None) -> None:
    with application(user, direct=False) as place:
        works(place)
        code = "new (require('worker_threads').Worker)('console.log(6 * 7)', {eval: true})"
        done = place.run("node", "-e", code)
        assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_who_runs_code_in_it_gets_no_further(user: User | None) -> None:
    with application(user) as place:
        place.file("app/hole.js", HOLE)
        place.file("secret", "secret\n")
        attempts = {
            "6*7": "42",
            "fs.writeFileSync('/app/server.js','')": "EROFS",
            "fs.writeFileSync('/usr/bin/evil','')": "EROFS",
            f"fs.readFileSync('{place.folder}/secret')": "ENOENT",
            "fs.copyFileSync('/bin/true','/tmp/true');fs.chmodSync('/tmp/true',493);execFileSync('/tmp/true')": "EACCES",
            "process.kill(1,0)&&fs.readdirSync('/proc').filter(n=>n>100).length": "0",
            "Object.keys(process.env).filter(n=>n=='TOKEN').length": "0",
        }
        with place.serving("node", "/app/hole.js") as service:
            service.until(lambda: get(place, "/1") == "1")
            for attempt, result in attempts.items():
                assert get(place, f"/{attempt}") == result, attempt
            listening = "/net.connect(9,'127.0.0.1').on('error',e=>{global.answer=e.code})"
            get(place, listening)
            service.until(lambda: get(place, "/global.answer") not in ("undefined", ""))
            assert get(place, "/global.answer") in ("EPERM", "EACCES", "ENOSYS", "EAFNOSUPPORT")


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with application(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with application(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volume.toml", f'[rootfs]\nvolumes.add = ["./app:/app:ro", "./run:/run/app{idmap}"]\n')
        works(place, "web", "./volume.toml")
