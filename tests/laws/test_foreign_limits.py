"""A limit binds a foreign configuration as it binds a layer, also where no layer sets its leaf.

For each leaf of each installed mechanism that can be limited: a configuration that is composed with a looser value is
tightened under a stack that has nothing but the limit. What the looser value had made of it must be gone then, unless it
is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.assemble import pipeline
from hardening.compose.composition import Composition, compose
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdRange
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.roles import Volume
from hardening.mechanism.schema import WILDCARD, Scalar
from hardening.plugin import plugins
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import Document
from hardening.testing.laws import Case, to_layer
from hardening_apparmor.host import ApparmorFacts
from hardening_process.cgroups import Cgroups, Controller
from hardening_process.facts import ProcessFacts
from hardening_rootfs.paths import RootPath
from hardening_selinux.host import SelinuxFacts
from tests.plugins.selinux.hosts import facts as selinux_facts
from tests.support.sample import is_whole

Samples = Mapping[tuple[str, str], list[Any]]
PLUGINS = plugins.load()
MECHANISMS = [mechanism for mechanism in PLUGINS.mechanisms if "*" not in mechanism.before_launch]
#: What says which volumes there may be binds these, of which a foreign configuration keeps no others.
OF_VOLUMES = ("rootfs.volume_sources", "rootfs.volume_destinations", "rootfs.volume_options", "rootfs.volume_sockets")
#: What else a stack must say so that a launch with a looser value can be composed, by leaf or setting.
BESIDE: Mapping[str, dict[str, Any]] = {
    "namespaces.pid": {"rootfs": {"proc": {"hidepid": "off", "subset": ""}}},
    "namespaces.uid_map": {"namespaces": {"gid_map": ["0:200000:65536"]}},
    "namespaces.gid_map": {"namespaces": {"uid_map": ["0:200000:65536"]}},
    "landlock.write": {"rootfs": {"tmpfs": {"add": ["/srv:size=1M", "/opt:size=1M"]}}},
    "rootfs.volumes": {"rootfs": {"tmpfs": {"add": ["/data:size=1M"]}}},
    "capabilities.no_new_privileges": {"seccomp": {"allow": ["@strict", "@credentials"]}},
}
#: What a value of a leaf makes of a configuration beside what it gives: nobody is the freer for it.
BY_THE_WAY = {
    "process.user": ("/process/env/HOME",),
    "process.resources": ("/linux/cgroupsPath",),
    "namespaces.id_map": (
        "/process/user",
        "/process/env/HOME",
    ),  # by their numbers, which are other ids of the caller's then
    "namespaces.ipc": ("/mounts//dev/mqueue",),
    "rootfs.sys": ("/mounts//sys/fs/cgroup",),
    "secrets.given": ("/mounts/",),
    **{
        f"selinux.{name}": ("/process/selinuxLabel/level", "/linux/mountLabel/level")
        for name in ("enabled", "user", "role", "type", "mount_label", "relabel")
    },
}
#: Of these every configuration with a looser value is refused.
REFUSED = {"rootfs.path"}  # nothing but its maker can unpack a root elsewhere
#: What a refusal says that names no leaf: the command's user does not exist under the map of the limit.
BY_OTHER_WORDS = {"namespaces.id_map": "is not mapped in the user namespace that the profile asks for"}
_LABEL = ("user", "role", "type", "level")
KEYS = {"/mounts": "destination", "/linux/namespaces": "type", "/process/rlimits": "type"}


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Host, Path]:
    """This host, with AppArmor, cgroups, SELinux and variables whatever it has, and a place with directories."""
    folder = tmp_path
    for name in ("a", "b", "selinuxfs"):
        (folder / name).mkdir()
    found = host.probe(PLUGINS.mechanisms)
    groups = Cgroups("v2", {name: Controller(2, "/user.slice") for name in ("cpu", "memory", "pids")})
    variables = dict.fromkeys(("TERM", "LANG", "LC_ALL"), "C")
    more = {
        ProcessFacts: attrs.evolve(found.of(ProcessFacts), cgroups=groups, environment=variables),
        # Each label has a pair of categories of its own, so it is only the mechanism itself that has any.
        ApparmorFacts: ApparmorFacts(loaded={"base": "enforce", "web": "enforce"}),
        SelinuxFacts: selinux_facts(folder / "selinuxfs") if request.param == "selinux" else SelinuxFacts(inactive="x"),
    }
    return attrs.evolve(found, facts=MappingProxyType({**found.facts, **more})), folder


def samples_of(mechanism: Mechanism[Any], folder: Path, most: int) -> Samples:
    """The values of each leaf that can be limited, of which more than one is tried: ``most`` of each, and twice as many
    users."""
    found: dict[tuple[str, str], list[Any]] = {}
    for setting, member, value in mechanism.samples():
        declared = mechanism.schema.settings[setting]
        if member != WILDCARD and not declared.kind.unordered and setting != "requirement":
            values = found.setdefault((setting, member), [])
            values += [value]
    # Of the members of a family two, and of their values a few, stand for the others.
    names = {name: [key for key in found if key[0] == name][:2] for name, _ in found}
    found = {key: found[key][: 2 * most if key[0] == "user" else most] for keys in names.values() for key in keys}
    if mechanism.name == "namespaces":
        maps = [(), (IdRange(0, 100_000, 65_536),), (IdRange(0, 200_000, 65_536),)]
        found |= {("uid_map", ""): maps, ("gid_map", ""): maps}
    if mechanism.name == "rootfs":
        device = next(path for path in ("/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/kmsg") if os.path.exists(path))
        volume = Volume(str(folder / "a"), "/data/x")
        found = {key: value for key, value in found.items() if key[0] not in ("devices", "volumes")}
        found["path", ""] = [RootPath(str(folder / "a")), RootPath(str(folder / "b")), RootPath("/")]
        found["devices", device] = [True, False]
        found["volumes", "/data/x"] = [
            None,
            volume,
            attrs.evolve(volume, source=str(folder / "b")),
            *(attrs.evolve(volume, rights=volume.rights ^ {right}) for right in ("rw", "suid", "exec")),
            attrs.evolve(volume, propagation="rslave"),
        ]
    return found


def layer(tables: dict[str, Any]) -> Layer:
    return parse_layer(Document("beside", Path("beside.toml"), tables, {}))


@attrs.frozen(eq=False)
class Tried:
    """One leaf, with the values that are limits and values in turn."""

    mechanism: Mechanism[Any]
    key: tuple[str, str]
    here: Host
    folder: Path

    @property
    def leaf(self) -> str:
        return str(self.mechanism.leaf(*self.key))

    def composed(self, case: Case, beside: dict[str, Any]) -> Composition:
        layers = [layer({"selinux": {"requirement": "best-effort"}} | beside)]
        stack = Stack((*layers, to_layer(self.mechanism, case, "tried")))
        return compose(stack, PLUGINS.mechanisms, self.here, date(2030, 1, 1))

    def written(self, value: Any) -> dict[str, Any] | HardeningError:
        """The configuration of a stack with this value."""
        beside = next((BESIDE[name] for name in BESIDE if f"{self.leaf}.".startswith(f"{name}.")), {})
        if self.leaf == "namespaces.mount":
            return self._with_mount_namespace(value)
        if self.leaf == "rootfs.read_only":
            beside = {"rootfs": {"path": str(self.folder / "a")}}  # the host's own is never written to
        case = Case(statements={self.key: value}, exceptions=frozenset([self.key]))
        try:
            return self._document(self.composed(case, beside))
        except HardeningError as error:
            return error

    def _with_mount_namespace(self, value: str) -> dict[str, Any]:
        """No stack composes to another than one of its own."""
        document = self._document(self.composed(Case(), {}))
        others = [item for item in document["linux"]["namespaces"] if item["type"] != "mount"]
        own = {"private": [{"type": "mount"}], "host": []}.get(value, [{"type": "mount", "path": value}])
        document["linux"]["namespaces"] = [*others, *own]
        return document

    def _document(self, composition: Composition) -> dict[str, Any]:
        assembly = pipeline.assembled(PLUGINS, composition, self.here, ["/bin/true"], bundle=self.folder / "bundle")
        document: dict[str, Any] = json.loads(assembly.spec.config)
        return document

    def bound(self, limit: Any) -> tuple[Composition, dict[str, Any]] | HardeningError:
        """A stack of the limit alone, and what a command has under it by itself."""
        limits = {self.key: limit}
        setting = self.mechanism.schema.settings[self.key[0]]
        if not isinstance(setting, Scalar) and setting.listed:
            limits[self.key[0], WILDCARD] = setting.absent
        try:
            composition = self.composed(Case(limits=limits), {})
            return composition, self._document(composition)
        except HardeningError as error:
            return error

    def tightened(self, composition: Composition, document: dict[str, Any]) -> dict[str, Any] | HardeningError:
        bundle = self.folder / "bundle"
        try:
            assembly = pipeline.tighten(PLUGINS, composition, self.here, document, bundle=bundle, origin=bundle)
        except HardeningError as error:
            return error
        found: dict[str, Any] = json.loads(assembly.spec.config)
        return found


def flat(value: object, pointer: str = "") -> dict[str, Any]:
    """Each value of a document by its pointer; what a list has stands by its key, or by what it is."""
    found: dict[str, Any] = {}
    if isinstance(value, dict):
        for key, item in value.items():
            found |= flat(item, f"{pointer}/{key}")
    elif isinstance(value, list):
        # Of helpers before the command each confines what follows: what the first permits is the most.
        for item in value[: value.index("--")] if pointer == "/process/args" and "--" in value else value:
            if pointer == "/process/env":
                name, _, text = item.partition("=")
                found[f"{pointer}/{name}"] = text
            elif pointer == "/mounts" and item["type"] == "tmpfs":
                # One that is not permitted stays as an empty directory that nobody can write to.
                found[f"{pointer}/{item['destination']}"] = json.dumps(item, sort_keys=True)
            elif pointer in KEYS:
                found |= flat(item, f"{pointer}/{item[KEYS[pointer]]}")
            else:
                found[f"{pointer}/{json.dumps(item, sort_keys=True)}"] = True
    elif pointer in ("/process/selinuxLabel", "/linux/mountLabel"):
        found = {f"{pointer}/{name}": part for name, part in zip(_LABEL, str(value).split(":", 3), strict=True)}
    else:
        found[pointer] = value
    return {name: item for name, item in found.items() if not name.startswith("/annotations/") or "secrets" in name}


def kept(
    leaf: str, loose: dict[str, Any], within: dict[str, Any], after: dict[str, Any], own: dict[str, Any]
) -> tuple[set[str], set[str]]:
    """Where a looser configuration differs from one within the limit, and where the tightened one is still the same, and
    other than that of a command under the limit."""
    before, bound, found, plain = flat(loose), flat(within), flat(after), flat(own)
    ways = next((ways for name, ways in BY_THE_WAY.items() if f"{leaf}.".startswith(f"{name}.")), ())
    ways = () if leaf == "process.resources.cgroup" else ways
    # What it masks itself stays, and takes only away.
    ways = (*ways, *(name for name in before if name.startswith(("/linux/maskedPaths/", "/linux/readonlyPaths/"))))
    differing = {
        name for name in {*before, *bound} if before.get(name) != bound.get(name) and not name.startswith(ways)
    }
    return differing, {name for name in differing if found.get(name) == before.get(name) != plain.get(name)}


def outcomes(tried: Tried, values: list[Any], *, all_pairs: bool) -> Iterator[str]:
    """What came of each pair of a limit and a value beyond it; or of each limit until one value was tightened."""
    kind = tried.mechanism.schema.settings[tried.key[0]].kind
    written = cache(lambda number: tried.written(values[number]))
    limited = cache(lambda number: tried.bound(values[number]))
    for number, limit in enumerate(values):
        for other, value in enumerate(values):
            if kind.is_no_looser_than(value, limit):
                continue
            within, loose = written(number), written(other)
            if isinstance(within, HardeningError) or isinstance(loose, HardeningError):
                continue
            bound = limited(number)
            assert not isinstance(bound, HardeningError), f"{tried.leaf}: {kind.show(limit)}: {bound}"
            if tried.leaf == "namespaces.id_map" and tried.here.uid and {value, limit} == {"auto", "one-id"}:
                continue  # a map of an ordinary caller's that reaches fewer ids is kept
            after = tried.tightened(bound[0], loose)
            if isinstance(after, HardeningError):
                names = (tried.leaf, BY_OTHER_WORDS.get(tried.leaf, tried.leaf))
                assert any(name in after.message for name in names), f"{kind.show(value)}, {kind.show(limit)}: {after}"
                yield "refused"
                continue
            differing, same = kept(tried.leaf, loose, within, after, bound[1])
            if not differing:
                continue
            # Of two values without an order each has something that the other one permits.
            wrong = bool(same) if kind.is_no_looser_than(limit, value) else same == differing
            shown = f"{tried.leaf}: {kind.show(value)} under the limit {kind.show(limit)} keeps {sorted(same)[:3]}"
            assert not wrong, shown
            yield "tightened"
            if not all_pairs:
                break


@pytest.mark.parametrize(
    ("mechanism", "here"),
    [pytest.param(mechanism, mechanism.name, id=mechanism.name) for mechanism in MECHANISMS],
    indirect=["here"],
)
def test_a_limit_that_no_layer_touches_binds_a_foreign_configuration(
    mechanism: Mechanism[Any], here: tuple[Host, Path], pytestconfig: pytest.Config
) -> None:
    on, folder = here
    whole = is_whole(pytestconfig)
    samples = samples_of(mechanism, folder, 5 if whole else 3)
    untried = {str(mechanism.leaf(name)) for name, _ in samples}
    for key, values in samples.items():
        leaf = str(mechanism.leaf(key[0]))
        if leaf not in untried and not whole:
            continue  # another member of the family was tried
        found = set[str]()
        for outcome in outcomes(Tried(mechanism, key, on, folder), values, all_pairs=whole):
            found.add(outcome)
            if outcome == "tightened" and not whole:
                break
        assert found != {"refused"} or leaf in REFUSED, f"{leaf}: no configuration with a looser value is tightened"
        if found:
            untried.discard(leaf)
    waived = {*OF_VOLUMES, *(str(mechanism.leaf(name)) for name in mechanism.before_launch)}
    if on.uid:
        waived |= {f"namespaces.{name}" for name in ("user", "uid_map", "gid_map")}  # root alone has others to compose
    assert not untried - waived, "no configuration with a looser value was tried"
