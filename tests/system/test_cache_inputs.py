"""What a composition has looked at decides whether its entry is valid, and nothing else; what may not last is not kept."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardening.mechanism.inputs import way
from tests.support import users
from tests.support.cached import LINE, OPEN, PROFILE, PROGRAM, UMASK, WHOLE, Place, rewrite, write_alike
from tests.support.features import require
from tests.support.runs import busybox_root, workplace
from tests.support.users import REPOSITORY, ordinary

pytestmark = pytest.mark.system


# --- what is looked at ------------------------------------------------------------------------------------------------


def test_nothing_has_changed(typed: Place) -> None:
    typed.restore()
    assert typed.finds(*LINE)
    assert typed.finds(*LINE)


def test_input_that_gets_lost_is_told_whenever_there_is_some(typed: Place) -> None:
    typed.restore()
    told, line = "standard input is not passed on: add -i\n", ("run", *LINE[2:])
    assert told not in typed.type(*line).stderr
    with (typed.folder / "app.toml").open() as file:
        assert typed.finds(*line, stdin=file)
        assert typed.type(*line, stdin=file).stderr.endswith(told)
        assert typed.type(*LINE, stdin=file).stderr == ""
    assert told not in typed.type(*line).stderr


def _edit_profile(here: Place) -> None:
    write_alike(here.folder / "app.toml", OPEN.format("027"))


def _open_profile(here: Place) -> None:
    # The own group of an ordinary user may write.
    (here.folder / "app.toml").chmod(0o664 if os.geteuid() == 0 else 0o666)


def _open_folder(here: Place) -> None:
    here.folder.chmod(0o775 if os.geteuid() == 0 else 0o777)


def _shadow(here: Place) -> None:
    (here.folder / "config/hardening/profiles").mkdir(parents=True)
    (here.folder / "config/hardening/profiles/default.toml").write_text("")


def _rename_root(here: Place) -> None:
    (here.folder / "tree/etc/passwd").write_text("root:x:0:0:root:/elsewhere:/bin/sh\n")


def _new_directory(here: Place) -> None:
    (here.folder / "tree/new").mkdir()


def _other_link(here: Place) -> None:
    (here.folder / "tree/bin").rename(here.folder / "tree/usr-bin")
    (here.folder / "tree/bin").symlink_to("usr-bin")


def _no_volume(here: Place) -> None:
    (here.folder / "data").rmdir()
    (here.folder / "data").write_text("")


def _hidden(here: Place) -> None:
    (here.folder / "tree/etc/shadow").write_text("")


def _full(here: Place) -> None:
    (here.folder / "tree/run/file").write_text("")


CHANGES: tuple[Callable[[Place], None], ...] = (
    _edit_profile, _open_profile, _open_folder, _shadow, _rename_root, _new_directory, _other_link, _no_volume,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_on_disk_is_seen(typed: Place, change: Callable[[Place], None]) -> None:
    typed.restore()
    saved = typed.folder.parent / f"{typed.folder.name}-saved"
    shutil.copytree(typed.folder, saved, symlinks=True)
    try:
        change(typed)
        assert not typed.finds(*LINE)
        # Below a folder that others can write to, nothing of the state directory is believed, or touched.
        if change is not _open_folder:
            assert not typed.entries(), "an entry that will never be valid again is taken away"
    finally:
        for entry in typed.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.copytree(saved, typed.folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(saved)
        typed.folder.chmod(0o755)
    typed.restore()
    assert typed.finds(*LINE), "what was changed back counts again"


def test_a_volume_that_becomes_a_hard_link_of_what_is_hidden_is_refused_as_when_it_was_one(place: Place) -> None:
    secret, shown = place.folder / "secret", place.folder / "shown"
    secret.write_text("secret\n")
    shown.write_text("public\n")
    (place.folder / "app.toml").write_text(f'extends = ["default"]\n[limits.rootfs]\nhidden_paths.add = ["{secret}"]\n')
    line = ("run", "-q", "-p", "./app.toml", "-v", "./shown:/x:ro", "--", "cat", "/x")
    assert place.type(*line).stdout == "public\n"
    assert place.finds(*line)
    shown.write_text("changed\n")
    assert place.finds(*line), "its content decides nothing"
    shown.unlink()
    shown.hardlink_to(secret)
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "shows what is hidden" in done.stderr


def test_a_file_that_has_other_names_is_a_volume_of_no_entry(place: Place) -> None:
    (place.folder / "shown").write_text("public\n")
    (place.folder / "other").hardlink_to(place.folder / "shown")
    (place.folder / "app.toml").write_text(OPEN.format("077"))
    assert place.type("run", "-q", "-p", "./app.toml", "-v", "./shown:/x:ro", "--", "cat", "/x").stdout == "public\n"
    assert not place.entries(), "another of its names may be moved to a hidden place"


def test_a_socket_that_appears_in_a_volume_is_refused_by_a_layer_that_refuses_such_findings(place: Place) -> None:
    (place.folder / "data/below").mkdir(parents=True)
    (place.folder / "app.toml").write_text('extends = ["default"]\n[findings]\nrefuse = "error"\n')
    line = ("run", "-q", "-p", "./app.toml", "-v", "./data:/data", "--", "true")
    done = place.type(*line)
    assert done.returncode == 0, done.stderr
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(place.folder / "data/docker.sock"))
        done = place.type(*line)
        assert done.returncode == 2, done.stderr
        assert "rootfs/control-socket" in done.stderr


#: A call of the whole program, at which somebody else does ``{change}`` once the stack was read and before it is looked at.
MEANWHILE = """
import sys
from pathlib import Path
from hardening import cli
from hardening.cli import stored
def storable(*arguments, before=stored.storable, **options):
    {change}
    return before(*arguments, **options)
