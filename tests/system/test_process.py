"""The guarantees of `[process]`, as the kernel reports them of a running process, seen from the host.

Each guarantee has its counterpart: with the setting loosened, the same question gets the other answer. So no test passes
because of something else that happens to hold.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from hardening.assemble import pipeline
from hardening.errors import HostError
from hardening_process.cgroups import probe as probe_cgroups
from hardening_process.kinds import ResourceLimit
from hardening_process.limits import parse
from tests.support import audit
from tests.support.cached import Place
from tests.support.detached import caller
from tests.support.features import require
from tests.support.reports import verdict
from tests.support.runs import (
    RUNTIMES,
    Running,
    busybox_root,
    composed,
    finished,
    host_of,
    installed,
    running,
    workplace,
)
from tests.support.users import ordinary

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces", "process")

#: runc knows time namespaces from 1.2 on; they have no part here.
COMMON = '[namespaces]\ntime = "host"\n[process]\n'
#: What every test of a single setting loosens: all of them at once.
LOOSE = f"""{COMMON}
user = "0"
groups = ["5"]
umask = "022"
environment = ["TERM", "LANG", "LC_*", "MY_SECRET"]
[process.rlimits]
nofile = "2048:unlimited"
core = "unlimited"
memlock = "unlimited"
msgqueue = "unlimited"
"""


def ids(found: Running, field: str) -> set[int]:
    """The ids of a field in /proc/PID/status as the command sees them itself."""
    uids, gids = found.id_maps
    ranges = uids if field == "Uid" else gids
    return {inside + seen - outside for seen in map(int, found.status[field].split()) for inside, outside, size in ranges
            if outside <= seen < outside + size}  # fmt: skip


def wrong(found: Running, *profiles: str) -> set[str]:
    """What the mechanism's own verdict on the kernel's report does not find right."""
    return {check.leaf for check in verdict(found, "process", MECHANISMS, *profiles) if not check.holds}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_verdict_on_a_process_is_that_of_the_kernel(runtime: str) -> None:
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert wrong(found, COMMON) == set()
    if os.geteuid() == 0:
        with running(LOOSE, runtime=runtime, mechanisms=MECHANISMS) as found:
            held = wrong(found, LOOSE)
            assert held == set()
            strict = {"process.groups.*", "process.umask", "process.rlimits.nofile", "process.rlimits.core"}
            assert strict <= wrong(found, COMMON)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_command_runs_as_the_user_that_was_named(runtime: str) -> None:
    require("root")
    for user, expected in (("1000:50", ({1000}, {50})), ("0:0", ({0}, {0}))):
        with running(f'{COMMON}user = "{user}"', runtime=runtime, mechanisms=MECHANISMS) as found:
            assert (ids(found, "Uid"), ids(found, "Gid")) == expected


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_names_are_those_of_the_root_and_not_of_the_host(runtime: str) -> None:
    require("root")
    daemon = pwd.getpwnam("daemon").pw_uid
    with workplace() as folder:
        root = busybox_root(folder / "named")
        (root / "etc/passwd").write_text(f"daemon:x:{daemon + 76}:78::/srv:/bin/sh\n")
        for place, uid in ((root, daemon + 76), (Path("/"), daemon)):
            text = f'{COMMON}user = "daemon"\n[rootfs]\npath = "{place}"'
            with running(text, runtime=runtime, mechanisms=(*MECHANISMS, "rootfs")) as found:
                assert ids(found, "Uid") == {uid}


@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_an_ordinary_caller_stays_itself_and_leaves_its_groups(runtime: str) -> None:
    """Not under runc: for an ordinary caller it wants that to be uid 0 of the namespace, whom it gives its own files."""
    require("userns")
    user = ordinary()
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert set(map(int, found.status["Uid"].split())) == {user.uid}
        assert set(map(int, found.status["Gid"].split())) == {user.gid}
        assert set(map(int, found.status["Groups"].split())) <= {user.gid}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_only_named_groups_are_supplementary(runtime: str) -> None:
    require("root")
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert ids(found, "Groups") == set()
    with running(f'{COMMON}groups = ["5", "29"]', runtime=runtime, mechanisms=MECHANISMS) as found:
        assert ids(found, "Groups") == {5, 29}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_limits_are_the_kernels(runtime: str) -> None:
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        limits = parse(found.read("limits"))
        assert limits["core"] == ResourceLimit(0, 0)
        assert limits["nofile"] == ResourceLimit(1024, 4096)
        assert limits["memlock"] == ResourceLimit(65536, 65536)
        assert found.attempt("ulimit -n 4097")[0] != 0
    wider = f'{COMMON}rlimits.nofile = "64:8192"\nrlimits.core = "1M"'
    with running(wider, runtime=runtime, mechanisms=MECHANISMS) as found:
        limits = parse(found.read("limits"))
        assert limits["nofile"] == ResourceLimit(64, 8192)
        assert limits["core"] == ResourceLimit(1 << 20, 1 << 20)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_limit_without_ceiling_is_the_callers(runtime: str) -> None:
    text = f'{COMMON}rlimits.nofile = "unlimited"\nrlimits.memlock = "1:unlimited"'
    caller = parse(Path("/proc/self/limits").read_text())
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        limits = parse(found.read("limits"))
        assert limits["nofile"].hard == caller["nofile"].hard
        assert limits["memlock"] == ResourceLimit(1, caller["memlock"].hard)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_new_files_lack_the_masked_permissions(runtime: str) -> None:
    for text, mask, mode in ((COMMON, "0077", "600"), (f'{COMMON}umask = "022"', "0022", "644")):
        with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
            assert found.status["Umask"] == mask
            assert found.ask("touch /tmp/new && stat -c %a /tmp/new") == mode


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_kernel_kills_the_command_before_its_caller(runtime: str) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    for text, expected in (
        (COMMON, max(own, 0)),
        (f"{COMMON}oom_score_adj = 900", 900),
        (f"{COMMON}oom_score_adj = -900", own),
    ):
        with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
            assert int(found.read("oom_score_adj")) == max(expected, own)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_of_the_callers_environment_only_the_named_passes(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "value of the secret")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        passed = dict(entry.split("=", 1) for entry in found.read("environ").split("\0") if entry)
        assert passed.keys() <= {"PATH", "HOME", "TERM", "LANG", *(name for name in passed if name.startswith("LC_"))}
        assert passed["LC_TIME"] == "C.UTF-8"
        assert "value of the secret" not in found.read("environ")
    loose = f'{COMMON}env = ["MY_SECRET", "OTHER=a b"]'
    with running(loose, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert "MY_SECRET=value of the secret" in found.read("environ").split("\0")
        assert "OTHER=a b" in found.read("environ").split("\0")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_command_starts_in_its_directory(runtime: str) -> None:
    for text, place in ((COMMON, "/"), (f'{COMMON}cwd = "/var/tmp"', "/var/tmp")):
        with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
            assert found.ask("pwd") == place


def test_a_terminal_is_the_commands_own() -> None:
    asked = ("/bin/sh", "-c", "test -t 1 && echo terminal || echo pipe")
    for text, expected in ((COMMON, "pipe"), (f"{COMMON}terminal = true", "terminal")):
        found = finished(text, command=asked, runtime="native", mechanisms=(*MECHANISMS, "rootfs"))
        assert found.stdout.strip() == expected, found.stderr


def test_ceilings_are_those_of_a_cgroup_of_its_own() -> None:
    require("cgroups")
    ceilings = 'resources.pids = 20\nresources.memory = "64M"\nresources.cpu = "50%"\n'
    with running(f"{COMMON}{ceilings}", runtime="native", mechanisms=MECHANISMS) as found:
        assert control(found, "pids", "pids.max", "pids.max") == "20"
        assert control(found, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
        assert control(found, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
        assert wrong(found, f"{COMMON}{ceilings}") == set()
    with running(COMMON, runtime="native", mechanisms=MECHANISMS) as found:
        assert wrong(found, f"{COMMON}{ceilings}") == {
            f"process.resources.{name}" for name in ("pids", "memory", "cpu")
        }


def test_who_is_killed_for_want_of_memory_is_told_so() -> None:
    """On standard error, in the record and by `ps`; the same end by anybody's SIGKILL says nothing of memory."""
    require("cgroups")
    eats = ("tail", "/dev/zero")
    with audit.alone(), caller() as person:  # with a daemon, the records would be in its log
        options = ("run", "-q", "--memory", "32M")
        done = person.call(*options, "--", *eats)
        assert done.returncode == 137
        assert "hardening: OOM-killed (limit 32M, process.resources.memory)\n" in done.stderr
        assert "hint: `hardening explain process.resources.memory`" in done.stderr
        identity = person.start(*eats, options=("--memory", "32M"))
        assert person.say("wait", identity) == "137"
        assert person.one(identity)["reason"] == "out of memory"
        assert "exited (137, out of memory)" in " ".join(person.say("ps", "-a").split())
        ends = [json.loads(line) for line in person.say("log", "--json", "--id", identity).splitlines()]
        assert [end["error"] for end in ends if end["event"] == "end"] == ["out of memory"]
        killed = person.call(*options, "--", "sh", "-c", "sleep 600 & kill -KILL $!; wait $!")
        assert (killed.returncode, "memory" in killed.stderr) == (137, False)
        for rest in ("wait $!", "wait $!; exit 137"):  # who waits for it has another reason, or hands it on
            done = person.call("run", "--memory", "32M", "--", "sh", "-c", f"tail /dev/zero & {rest}")
            assert done.returncode == 137
            assert "hint: a process of it was OOM-killed (limit 32M, process.resources.memory); `hard" in done.stderr
            assert "hardening: OOM-killed" not in done.stderr


