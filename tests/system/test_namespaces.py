"""The guarantees of `[namespaces]`, asked of the kernel from outside the container.

Each guarantee has its counterpart: with the mechanism loosened by an exception, the same question gets the other answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hardening.errors import HostError
from hardening.mechanism.mechanism import Verification
from hardening_namespaces.host import PROC_NAMES
from hardening_namespaces.settings import _ALIASES, _SPREADING, TYPES, NamespacesSettings, spreads, sysctl_name
from tests.support.features import available, require
from tests.support.reports import verdict
from tests.support.runs import RUNTIMES, Running, assembled, composed, host_of, installed, running, workplace
from tests.support.users import REPOSITORY, User, ordinary

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces",)
CALLERS = ("root", "ordinary")
ISOLATED = [name for name in TYPES if name not in ("user", "time")]
# mount = "host" is left to runtimes that take it, and the native one does not.
LOOSENED = [name for name in ISOLATED if name != "mount"]


def caller(name: str) -> User | None:
    """Root where the tests run as root, or the ordinary user."""
    if name == "root":
        require("root")
        return None
    require("userns")
    return ordinary()


def base(runtime: str, user: User | None) -> str:
    """The strict layer, as far as the runtime goes: runc 1.1 has no time namespaces, and a rootless runc needs the
    container's root to be its caller."""
    text = "[namespaces]\n"
    if runtime == "runc":
        text += 'time = "host"\n' + ('id_map = "root"\n' if user is not None else "")
    return text


def loosened(**values: str) -> str:
    """A layer that loosens settings, each by an exception."""
    says = "".join(f'{name} = "{value}"\n' for name, value in values.items())
    exceptions = "".join(
        f'[[exceptions]]\nsetting = "namespaces.{name}"\nreason = "to see the other answer"\n' for name in values
    )
    return f"[namespaces]\n{says}{exceptions}"


def strict(runtime: str, user: User | None) -> str:
    """`base` with every setting said, so that a later layer loosens it."""
    said = "".join(f'{name} = "private"\n' for name in TYPES if name != "time")
    return base(runtime, user) + said