stored.storable = storable
sys.argv[0] = "hardening"
sys.exit(cli.main())
"""


def test_a_second_profile_of_the_name_that_comes_once_it_was_looked_up_makes_a_plan_that_never_counts(
    place: Place,
) -> None:
    second = place.folder / "config/hardening/profiles/batch.toml"
    second.parent.mkdir(parents=True)
    (place.folder / "new").write_text(OPEN.format("077"))
    line = ("run", "-q", "-p", "batch", "--", "true")
    changed = MEANWHILE.format(change=f'Path("new").rename({str(second)!r})')
    done = Place(place.folder, (sys.executable, "-c", changed)).type(*line)
    assert done.returncode == 0, done.stderr
    assert len(place.entries()) == 1
    done = place.type(*line)
    assert done.returncode == 2
    assert str(second) in done.stderr
    second.unlink()
    assert place.type(*line).returncode == 0
    assert place.finds(*line)


def test_a_change_composes_anew_and_runs_what_is_said_now(place: Place) -> None:
    (place.folder / "app.toml").write_text(PROFILE.format("077"))
    assert place.type(*UMASK).stdout == "0077\n"
    write_alike(place.folder / "app.toml", PROFILE.format("027"))
    done = place.type(*UMASK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "umask" in done.stderr
    assert not place.entries()
    write_alike(place.folder / "app.toml", PROFILE.format("077"))
    assert place.type(*UMASK).stdout == "0077\n"
    assert len(place.entries()) == 1


@pytest.mark.parametrize("user", ["host", "new"])
def test_a_mount_point_that_is_gone_is_refused_and_not_made_by_the_launch(place: Place, user: str) -> None:
    if user == "host":
        require("root")
    (place.folder / "volume/sub").mkdir(parents=True)
    (place.folder / "other").mkdir()
    volumes = [f"{place.folder}/volume:/x:rw", f"{place.folder}/other:/x/sub:ro"]
    text = f'extends = ["default"]\n[rootfs]\nvolumes = {json.dumps(volumes)}\n'
    if user == "host":
        text += '[namespaces]\nuser = "host"\n[[exceptions]]\nsetting = "namespaces.user"\nreason = "a test"\n'
    (place.folder / "app.toml").write_text(text)
    busybox_root(place.folder / "tree")
    line = ("run", "-q", "-p", "./app.toml", "--rootfs", "./tree", "--", "sh", "-c", "echo good")
    for _ in range(2):
        done = place.type(*line)
        assert done.stdout == "good\n", done.stderr
    assert len(place.entries()) == 1
    (place.folder / "volume/sub").rmdir()
    done = place.type(*line)
    assert (done.returncode, done.stdout, "/x/sub" in done.stderr) == (2, "", True), done.stderr
    assert not (place.folder / "volume/sub").exists()


@pytest.mark.parametrize(
    "surroundings",
    [
        {"changes": {"LC_TIME": "C"}},
        {"changes": {"HOME": "/var/empty"}},
        {"changes": {"XDG_CONFIG_HOME": "/var/empty"}},
        {"changes": {"LD_LIBRARY_PATH": "/var/empty"}},
        {"cwd": "/"},
        {"umask": 0o027},
    ],
    ids=str,
)
def test_surroundings_count_and_leave_the_entry_to_those_that_have_them(
    typed: Place, surroundings: dict[str, Any]
) -> None:
    typed.restore()
    assert not typed.finds(*LINE, **surroundings)
    assert typed.finds(*LINE)


@pytest.mark.parametrize("words", [("run", "--runtime", "crun", *LINE[1:]), ("run", *LINE), (*LINE[:1], *LINE[2:])])
def test_other_options_are_another_key(typed: Place, words: tuple[str, ...]) -> None:
    typed.restore()
    assert not typed.finds(*words)


@pytest.mark.parametrize("change", ["limit", "oom"])
def test_the_caller_s_own_limits_count(typed: Place, change: str) -> None:
    import resource

    def lower() -> None:
        if change == "limit":
            resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
        else:
            Path("/proc/self/oom_score_adj").write_text("300")

    typed.restore()
    assert not typed.finds(*LINE, preexec_fn=lower)


EXPIRING = """extends = ["strict"]
process.umask = "022"
[[exceptions]]
setting = "process.umask"
reason = "shared files"
expires = {}
"""


@pytest.mark.parametrize(("left", "days"), [(0, 0), (29, 0), (30, 0), (31, 0), (32, 1), (400, 369)])
def test_an_entry_ends_before_anything_else_is_told_of_its_exceptions(place: Place, left: int, days: int) -> None:
    """A finding may be what refuses the stack: that it ends soon, or how soon."""
    today = datetime.now(UTC).date()
    (place.folder / "app.toml").write_text(EXPIRING.format(today + timedelta(days=left)))
    assert place.type(*UMASK).stdout == "0022\n"
    assert place.read()["until"] == str(today + timedelta(days=days))
    assert place.finds(*UMASK)
    rewrite(place.entries()[0], until=str(today - timedelta(days=1)))
    assert not place.finds(*UMASK)


def test_no_time_zone_gives_an_exception_another_day(place: Place) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    text = f"""extends = ["strict"]
process.umask = "022"
[[exceptions]]
setting = "process.umask"
reason = "shared files"
expires = {day}
"""
    (place.folder / "app.toml").write_text(text)
    for zone in ("UTC+24", "UTC-24"):
        done = place.type(*UMASK, changes={"TZ": zone})
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "its last day" in done.stderr
    (place.folder / "app.toml").write_text(text.replace(str(day), str(day + timedelta(days=1))))
    for zone in ("UTC-24", "UTC+24"):
        assert place.type(*UMASK, changes={"TZ": zone}).stdout == "0022\n"
    found = place.read()
    assert found["until"] == str(day + timedelta(days=1))
    rewrite(place.entries()[0], until=str(day))
    assert not place.finds(*UMASK, changes={"TZ": "UTC+24"})


def test_a_time_zone_that_python_cannot_have_is_said(place: Place) -> None:
    # tzfile(5): one kind of local time, twenty years behind UTC.
    zone = struct.pack(">4s16x6llbb4s", b"TZif", 0, 0, 0, 0, 1, 4, -20 * 365 * 86400, 0, 0, b"OLD")
    (place.folder / "zone").write_bytes(zone)
    for words in (("run", "-q", "-p", "strict", "--", "true"), ("profile", "list"), ("log",)):
        # An interpreter of its own: it is at its start that Python takes a time zone.
        done = place.type(*words, changes={"TZ": f":{place.folder}/zone"}, stdin=subprocess.DEVNULL)
        assert done.returncode == 125
        assert done.stderr.startswith("hardening: the time zone in TZ cannot be used: "), done.stderr
        assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("caller", ["own", "ordinary"])
def test_every_file_that_a_composition_opens_is_an_input_or_code(caller: str) -> None:
    """Held against what strace(1) sees of the process that composes, for stacks that use much."""
    user = ordinary() if caller == "ordinary" else None
    with workplace(user) as folder:
        whole, before, environment = WHOLE, list[str](), dict(os.environ)
        if user is not None:
            folder_of = Path(users.program(user)).parent
            whole = (str(folder_of / "python"), "-I", "-B", str(folder_of / "hardening-cli"))
            before, environment = user.argv([]), dict(user.environment)
        busybox_root(folder / "tree")
        (folder / "data").mkdir()
        trace = folder / "trace"
        strace = (*before, "strace", "-f", "-s", "4096", "-e", "trace=%file", "-o", str(trace))
        here = Place(folder, (*strace, *whole), environment)
        lines: tuple[tuple[str, ...], ...] = (
            ("-p", "strict", "--", "true"),
            ("-p", "default", "-v", "./data:/srv/data:ro", "--memory", "64M", "-u", "nobody", "--", "true"),
            ("-p", "default", "--runtime", "runc", "--rootfs", "./tree", "-v", "./data:/data", "--", "/bin/true"),
        )
        for words in lines if user is None and os.geteuid() == 0 else lines[:1]:
            shutil.rmtree(here.state, ignore_errors=True)
            done = here.type("run", "-q", *words)
            assert len(here.entries()) == 1, done.stderr
            assert _undeclared(trace, here.read()["inputs"], here, Path(whole[0]).parents[1]) == set()


def _undeclared(trace: Path, inputs: dict[str, dict[str, str]], here: Place, prefix: Path) -> set[str]:
    declared = {_path(kind, argument) for kind, table in inputs.items() for argument in table}
    mounts = inputs.get("mounts", {})
    absent = {path for path, seen in inputs["name"].items() if seen == "-"}
    listed = {*inputs.get("entries", {}), *inputs.get("empty", {})}
    return {
        path
        for path in _opened(trace, here.folder)
        if path not in declared
        and os.path.dirname(path) not in listed
        and not any(path.startswith(f"{name}/") for name in absent)
        and not all(item.argument in declared for item in way(path))
        and not _is_of_python(path, here, prefix)
        # The facts of all cgroups are found out, and used where there are ceilings.
        and not ("cgroup cgroup2" not in mounts and path.startswith(("/proc/self/cgroup", "/sys/fs/cgroup")))
        and path != "/proc/self/mountinfo"
        and path != "/bin/true"  # a command is looked at whenever it is run
    }  # fmt: skip


def _path(kind: str, argument: str) -> str:
    return argument.split("\n")[0] if kind == "lines" else argument.partition(" ")[2] if kind == "access" else argument


def _opened(trace: Path, folder: Path) -> set[str]:
    """The paths that the first process names until it becomes the launcher."""
    rows = trace.read_text().splitlines()
    first = rows[0].split()[0]
    found: set[str] = set()
    for row in rows:
        match = re.match(r'(\d+) +(\w+)\((?:AT_FDCWD, )?"([^"]*)"', row)
        if match is None or match[1] != first or match[2].startswith("symlink"):
            continue
        if match[2] == "execve" and "hardening.launch" in row:
            break
        found.add(os.path.normpath(os.path.join(folder, match[3])))
    return found


def _is_of_python(path: str, here: Place, prefix: Path) -> bool:
    """What the interpreter, the loader and the C library open to start, what this process says of itself, and the state."""
    code = {*sys.path, os.path.dirname(os.__file__), sys.prefix, os.path.dirname(sys._base_executable)}  # type: ignore[attr-defined]
    # Of what the environment was made with, wherever that lies.
    home = next(line for line in (prefix / "pyvenv.cfg").read_text().splitlines() if line.startswith("home = "))
    base = Path(home.removeprefix("home = ")).parent
    code |= {str(prefix), f"{base}/bin", f"{base}/lib/python3.{sys.version_info.minor}", f"{base}/share/locale"}
    code |= {"/usr/lib/locale", "/usr/share/locale", "/usr/share/locale-langpack", str(here.state), "/usr/lib/ssl"}
    alone = {"/etc/localtime", "/etc/ld.so.preload", "/proc/sys/vm/overcommit_memory", "/proc/uptime", "/"}
    # A sitecustomize module of the machine's looks at the processor.
    alone |= {"/proc/self/stat", "/proc/self/maps", "/proc/cpuinfo", str(here.folder), f"{base}/lib"}
    if base != Path("/usr"):  # built elsewhere, it looks where it was meant to lie
        alone |= {f"{sys.base_prefix}/lib", "/proc/self/exe"}
    library = re.search(r"\.so[.\d]*$|gconv-modules|/tls/|/glibc-hwcaps", path) is not None
    library = library or path.endswith(f"/python3{sys.version_info.minor}.zip")
    return path in alone or library or any(path == place or path.startswith(f"{place}/") for place in code if place)


# --- what is not stored -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--fresh",),
        ("--receipt", "r.json"),
        ("-e", "API_TOKEN=x"),
        ("--rootfs", "./tree", "--set", "rootfs.read_only=false"),
    ],
    ids=str,
)
def test_what_may_not_last_is_not_stored(place: Place, options: tuple[str, ...]) -> None:
    busybox_root(place.folder / "tree")
    shutil.rmtree(place.folder / "tree/run")
    done = place.type("run", "-q", "-p", "base", *options, "--", "/bin/true")
    assert done.returncode == 0, done.stderr
    assert not place.entries()
    assert not list(place.state.glob("launches/*"))


def test_a_variable_that_passes_is_in_no_file_and_all_is_for_the_caller_alone(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line, changes={"LANG": "aa_MARKER.UTF-8"}).returncode == 0
    (entry,) = place.entries()
    assert not [path for path in place.state.rglob("*") if path.is_file() and b"MARKER" in path.read_bytes()]
    for path in (entry, place.bundle() / "config.json", place.bundle() / "seccomp.bpf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (place.state / "cache", *place.state.glob("cache/*/"), *place.state.glob("cache/*/*/")):
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o711


THIRD = """
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.admission import Verdict

