"""The root file system: what the command sees of files, and where it may write.

Owns `[rootfs]`, and of the OCI spec the root, mounts, masked and read-only paths and the propagation of mounts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import frozen
from hardening.errors import quoted
from hardening.mechanism.denial import PathAnswer
from hardening.mechanism.findings import Severity
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.mechanism import (
    Context,
    ImageRequest,
    Implied,
    Mechanism,
    Option,
    Reading,
)
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.roles import READ_ONLY_RIGHTS, USUAL_RIGHTS, TightenedRoot, Volume
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Statement, read_table
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_rootfs import implied, tmpfs
from hardening_rootfs.settings import RootfsSettings

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.mechanism.evidence import Evidence, LearntStatement


@frozen
class ComposedRoot(RootfsSettings, TightenedRoot):
    """The settings, which answer for foreign configurations, too. Whoever tightens these needs the settings: they do not
    know it themselves."""

    def elsewhere(self, document: Mapping[str, Any], context: Context, place: str) -> str:
        from hardening_rootfs.tighten import elsewhere  # no launch of a composition needs it

        return elsewhere(self, document, context, place)

    def kept_writable(self, document: Mapping[str, Any], context: Context) -> Sequence[str]:
        from hardening_rootfs.tighten import kept_writable  # likewise

        return kept_writable(self, document, context)


#: The only places, or a table of places.
PLACES = {"type": ["array", "object"]}


class Rootfs(PackagedMechanism[RootfsSettings]):
    """The mechanism behind `[rootfs]`."""

    name = "rootfs"
    summary = "the root directory, read-only; what else is mounted, hidden and writable"
    settings_type = ComposedRoot  # which also answers for foreign configurations

    def forms(self) -> Mapping[str, Any]:
        return {
            "tmpfs": {"type": ["string", "array", "object"]},
            **dict.fromkeys(("volume_sources", "volume_destinations", "volume_options"), PLACES),
        }

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        permitted = ("volume_sources", "volume_destinations", "volume_options")
        readers: dict[str, Callable[[Family[Any], Node], Iterator[Statement]]]
        readers = {"tmpfs": tmpfs.read, **dict.fromkeys(permitted, _permitted)}
        for key, read in readers.items():
            family, node = self.schema.settings[key], table.get(key)
            if node is not None and isinstance(family, Family):
                yield from read(family, node)
        yield from read_table(self.schema, table, own=readers)

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[ImageRequest]]:
        volumes = config.get("Volumes")
        places = [place for place in volumes if place.startswith("/")] if isinstance(volumes, dict) else []
        return {}, [_request(os.path.normpath(place)) for place in sorted(places)]

    def implies(self, settings: RootfsSettings, limits: Mapping[tuple[str, str], Any], host: Host) -> Iterable[Implied]:
        if host.assumed:
            from hardening_rootfs import named  # no launch is of such a host

            return named.implied(settings)
        return implied.implied(settings, limits, host)

    def options(self) -> Sequence[Option]:
        return (
            Option(("--rootfs",), "path", "Root directory; the host's own root by default, read-only.", "DIR"),
            Option(("--read-only",), "read_only", "Make the root read-only.", value=True),
            Option(("--volume", "-v"), "volumes.add", "Show a file or directory of the host.", "SRC:DST[:OPTS]", True),
            Option(("--tmpfs",), "tmpfs.add", "Add a writable place in memory.", "DST[:OPTS]", True),
            Option(("--device",), "devices.add", "Show a device of the host.", "PATH", True),
        )

    def permissions(self, leaf: Leaf) -> Sequence[tuple[Any, Mapping[str, object]]]:
        if leaf.setting != "volumes" or leaf.member == WILDCARD:
            return ()
        here = os.getcwd()
        # Of directories that are there, for an example that can be tried.
        read_only = [Volume(source, leaf.member, READ_ONLY_RIGHTS) for source in (here, "/usr/share") if source != "/"]
        offered = (*read_only, *(attrs.evolve(volume, rights=USUAL_RIGHTS) for volume in read_only))
        return [(volume, self.dump({(leaf.setting, leaf.member): volume})) for volume in offered]

    def learnt(self, settings: RootfsSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
        from hardening_rootfs import learnt

        return learnt.learnt(settings, evidence)

    def covering(self, settings: RootfsSettings, host: Host, setting: str, member: str) -> str | None:
        from hardening_rootfs import shown  # no launch asks

        return shown.covering(settings, host, setting, member)

    def uncovered(
        self, settings: RootfsSettings, context: Context | None, before: RootfsSettings
    ) -> Iterable[tuple[Leaf, str]]:
        from hardening_rootfs import shown

        return shown.uncovered(settings, context, before)

    def of_path(self, settings: RootfsSettings, context: Context, path: str) -> Iterable[PathAnswer]:
        from hardening_rootfs import answers

        return answers.of_path(settings, context, path)


def _permitted(family: Family[bool], node: Node) -> Iterator[Statement]:
    """An array of the only members that are permitted, or a table of members, each `true` or `false`."""
    if isinstance(node.raw, dict):
        for key, entry in node.members():
            name = key if key == WILDCARD else family.read_member(Node(key, entry.path, entry.document))
            yield Statement(family.name, name, family.kind.parse(entry), entry.origin)
        return
    yield Statement(family.name, WILDCARD, False, node.origin)
    found = {family.read_member(item): item.origin for item in node.items()}
    yield from (Statement(family.name, name, True, origin) for name, origin in found.items())


def _request(place: str) -> ImageRequest:
    """The request of an image to write to a place."""
    return ImageRequest(
        f"it wants to write to {place}, which is read-only",
        f"--tmpfs {quoted(place)} gives it a place in memory, -v {quoted(f'DIR:{place}')} a directory of yours",
        (f"rootfs.volumes.{place}", f"rootfs.tmpfs.{place}"),
        Severity.WARNING,
    )


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Rootfs(),)


@hookimpl
def hardening_inputs(composition: Composition | None, host: Host) -> Iterable[Input | Unknown]:
    """What decides findings that a layer refuses, and no answer of the mechanism."""
    if composition is None or not composition.stack.refuses_findings:
        return ()
    from hardening_rootfs import findings

    return findings.inputs(composition)