def failing(found: Running, user: User | None, *profiles: str) -> list[Verification]:
    """What the mechanism itself finds wrong with the kernel's report."""
    return [check for check in verdict(found, "namespaces", MECHANISMS, *profiles, user=user) if not check.holds]


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_namespace_is_the_commands_own(runtime: str, who: str) -> None:
    user = caller(who)
    text = strict(runtime, user)
    with running(text, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        shared = [name for name in TYPES if found.shares(PROC_NAMES[name])]
        assert shared == (["time"] if runtime == "runc" else [])
        assert failing(found, user, text) == []


@pytest.mark.parametrize("name", LOOSENED)
@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_namespace_that_is_loosened_is_the_hosts(runtime: str, who: str, name: str) -> None:
    user = caller(who)
    text = strict(runtime, user)
    if runtime == "crun":
        # Beside a new time namespace crun also makes a pid namespace that nobody asked for.
        text += 'time = "host"'
    with running(text, loosened(**{name: "host"}), runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        # A rootless runc runs in a cgroup namespace that the launcher makes, crun does on a hybrid host: the container
        # shares that one.
        apart = runtime == "runc" or (runtime == "crun" and not available("cgroup2-unified"))
        aside = name == "cgroup" and user is not None and apart
        shared = [] if aside else [name]
        assert [other for other in ISOLATED if found.shares(PROC_NAMES[other])] == shared
        wrong = [*shared, "hostname"] if shared == ["uts"] else shared
        assert [check.leaf for check in failing(found, user, text)] == [f"namespaces.{other}" for other in wrong]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_user_namespace_ids_are_the_hosts(runtime: str) -> None:
    require("root")
    text = strict(runtime, None)
    with running(text, loosened(user="host"), runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.shares("user")
        assert found.id_maps == ([(0, 0, 4294967295)],) * 2
        wrong = [check.leaf for check in failing(found, None, text)]
        assert wrong == [f"namespaces.{name}" for name in ("user", "uid_map", "gid_map", "id_map")]


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_root_inside_is_nobody_outside(runtime: str) -> None:
    require("root")
    text = base(runtime, None)
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        uids, gids = found.id_maps
        assert len(uids) == 1
        assert uids == gids
        inside, outside, _ = uids[0]
        assert (inside, found.ask("id -u")) == (0, "0")
        assert outside >= 65536
        assert found.status["Uid"].split() == [str(outside)] * 4
    with running(text + 'id_map = "root"', runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.status["Uid"].split() == ["0"] * 4


@pytest.mark.parametrize("kind", ["auto", "keep-id", "root", "one-id"])
@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_the_maps_of_an_ordinary_user(runtime: str, kind: str) -> None:
    require("userns")
    user = ordinary()
    with running(f'[namespaces]\nid_map = "{kind}"', runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        uids, gids = found.id_maps
        inside = 0 if kind == "root" else user.uid
        assert (inside, user.uid, 1) in uids
        assert found.ask("id -u") == str(inside)
        # Seen from outside it is the user, whatever it is called inside.
        assert found.status["Uid"].split() == [str(user.uid)] * 4
        others = sum(size for _, _, size in uids) - 1
        if kind == "one-id":
            assert (others, len(gids), found.read("setgroups").strip()) == (0, 1, "deny")
        else:
            assert others >= 65535
            assert found.read("setgroups").strip() == "allow"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_explicit_maps_are_the_kernels(runtime: str) -> None:
    require("root")
    maps = 'uid_map = ["0:700000:10", "10:800000:5"]\ngid_map = ["0:900000:20"]'
    with running(base(runtime, None) + maps, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.id_maps == ([(0, 700_000, 10), (10, 800_000, 5)], [(0, 900_000, 20)])


@contextmanager
def other_namespaces() -> Iterator[int]:
    """A process with a network, IPC and UTS namespace of its own."""
    argv = ["unshare", "--net", "--ipc", "--uts", "sh", "-c", "hostname elsewhere; echo; exec sleep 60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("user", ["private", "host"])
@pytest.mark.parametrize("name", ["net", "ipc", "uts"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_namespace_is_joined_by_path(runtime: str, name: str, user: str) -> None:
    require("root")
    with other_namespaces() as pid:
        text = base(runtime, None) + f'user = "{user}"\n{name} = "/proc/{pid}/ns/{name}"'
        with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
            assert found.namespace(name) == found.namespace(name, pid)
            assert failing(found, None, text) == []
            # The name of a joined namespace is left alone.
            assert found.ask("hostname") == ("elsewhere" if name == "uts" else "hardened")


def test_a_path_to_another_kind_of_namespace_stops_the_launch(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="is a uts namespace, not a net one"):
        assembled(['[namespaces]\nnet = "/proc/self/ns/uts"'], ["true"], folder=tmp_path, mechanisms=MECHANISMS)


# --- names, network, sysctls, clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_host_and_domain_name(runtime: str, who: str) -> None:
    user = caller(who)
    own = os.uname().nodename
    text = strict(runtime, user) + 'hostname = "box-7"\ndomainname = "example.org"'
    domain = "cat /proc/sys/kernel/domainname"
    before = Path("/proc/sys/kernel/domainname").read_text()
    with running(text, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert (found.ask("hostname"), found.ask(domain)) == ("box-7", "example.org")
        assert os.uname().nodename == own
        assert Path("/proc/sys/kernel/domainname").read_text() == before
    with running(text, loosened(uts="host"), runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert (found.ask("hostname"), found.ask(domain)) == (own, before.strip())
        assert os.uname().nodename == own


def links(found: Running) -> dict[str, str]:
    """Network devices and their flags, as the container sees them."""
    rows = [line.split(" ", 3) for line in found.ask("ip -o link").splitlines()]
    return {row[1].rstrip(":"): row[2] for row in rows}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_private_network_has_a_loopback_that_is_up_and_no_way_out(runtime: str, who: str) -> None:
    user = caller(who)
    text = strict(runtime, user)
    with running(text, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        seen = links(found)
        assert "UP" in seen["lo"].strip("<>").split(",")
        assert [name for name, flags in seen.items() if "UP" in flags.strip("<>").split(",")] == ["lo"]
        assert found.ask("ip route") == ""
        # A connection to itself works, not only the flag.
        found.ask("nc -l -p 7777 -e hostname & true")
        again = "until nc 127.0.0.1 7777 </dev/null 2>/dev/null || [ $((n += 1)) -ge 600 ]; do sleep 0.1; done"
        assert found.ask(again) == "hardened"
    with running(text, loosened(net="host"), runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert set(links(found)) >= {name.split("@")[0] for name in os.listdir("/sys/class/net")} - {"bonding_masters"}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_sysctls_are_those_of_the_container_alone(runtime: str, who: str) -> None:
    user = caller(who)
    # A new network namespace starts from the host's own ip_forward, which bridges of containers switch on.
    forward = "0" if Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1" else "1"
    values = {"net.ipv4.ip_unprivileged_port_start": "77", "kernel.shmmax": "4096", "net.ipv4.ip_forward": forward}
    said = ", ".join(f'"{name}" = "{value}"' for name, value in values.items())
    paths = {name: "/proc/sys/" + name.replace(".", "/") for name in values}
    before = {name: Path(path).read_text() for name, path in paths.items()}
    profile = base(runtime, user)
    with running(f"{profile}sysctls = {{ {said} }}", runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert {name: found.ask(f"cat {path}") for name, path in paths.items()} == values
        assert {name: Path(path).read_text() for name, path in paths.items()} == before
    with running(profile, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
        assert not set(values.items()) & {(name, found.ask(f"cat {path}")) for name, path in paths.items()}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_clock_offsets(runtime: str, who: str) -> None:
    require("timens")
    user = caller(who)
    # crun opens the offsets as the container's root, which must be the caller for that.
    profile = f"[namespaces]\n{'id_map = ' + chr(34) + 'root' + chr(34) if runtime == 'crun' else ''}\n"
    days = 1_000_000

    def uptime(text: str) -> float:
        with running(text, runtime=runtime, mechanisms=MECHANISMS, user=user) as found:
            return float(found.ask("cat /proc/uptime").split()[0])

    own = float(Path("/proc/uptime").read_text().split()[0])
    assert uptime(profile) < own + 600
    assert own + days <= uptime(f"{profile}time_offsets.boottime = {days}") < own + days + 600


# --- hosts that give less ---------------------------------------------------------------------------------------------

_BLOCKED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.support.runs import assembled
assembly = assembled([sys.argv[2]], ["true"], folder=Path(sys.argv[3]), mechanisms=("namespaces",))
print([entry["type"] for entry in assembly.spec.document["linux"]["namespaces"]])
"""


def blocked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Assemble a launch where the kernel permits not one new user namespace."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", _BLOCKED]
    return subprocess.run(
        [*argv, str(REPOSITORY), text, str(folder)], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )


def test_without_user_namespaces_a_required_launch_stops(tmp_path: Path) -> None:
    require("userns")
    done = blocked(tmp_path, "[namespaces]")
    assert done.returncode != 0
    assert "user.max_user_namespaces is 0" in done.stderr
    done = blocked(tmp_path, '[namespaces]\nrequirement = "best-effort"')
    assert done.returncode == 0, done.stderr
    assert "user" not in done.stdout
    assert "pid" in done.stdout


_NESTED = """
from hardening.mechanism.host import probe
from hardening.mechanism.schema import Scalar
from hardening_namespaces import Namespaces, idmaps
mechanism = Namespaces()
defaults = {(setting.name, "" if isinstance(setting, Scalar) else "*"): setting.default if isinstance(setting, Scalar)
            else setting.rest for setting in mechanism.schema.fields.values()}
print(mechanism.build(defaults).id_maps(probe([mechanism])))
"""


def test_root_of_a_small_user_namespace_gives_the_ids_that_it_has() -> None:
    require("root")
    maps = [f"--map-{kind}={row}" for kind in ("users", "groups") for row in ("0:0:1", "1:300000:999")]
    argv = ["unshare", "--user", *maps, sys.executable, "-c", _NESTED]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.stdout.strip() == "0:1:999", done.stderr


@pytest.mark.parametrize("who", CALLERS)
def test_the_kernel_takes_the_very_maps_that_were_planned(who: str) -> None:
    user = caller(who)
    plugins = installed(MECHANISMS)
    host = host_of(user, plugins)
    with workplace() as folder:
        settings = composed(["[namespaces]"], plugins, host, folder).settings["namespaces"]
    assert isinstance(settings, NamespacesSettings)
    maps = settings.id_maps(host)
    assert maps is not None
    with running("[namespaces]", runtime="native", mechanisms=MECHANISMS, user=user) as found:
        planned_rows = [[(item.inside, item.outside, item.size) for item in side] for side in (maps.uids, maps.gids)]
        assert [sorted(side) for side in found.id_maps] == planned_rows


#: Sets each parameter in a network of its own to another value, and prints what else the kernel has changed to that.
_SPREAD = """if True:
    import json, os, sys
    def values():
        for place, _, names in os.walk("/proc/sys/net"):
            for name in names:
                try:
                    with open(f"{place}/{name}") as file:
                        yield f"{place}/{name}"[10:].replace("/", "."), file.read().strip()
                except OSError:
                    continue
    found = {}
    for name in sys.argv[1:]:
        before = dict(values())
        if name not in before:
            continue
        value = "0" if before[name] == "1" else "1"
        with open(f"/proc/sys/{name.replace('.', '/')}", "w") as file:
            file.write(value)
        found[name] = [other for other, now in values() if now == value != before.get(other) and other != name]
    print(json.dumps(found))
"""


def test_the_kernel_has_one_parameter_for_two_names_and_gives_values_on_as_the_tables_say() -> None:
    """Each change that the kernel makes to a parameter of the same kind is one of the tables, and none is missing there."""
    require("root")
    names = [*_ALIASES, *_SPREADING]
    argv = ["unshare", "-n", sys.executable, "-c", _SPREAD, *names]
    found = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    assert {*_ALIASES, "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} <= found.keys()
    for name, changed in found.items():
        one = sysctl_name(name)
        assert {other for other in changed if sysctl_name(other) != one} == {
            other for other in changed if spreads(one, other)
        } - {"net.ipv4.conf.all.forwarding"}
        assert any(spreads(one, other) for other in changed)
    for alias, name in _ALIASES.items():
        assert name in found[alias]
        assert alias in found[name]
