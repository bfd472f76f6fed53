"""Places that runs have not used."""

from __future__ import annotations

import errno
from pathlib import Path

from hardening.learn import layer
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import Evidence, Usage
from hardening_rootfs import Rootfs
from tests.plugins.rootfs.stacks import composed, context_of, settings_of


def use(path: str, *access: str, error: int = 0) -> Usage:
    return Usage(SystemCall("openat", 257, 0, (), Caller(0), path=path, access=frozenset(access), error=error))


def test_what_a_link_of_the_root_leads_to_is_used(tmp_path: Path) -> None:
    (tmp_path / "root/var").mkdir(parents=True)
    (tmp_path / "root/run").mkdir()
    (tmp_path / "root/var/run").symlink_to("/run")
    base = f'[rootfs]\npath = "{tmp_path}/root"\ntmpfs = ["/run", "/tmp"]\n'
    evidence = Evidence((use("/var/run/demo.pid", "create"),), 1, {})
    said = Rootfs().learnt(settings_of(tmp_path, base), context_of(composed(tmp_path, base)), evidence)
    assert [one.value for one in said] == ["/tmp"]


def test_a_place_in_memory_that_was_only_looked_at_goes_and_uncovers_nothing(tmp_path: Path) -> None:
    """Nothing is found in it that was not made there, and `/run` of the host is never shown."""
    base = '[rootfs]\ntmpfs = ["/run", "/tmp", "/var/tmp"]\n'
    uses = (
        use("/run", "search"),
        use("/run/nscd/socket", error=errno.ENOENT),
        use("/tmp/a", "create"),
        use("/var/tmp", "read"),
    )
    said = Rootfs().learnt(settings_of(tmp_path, base), context_of(composed(tmp_path, base)), Evidence(uses, 1, {}))
    assert [(*one.key, one.value) for one in said] == [
        ("tmpfs", "drop", "/run"),
        ("tmpfs", "add", "/var/tmp:size=4K,mode=1555"),
    ]


def test_a_place_that_no_run_has_used_goes_and_one_that_was_only_read_is_read_only(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("unused", "read", "written")]
    for folder in folders:
        folder.mkdir()
    volumes = ", ".join(f'"{folder}:/{folder.name}"' for folder in folders)
    base = f'[rootfs]\ntmpfs = ["/tmp", "/run"]\nvolumes = [{volumes}]\n'
    above = (use("/", "read"), use("/running", "read"))
    uses = (*above, use("/tmp/a", "write"), use("/read/a", "read"), use("/written/a", "create"))
    composition = composed(tmp_path, base)
    statements = {
        "rootfs": tuple(Rootfs().learnt(settings_of(tmp_path, base), context_of(composition), Evidence(uses, 1, {})))
    }
    text = "\n".join(layer._table(statements["rootfs"]))
    after = settings_of(tmp_path, base, f"[rootfs]\n{text}\n")
    assert list(after.mounted_tmpfs()) == ["/tmp"]
    assert {volume.target: volume.writable for volume in after.mounted_volumes()} == {"/read": False, "/written": True}
    assert not layer.loosened(statements)
