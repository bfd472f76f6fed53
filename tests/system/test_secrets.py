"""Secrets from the store to the command: where they are, and, by a search for a planted value, where they are not."""

from __future__ import annotations

import json
import os
import resource
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hardening.base import jsontext, places
from tests.plugins.secrets.stores import Kept
from tests.support import detached, hunting, runs
from tests.support.detached import Caller
from tests.support.features import require
from tests.support.images import archive, entry, layout, shell
from tests.support.patience import PATIENCE
from tests.support.users import ordinary

pytestmark = pytest.mark.system

RUNTIMES = ("native", "crun", "runc")
#: Each caller and each runtime, where not all of them have to meet.
SOME = pytest.mark.parametrize(
    ("who", "runtime"), [("root", "runc"), ("user", "native"), ("user", "crun")], indirect=True
)


@pytest.fixture(params=["root", "user"])
def who(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def caller(who: str) -> Iterator[Caller]:
    require("root" if who == "root" else "userns")
    with detached.caller(ordinary() if who == "user" else None) as found:
        yield found


@pytest.fixture
def planted(caller: Caller) -> str:
    """A value that stands nowhere else, kept as the secret db."""
    value = f"planted-{secrets.token_hex(12)}"
    keep(caller, db=value, other="unwanted")
    return value


def keep(caller: Caller, **values: str) -> None:
    """Keep secrets as the caller's own; the program itself makes them in other tests."""
    with runs.workplace() as place:
        for name, value in values.items():
            Kept(place / "secrets").create(name, value.encode())
        shutil.move(place / "secrets", caller.secrets)
    runs.hand_over(caller.secrets, caller.user)


def searched(caller: Caller) -> list[Path]:
    """Where this program, or a program that it starts, could have left something."""
    environment = caller.environment
    found = [caller.folder, Path("/dev/shm"), *map(Path, places.of_records(environment))]
    if caller.user is not None:
        found += [caller.user.home, caller.user.runtime]
    return list(dict.fromkeys(found))


def hunt(caller: Caller, value: str, since: float) -> list[str]:
    """Everywhere that a value is found, but for the store, where the driver keeps it."""
    kept = caller.secrets / "values"
    shared = [Path("/run"), *(path for place in ("/tmp", "/var/tmp") for path in hunting.entries(Path(place), since))]
    return [
        *hunting.in_files(value, searched(caller), [kept]),
        *hunting.in_new(value, [path for path in shared if path != caller.folder], since),
        *hunting.in_processes(value),
        *hunting.in_logs(value, since),
    ]


def launchers(caller: Caller, identity: str) -> list[int]:
    """The launcher of a container, and its guard."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            continue
        if identity.encode() in words and b"hardening.launch" in words:
            found.append(int(pid))
    return found


def opened(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(descriptor))
    return found


READY = "test -s /run/secrets/db && echo ready; exec sleep 600"


def wait_for(caller: Caller, identity: str, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in caller.logged(identity):
        assert time.monotonic() < deadline, caller.logged(identity)
        time.sleep(0.02)


def test_a_file_is_found_in_its_mount_and_nowhere_else(caller: Caller, runtime: str, planted: str) -> None:
    since = time.time()
    identity = caller.start("sh", "-c", READY, options=("--secret", "db"), runtime=runtime)
    wait_for(caller, identity, "ready")
    pid = int(caller.one(identity)["pid"])
    assert Path(f"/proc/{pid}/root/run/secrets/db").read_text() == planted
    watching = launchers(caller, identity)
    assert watching
    assert [process for process in watching if hunting.in_memory(planted, process)] == []
    assert [name for process in watching for name in opened(process) if "secrets" in name] == []
    assert hunt(caller, planted, since) == []
    caller.say("rm", "-f", identity)
    assert hunt(caller, planted, since) == []


def test_a_variable_is_found_in_the_environment_of_the_command_and_nowhere_else(caller: Caller, planted: str) -> None:
    since = time.time()
    script = 'test -n "$PLANTED" && echo ready; exec sleep 600'
    identity = caller.start("sh", "-c", script, options=("--secret", "db,type=env,target=PLANTED"))
    wait_for(caller, identity, "ready")
    pid = int(caller.one(identity)["pid"])
    assert [process for process in launchers(caller, identity) if hunting.in_memory(planted, process)] == []
    assert hunt(caller, planted, since) == [f"{pid}/environ"]


OPEN = """extends = ["strict"]
[trust]
default = "accept"
[[exceptions]]
setting = "trust.default"
reason = "images of the test"
[[exceptions]]
setting = "secrets.given.db"
reason = "a secret of the test"
[[exceptions]]
setting = "secrets.given.other"
reason = "a secret of the test"
[secrets]
given.add = ["db", "other,target=/etc/key"]
"""


@pytest.mark.parametrize(
    ("who", "runtime"), [("root", "native"), ("root", "runc"), ("user", "native"), ("user", "crun")], indirect=True
)
def test_a_run_of_an_image_leaves_nothing_in_the_store_of_images(caller: Caller, runtime: str, planted: str) -> None:
    """Neither the first run, which unpacks it, nor one that finds it unpacked."""
    since = time.time()
    layout(caller.folder / "image", [shell(), archive([entry("etc/key", b"")])])
    profile = caller.folder / "open.toml"
    profile.write_text(OPEN)
    runs.hand_over(caller.folder / "image", caller.user)
    runs.hand_over(profile, caller.user)
    image = ("run", "--runtime", runtime, "-p", str(profile), f"oci:{caller.folder}/image:v1", "--")
    for _ in range(2):
        done = caller.call(*image, "cat", "/run/secrets/db")
        assert (done.returncode, done.stdout) == (0, planted), done.stderr
    assert list(caller.images.glob("roots/*/root/etc/key"))
    assert hunt(caller, planted, since) == []
    identity = caller.say(*image[:1], "-d", "-q", *image[1:], "sh", "-c", READY)
    wait_for(caller, identity, "ready")
    pid = int(caller.one(identity)["pid"])
    assert Path(f"/proc/{pid}/root/run/secrets/db").read_text() == planted
    assert Path(f"/proc/{pid}/root/etc/key").read_text() == "unwanted"
    assert hunt(caller, planted, since) == []
    caller.say("rm", "-f", identity)
    assert hunt(caller, planted, since) == []
    caller.say("rmi", "-f", f"oci:{caller.folder}/image:v1")


def test_what_a_driver_s_program_says_is_written_down_nowhere(caller: Caller) -> None:
    """A program that quotes the value, on both streams and in another form as well, and fails."""
    since = time.time()
    value = f"planted-{secrets.token_hex(12)}"
    vault = caller.folder / "vault"
    vault.mkdir()
    runs.hand_over(vault, caller.user)
    script = "{ cat vault/$0; base64 vault/$0; } | tee /dev/stderr; exit 4"
    commands = {
        "store": f"dd of={vault}/{{key}}",
        "read": f"sh -c {shlex.quote(script.replace('vault', str(vault)))} {{key}}",
        "delete": f"rm -f {vault}/{{key}}",
    }
    options = [word for name, command in commands.items() for word in ("--driver-opt", f"{name}={command}")]
    caller.say("secret", "create", "db", "-", "-d", "command", *options, text=value)
    done = caller.call("run", "--secret", "db", "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert "sh failed with 4" in done.stderr
    told = caller.call("log", "--json").stdout + done.stderr
    assert not [form for form in hunting.forms(value) if form in told.encode()]
    assert hunt(caller, value, since) == [str(path) for path in vault.iterdir()]


def test_the_search_finds_a_value_that_the_configuration_holds(caller: Caller, planted: str) -> None:
    """The same value as a variable of a profile, which the configuration holds: then the search must not be silent."""
    since = time.time()
    profile = caller.folder / "planted.toml"
    profile.write_text(f'extends = ["default"]\n[process.set_environment]\nPLANTED = "{planted}"\n')
    profile.chmod(0o644)
    script = 'test -n "$PLANTED" && echo ready; exec sleep 600'
    identity = caller.start("sh", "-c", script, options=("-p", str(profile)))
    wait_for(caller, identity, "ready")
    found = hunt(caller, planted, since)
    assert [place for place in found if place.endswith("config.json")], found
    assert [process for process in launchers(caller, identity) if hunting.in_memory(planted, process)]


@SOME
def test_neither_an_end_nor_a_refusal_leaves_it_anywhere(caller: Caller, runtime: str, planted: str) -> None:
    since = time.time()
    given = ("run", "--runtime", runtime, "--secret", "db")
    done = caller.call(*given, "--", "cat", "/run/secrets/db")
    assert (done.returncode, done.stdout) == (0, planted)
    assert planted not in done.stderr
    for use, command, code in (
        ("db", "no-such-command", 127),
        ("missing", "true", 125),
        ("db,uid=4000000", "true", 125),
    ):
        done = caller.call("run", "--runtime", runtime, "--secret", use, "--", command)
        assert done.returncode == code, done.stderr
        assert planted not in done.stdout + done.stderr
    assert caller.left() == []
    assert hunt(caller, planted, since) == []


def test_who_tries_a_command_gives_it_beside_copies_of_volumes(caller: Caller, planted: str) -> None:
    data = caller.folder / "data"
    data.mkdir()
    data.chmod(0o777)
    given = ("--secret", "db", "-v", f"{data}:/data")
    script = "test -s /run/secrets/db && echo tried >/data/new"
    done = caller.call("why", *given, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout.partition("\n")[0]) == (
        0, "nothing needs to be loosened: the command succeeds",
    ), done.stderr  # fmt: skip
    allowed = ("--exception", "secrets.given.db=a test", "--exception", "rootfs.volumes./data=a test")
    done = caller.call("learn", *given, *allowed, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert planted not in done.stdout + done.stderr
    assert list(data.iterdir()) == []


def test_what_is_told_of_a_command_has_no_value_of_it(caller: Caller, planted: str) -> None:
    folder = caller.folder / "seen"
    folder.mkdir()
    runs.hand_over(folder, caller.user)
    words = ("--secret", "db", "-e", f"TOKEN=typed-{planted[8:]}")
    script = 'cat /nonexist/$TOKEN /etc/shadow "/nonexist/$(cat /run/secrets/db)" 2>/dev/null'
    for form in ((), ("--json",)):
        done = caller.call("why", *form, *words, "--", "sh", "-c", script)
        assert done.returncode == 1
        assert planted[8:] not in done.stdout + done.stderr
    leaves = ("secrets.given.db", "process.set_environment.TOKEN")
    allowed = [word for leaf in leaves for word in ("--exception", f"{leaf}=a test")]
    seen, layer = folder / "seen.json", folder / "layer.toml"
    kept = ("--into", str(seen), "-o", str(layer))
    done = caller.call("learn", *kept, *words, *allowed, "--", "sh", "-c", f"{script}; true")
    assert done.returncode == 0, done.stderr
    assert planted[8:] not in done.stdout + done.stderr + seen.read_text() + layer.read_text()
    assert jsontext.dump("/nonexist/…")[1:-1] in seen.read_text()


def test_a_core_dump_holds_what_the_command_was_given_as_a_variable_alone(caller: Caller, planted: str) -> None:
    """The shell does not read the file, and nothing of what the launch has held is left in it."""
    require("core-files")
    cores = caller.folder / "cores"
    cores.mkdir(mode=0o777)
    cores.chmod(0o777)
    unlimited = ("--set", 'process.rlimits.core="unlimited"', "--exception", "process.rlimits.core=a test")
    found = {}
    for use in ("db", "db,type=env,target=PLANTED"):
        options = ("-q", "--secret", use, *unlimited, "-v", f"{cores}:/cores", "-w", "/cores")
        # The first process of a container takes no such signal from itself.
        script = "ulimit -c unlimited; sh -c 'kill -ABRT $$'; echo $?"
        done = caller.call("run", *options, "--", "sh", "-c", script, preexec_fn=_unlimited)
        assert (done.returncode, done.stdout) == (0, f"{128 + 6}\n"), done.stderr
        (core,) = cores.iterdir()
        found[use] = bool(hunting.in_files(planted, [cores]))
        assert core.stat().st_size > 0
        core.unlink()
    assert found == {"db": False, "db,type=env,target=PLANTED": True}


def _unlimited() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def test_nothing_is_stored_of_a_run_with_secrets(caller: Caller, planted: str) -> None:
    shown = json.loads(caller.say("run", "--secret", "db", "--dry-run", "--json", "--", "true"))
    assert shown["not_stored"] == ["secrets are opened anew at each run"]
    assert planted not in json.dumps(shown)
    assert caller.say("run", "-q", "--secret", "db", "--", "cat", "/run/secrets/db") == planted
    assert not list(caller.state.glob("cache/*/*/entry.json"))
    caller.say("secret", "rotate", "db", "-", text="rotated")
    assert caller.say("run", "-q", "--secret", "db", "--", "cat", "/run/secrets/db") == "rotated"


@SOME
def test_a_bundle_is_launched_with_the_caller_s_secrets_each_time(caller: Caller, runtime: str, planted: str) -> None:
    bundle = caller.folder / "bundle"
    caller.say(
        "compose",
        "-o",
        str(bundle),
        "--secret",
        "db,target=/run/secrets/a/b,mode=0444",
        "--",
        "cat",
        "/run/secrets/a/b",
    )
    assert hunting.in_files(planted, [bundle]) == []
    assert caller.say("launch", "--runtime", runtime, str(bundle)) == planted
    caller.say("secret", "rotate", "db", "-", text="another")
    assert caller.say("launch", "--runtime", runtime, str(bundle)) == "another"
    caller.say("secret", "rm", "db")
    done = caller.call("launch", "--runtime", runtime, str(bundle))
    assert (done.returncode, done.stdout) == (125, "")
    assert 'no such secret: "db"' in done.stderr


@SOME
def test_the_place_of_a_file_is_made_with_the_root(caller: Caller, runtime: str, planted: str) -> None:
    """On the host's own root, which is read-only, and with no tmpfs at /run."""
    for target in ("/etc/hardening-test.key", "/opt/hardening/test.key", "/run/secrets/x/y"):
        done = caller.call("run", "-q", "--runtime", runtime, "--secret", f"db,target={target}", "--", "cat", target)
        assert (done.returncode, done.stdout) == (0, planted), done.stderr
    without = ("--set", 'rootfs.tmpfs="none"', "--secret", "db")
    done = caller.call("run", "-q", "--runtime", runtime, *without, "--", "cat", "/run/secrets/db")
    assert (done.returncode, done.stdout) == (0, planted), done.stderr


def test_the_receipt_says_what_the_kernel_made_of_it(runtime: str) -> None:
    require("root")
    with detached.caller() as caller:
        keep(caller, db="planted-value", key="planted-value")
        receipt = caller.folder / "receipt.json"
        given = ("--secret", "db", "--secret", "key,mode=0440,gid=0")
        caller.say("run", "-q", "--runtime", runtime, *given, "--receipt", str(receipt), "--", "true")
        assert "planted-value" not in receipt.read_text()
        rows = [
            row
            for row in json.loads(caller.say("receipt", "--json", *given, str(receipt)))["checks"]
            if "secrets" in row["leaf"]
        ]
        assert len(rows) == 5  # two lines each, and that there is no other
        assert all(row["result"] == "holds" for row in rows), rows
        data = json.loads(receipt.read_text())
        data["secrets"][0]["mode"] = 0o444
        data["secrets"][1]["uid"] = 12345
        receipt.write_text(json.dumps(data))
        done = caller.call("receipt", "--json", *given, str(receipt))
        rows = [row for row in json.loads(done.stdout)["checks"] if "secrets" in row["leaf"]]
        assert (done.returncode, [row["result"] for row in rows].count("holds")) == (1, 3), rows


def test_the_store_is_not_shown_to_a_command(caller: Caller, planted: str) -> None:
    kept = caller.secrets / "values" / "file"
    done = caller.call("run", "-q", "--", "ls", str(kept))
    assert done.returncode != 0
    done = caller.call(
        "run", "-q", "-v", f"{caller.folder}:/data:ro", "--", "sh", "-c", "cat /data/secrets/*/*/* /data/secrets/*/*"
    )
    assert planted not in done.stdout + done.stderr
    done = caller.call("run", "-q", "-v", f"{caller.secrets}:/data:ro", "--", "sh", "-c", "cat /data/*/*/*")
    assert planted not in done.stdout + done.stderr


@SOME
def test_a_foreign_bundle_gets_what_the_profiles_give_and_no_more(caller: Caller, runtime: str, planted: str) -> None:
    bundle = caller.folder / "bundle"
    script = "cat /run/secrets/db; ls /run/secrets; stat -c %a /run/secrets/db"
    asked = ("--secret", "db,mode=0444", "--secret", "other")
    caller.say("compose", "-o", str(bundle), *asked, "--", "sh", "-c", script)
    done = caller.call("apply", str(bundle), "--secret", "db,mode=0440", "--in-place")
    assert done.returncode == 0, done.stderr
    assert "other,type=mount" in done.stdout + done.stderr
    done = caller.call("launch", "--runtime", runtime, str(bundle))
    assert (done.returncode, done.stdout) == (0, f"{planted}db\n440\n"), done.stderr
