"""What stacks share is composed once, and comes to what each comes to by itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hardening.cli.session import Session
from hardening.compose.composition import Composition, compose
from hardening.compose.part import SharedParts
from hardening.errors import HardeningError
from hardening.mechanism.host import neutral
from hardening.profile.layers import Layer, read_layer, resolve
from tests.support import runs

TODAY = date(2026, 1, 1)
#: Of one leaf, of all of a family, of limits, of what other mechanisms decide, and of nothing but exceptions.
LAYERS = {
    "one": 'extends = ["default"]\n[seccomp]\ndeny = ["ptrace"]\n[capabilities]\ndrop = ["CHOWN"]\n',
    "all": 'extends = ["default"]\n[seccomp]\ndefault = "deny"\nallow = ["@strict"]\n[capabilities]\ndrop = ["ALL"]\n',
    "limit": '[limits.seccomp]\ndeny = ["@mount"]\n[limits.capabilities]\ndrop = ["ALL"]\nadd = ["KILL"]\n',
    "above": '[limits.rootfs]\nvolume_sources = ["/srv"]\n[rootfs]\nvolumes.add = ["/srv/a:/a"]\n',
    "filter": '[capabilities]\ndrop = ["ALL"]\n[seccomp]\nprofile = "filter.json"\n',
    "excepted": 'extends = ["strict"]\n[[exceptions]]\nsetting = "seccomp.ptrace"\nreason = "x"\n',
    "complete": "complete = true\n",
    "wrong": 'extends = ["strict"]\n[rootfs]\nread_only = false\nproc.hidepid = "off"\n',
}
FILTER = """{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
  {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
  {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}}]}"""


def told(found: Composition | HardeningError) -> object:
    if isinstance(found, HardeningError):
        return str(found)
    return dict(found.leaves), dict(found.settings), found.findings, found.looked


def test_what_layers_come_to_is_the_same_with_and_without_what_was_composed_before(tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_text(FILTER)
    for name, text in LAYERS.items():
        (tmp_path / f"{name}.toml").write_text(text)
    plugins = runs.installed()
    host, search, shared = neutral(plugins.mechanisms), Session(plugins).search, SharedParts()
    known: dict[Path, Layer] = {}

    def reader(path: Path, name: str, **more: object) -> Layer:
        return known.setdefault(path, read_layer(path, name))

    def composed(names: list[str], parts: SharedParts | None) -> Composition | HardeningError:
        try:
            stack = resolve([str(tmp_path / f"{name}.toml") for name in names], search, reader=reader)
            return compose(stack, plugins.mechanisms, host, TODAY, memory=parts)
        except HardeningError as error:
            return error

    pairs = [[one, two] for one in LAYERS for two in LAYERS if one != two]
    results = [(composed(pair, shared), composed(pair, None)) for pair in [*pairs, *pairs[:4]]]
    for with_it, without in results:
        assert told(with_it) == told(without)
    failed = sum(isinstance(one, HardeningError) for one, _ in results)
    assert 4 < failed < len(results) - 20, "both kinds are compared"
    first, again = results[0][0], results[len(pairs)][0]
    assert isinstance(first, Composition)
    assert isinstance(again, Composition)
    last = first.stack.layers[-1]
    kept = first.settings.keys() - {
        *last.tables,
        *last.limits,
        *(item.setting.partition(".")[0] for item in last.exceptions),
    }
    assert all(first.settings[name] is again.settings[name] for name in kept), "it is not composed twice"
    assert kept & first.stack.layers[0].tables.keys()