@hookimpl
def hardening_admit(candidate):
    return None
"""
DECLARED = """
@hookimpl
def hardening_inputs(composition, host):
    return ()
"""


REFUSING = THIRD.replace("import Verdict", "import Refusal, Verdict").replace(
    "return None", 'return Verdict("third", (Refusal("no launches today", ""),))'
)


def _install(folder: Path, text: str, version: str, headers: str = "") -> None:
    """Install a plugin into a folder of packages."""
    for old in folder.glob("*.dist-info"):
        shutil.rmtree(old)
    info = folder / f"third-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: third\nVersion: {version}\n{headers}")
    (info / "entry_points.txt").write_text("[hardening]\nthird = third_plugin\n")
    (folder / "third_plugin.py").write_text(text)
    time.sleep(0.1)  # code that is younger than the process that loads it is not vouched for


@pytest.fixture
def elsewhere(place: Place) -> Place:
    """The same place with a program in an environment of its own, which has the packages of the system and the caller."""
    environment = place.folder / "environment"
    venv.create(environment, system_site_packages=True, symlinks=True)
    packages = environment / "lib/python{}.{}/site-packages".format(*sys.version_info)
    ours = sysconfig.get_path("purelib")
    (packages / "_hardening.pth").write_text(
        f"{REPOSITORY}\n{ours}\n{place.folder}/later\n{REPOSITORY}/plugins\n{REPOSITORY}/profiles\n"
    )
    backend = importlib.util.find_spec("_cffi_backend")
    assert backend is not None
    assert backend.origin is not None
    (packages / Path(backend.origin).name).symlink_to(backend.origin)
    for script in (PROGRAM, PROGRAM.with_name("hardening-cli")):
        text = script.read_text().replace(f"#!{sys.executable}", f"#!{environment}/bin/python", 1)
        (environment / "bin" / script.name).write_text(text)
        (environment / "bin" / script.name).chmod(script.stat().st_mode)
    time.sleep(0.1)  # as above
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return Place(place.folder, (str(environment / "bin/hardening"),), {**variables, "HOME": str(place.folder)})


def test_a_plugin_that_judges_without_saying_what_it_looks_at_keeps_all_from_being_stored(elsewhere: Place) -> None:
    _install(elsewhere.folder / "later", THIRD, "1.0")
    assert elsewhere.type("run", "-q", "-p", "strict", "--", "true").returncode == 0
    assert not elsewhere.entries()


def test_a_plugin_counts_with_the_version_that_it_is_made_for(elsewhere: Place) -> None:
    _install(elsewhere.folder / "later", THIRD + DECLARED, "1.0", "Requires-Dist: hardening>=00\n")
    headers = elsewhere.folder / "later/third-1.0.dist-info/METADATA"
    line = ("run", "-q", "-p", "strict", "--", "echo", "RAN")
    assert elsewhere.type(*line).stdout == "RAN\n"
    assert elsewhere.finds(*line)
    write_alike(headers, headers.read_text().replace(">=00", ">=99"))
    done = elsewhere.type(*line)
    assert (done.returncode, done.stdout) == (125, "")
    assert "plugin third (third 1.0) requires hardening >=99" in done.stderr


def test_a_plugin_counts_with_its_version_and_its_code(elsewhere: Place) -> None:
    site = elsewhere.folder / "later"
    _install(site, THIRD + DECLARED, "1.0")
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert elsewhere.type(*line).returncode == 0
    assert elsewhere.finds(*line)
    elsewhere.keep()
    _install(site, THIRD + DECLARED, "1.1")
    assert not elsewhere.finds(*line)
    _install(site, THIRD + DECLARED, "1.0")
    elsewhere.restore()
    write_alike(site / "third_plugin.py", (THIRD + DECLARED).replace("return None", "return 0 or None"[:11]))
    assert not elsewhere.finds(*line)


JUDGE = THIRD.replace("import Verdict", "import Refusal, Verdict").replace(
    "    return None",
    '    if {read}[0] == "cat":\n        return Verdict("third", (Refusal("no cats", ""),))\n    return None',
)


def test_what_a_plugin_judges_of_a_command_counts_for_this_command_alone(elsewhere: Place) -> None:
    _install(elsewhere.folder / "later", JUDGE.format(read="candidate.command") + DECLARED, "1.0")
    line = ("run", "-q", "-p", "strict", "--")
    assert elsewhere.type(*line, "true").returncode == 0
    assert elsewhere.finds(*line, "true")
    assert not elsewhere.finds(*line, "true", "x")
    for _ in range(2):
        done = elsewhere.type(*line, "cat", "/etc/hostname")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no cats" in done.stderr
    assert elsewhere.finds(*line, "true")
    assert elsewhere.type("cache", "clear").returncode == 0
    composed = 'candidate.composed["process"].get("args", ["?"])'
    _install(elsewhere.folder / "later", JUDGE.format(read=composed) + DECLARED, "1.1")
    assert elsewhere.type(*line, "cat", "/dev/null").returncode == 0, "it has read what has no command"
    assert elsewhere.finds(*line, "true", "x")


def test_a_plugin_of_the_caller_s_own_is_none(elsewhere: Place) -> None:
    """Nor one that a variable brings: packages of the program's environment alone take part."""
    own = elsewhere.folder / ".local/lib/python{}.{}/site-packages".format(*sys.version_info)
    _install(own, REFUSING + DECLARED, "1.0")
    changes: dict[str, str | None] = {"PYTHONPATH": str(own)}
    assert elsewhere.type("run", "-q", "-p", "strict", "--", "true", changes=changes).returncode == 0


def test_a_plugin_in_a_directory_that_did_not_exist_judges_what_was_stored_before(elsewhere: Place) -> None:
    """Where a line of a .pth file has led to nothing so far."""
    line = ("run", "-q", "-p", "strict", "--", "echo", "ran")
    for _ in range(2):
        done = elsewhere.type(*line)
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
        assert len(elsewhere.entries()) == 1
    _install(elsewhere.folder / "later", REFUSING + DECLARED, "1.0")
    done = elsewhere.type(*line)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "no launches today" in done.stderr
    assert not elsewhere.entries()