def control(found: Running, controller: str, old: str, new: str) -> str:
    """What the kernel says in a control file of the command's cgroup, of version 1 or 2."""
    version = probe_cgroups().controllers[controller].version
    for line in found.read("cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(",") if version == 1 else not names:
            top = Path("/sys/fs/cgroup", controller) if version == 1 else Path("/sys/fs/cgroup")
            return (top / path.lstrip("/") / (old if version == 1 else new)).read_text().strip()
    raise AssertionError(f"process {found.pid} is in no cgroup with the {controller} controller")


def test_more_processes_than_permitted_cannot_be_started() -> None:
    require("cgroups")
    many = ("/bin/sh", "-c", "n=0; while [ $n -lt 30 ]; do sleep 60 & n=$((n+1)); done; echo all")
    found = finished(f"{COMMON}resources.pids = 20", command=many, runtime="native", mechanisms=MECHANISMS)
    assert "all" not in found.stdout
    assert "fork" in found.stderr
    found = finished(f"{COMMON}resources.pids = 200", command=many, runtime="native", mechanisms=MECHANISMS)
    assert "all" in found.stdout


def test_more_memory_than_permitted_ends_the_command() -> None:
    require("cgroups")
    greedy = ("/bin/sh", "-c", "x=12345678; n=0; while [ $n -lt 24 ]; do x=$x$x; n=$((n+1)); done; echo ${#x}")
    for limit, code in (("32M", 137), ("2G", 0)):
        text = f'{COMMON}resources.memory = "{limit}"\nresources.memory_swap = "{limit}"'
        found = finished(text, command=greedy, runtime="native", mechanisms=MECHANISMS)
        assert found.code == code, found.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_groups_of_the_caller_are_left_behind(runtime: str, callers_group: int) -> None:
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert callers_group not in map(int, found.status["Groups"].split())
    shared = '[namespaces]\ntime = "host"\nuser = "host"\n[process]\nuser = "1000"\n'
    with running(shared, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.status["Groups"].split() == []
    kept = f'{shared}groups = ["{callers_group}"]'
    with running(kept, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.status["Groups"].split() == [str(callers_group)]


@pytest.fixture
def callers_group() -> Iterator[int]:
    """A supplementary group that this process has while the test runs."""
    require("root")
    before, group = os.getgroups(), 27
    os.setgroups([*before, group])
    yield group
    os.setgroups(before)


def test_an_ordinary_caller_with_one_id_is_told_that_its_groups_stay(callers_group: int) -> None:
    """What the gap says, asked of the kernel: without the setgid helper setgroups(2) is forbidden."""
    plugins = installed(MECHANISMS)
    host = attrs.evolve(host_of(ordinary(), plugins), groups=(ordinary().gid, callers_group))
    text = f'[namespaces]\nid_map = "one-id"\n{COMMON.partition("[process]")[2]}'
    with workplace() as folder:
        composition = composed([text], plugins, host, folder)
        with pytest.raises(HostError, match=r"process\.groups cannot be enforced here"):
            pipeline.assembled(plugins, composition, host, ["true"])
    code = "import os\ntry: os.setgroups([])\nexcept PermissionError: print(os.getgroups())"
    ids = [f"--reuid={ordinary().uid}", f"--regid={ordinary().gid}", f"--groups={callers_group}"]
    command = ["setpriv", *ids, "unshare", "--user", "--map-current-user", "/usr/bin/python3", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[65534]", "the group is still there, under the name of no id"


@pytest.mark.sampled("runtime")
@pytest.mark.parametrize("runtime", ["native", "crun"])
@pytest.mark.parametrize(
    "locale", [{}, {"LANG": "xx_XX.UTF-8"}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}],
)  # fmt: skip
def test_the_command_has_no_variable_that_nobody_set(locale: Mapping[str, str], runtime: str) -> None:
    """Python gives itself a locale where it finds none that it knows (PEP 538); with a cache entry and without."""
    with workplace() as folder:
        here = Place(folder, environment={"PATH": os.environ["PATH"], "HOME": str(folder), **locale})
        whole = (str(Path(here.program[0]).with_name("python")), "-I", f"{here.program[0]}-cli")
        for number, program in enumerate((here.program, here.program, whole)):
            assert here.finds("run", "-q", "--runtime", runtime, "--", "env") == bool(number)
            # Each an interpreter of its own, at whose start it is that Python looks for a locale.
            line = ("run", "-q", "--runtime", runtime, "--", "env")
            done = attrs.evolve(here, program=program).type(*line, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, done.stderr
            found = dict(line.split("=", 1) for line in done.stdout.splitlines())
            assert {name: value for name, value in found.items() if name.startswith(("LANG", "LC_"))} == locale
