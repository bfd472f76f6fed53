"""What an image says of itself, below every layer of a stack: it is used where no layer says anything, and it never loosens.

Whoever has built an image has no say in what it may do. What it asks for is taken where it is at most as loose as the strict
default, and the layers have come to just that; or where it has no order that matters to security, such as a working
directory, and no layer says anything. So the first statement of a layer is as free as ever. Everything else is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardening.base.values import freeze, frozen
from hardening.compose.fold import Resolved
from hardening.errors import ImageError, ProfileError, quoted
from hardening.mechanism.findings import NOT_TAKEN, Finding, Severity
from hardening.mechanism.mechanism import Mechanism, Reading, Wish
from hardening.mechanism.schema import REST, Family, Leaf, Say, Scalar, Setting
from hardening.mechanism.used import Used
from hardening.profile.source import Document, Node


@frozen(eq=False)
class Part:
    """One thing that a configuration says of a mechanism's setting: what that comes to, or what is wrong with it.
    ``setting`` is None where it is none that the mechanism declares."""

    setting: Setting | None
    leaf: str
    value: object
    says: tuple[Say, ...]
    problem: ProfileError | None = None


@frozen(eq=False)
class Offer:
    """The configuration of an image. ``config`` is its ``config`` object (OCI image spec, image configuration), ``tables``
    what mechanisms read of that as theirs, ``wishes`` what they give to no image."""

    image: Used
    document: Document
    tables: Mapping[str, Mapping[str, object]]
    wishes: tuple[Wish, ...]

    @classmethod
    def of(cls, image: Used, config: Mapping[str, Any], mechanisms: Sequence[Mechanism[Any]]) -> Offer:
        """What the configuration offers to these mechanisms."""
        tables: dict[str, Mapping[str, object]] = {}
        wishes: list[Wish] = list(_of_nobody(config))
        for mechanism in mechanisms:
            table, wished = mechanism.of_image(freeze(config))
            if table:
                tables[mechanism.name] = table
            wishes += wished
        place = f"image {image.reference}"
        document = Document("image", None, tables, {(name,): place for name in tables})
        return cls(image, document, tables, tuple(wishes))

    def parts(self, mechanism: Mechanism[Any], reading: Reading) -> Iterator[Part]:
        """What it says in the mechanism's table, each member of a family by itself: one that is malformed takes no other
        along."""
        for path, setting, value in _statements(mechanism.schema.settings, self.tables.get(mechanism.name, {})):
            leaf = ".".join((mechanism.name, *path))
            table: Any = value
            for part in reversed(path):
                table = {part: table}
            try:
                says = tuple(mechanism.says(Node(table, (mechanism.name,), self.document), reading))
            except ProfileError as error:
                yield Part(setting, leaf, value, (), error)
            else:
                yield Part(setting, leaf, value, says)

    def taken(self, mechanism: Mechanism[Any], reading: Reading) -> dict[tuple[str, str], Say | ImageError]:
        """What stands in the place of the mechanism's strict defaults, by setting and member; what does not is noted. Of
        a setting that has an order, what cannot be read is an error wherever it would have counted: the image asked to be
        held tighter, and nobody knows how."""
        found: dict[tuple[str, str], Say | ImageError] = {}
        for part in self.parts(mechanism, reading):
            if part.problem is not None:
                setting = part.setting
                if isinstance(setting, Scalar) and not setting.kind.neutral:
                    found[setting.name, ""] = self._unreadable(part.leaf, part.problem.message)
                    continue
                reading.noted.append(self._refused(part.leaf, part.problem.message))
                continue
            for say in part.says:
                setting = mechanism.schema.settings[say.setting]
                default = (
                    setting.default if isinstance(setting, Scalar) else setting.default.get(say.member, setting.rest)
                )
                named = say.member != REST and (isinstance(setting, Scalar) or setting.above is None)
                if named and (setting.kind.neutral or setting.kind.at_most(say.value, default)):
                    found[say.setting, say.member] = say
                    continue
                shown, strict = setting.kind.show(say.value), setting.kind.show(default)
                leaf = mechanism.leaf(say.setting, say.member)
                reading.noted.append(self._refused(str(leaf), f"{leaf}: {shown} is looser than {strict}, the default"))
        return found

    def unmet(self, leaves: Mapping[Leaf, Resolved]) -> Iterator[Finding]:
        """The wishes that no layer has granted."""
        stated = {str(leaf) for leaf, resolved in leaves.items() if resolved.stated}
        for wish in self.wishes:
            if stated.isdisjoint(wish.leaves):
                leaf = wish.leaves[0] if wish.leaves else ""
                yield Finding(NOT_TAKEN, wish.severity, wish.message, leaf=leaf, origin=self.origin, hint=wish.hint)

    @property
    def origin(self) -> str:
        """Where it is said."""
        return f"image {self.image.reference}"

    def _unreadable(self, leaf: str, message: str) -> ImageError:
        hint = f"set {leaf} in a profile or on the command line, or use another image"
        return ImageError(f"its configuration is invalid: {message}", origin=self.origin, hint=hint)

    def _refused(self, leaf: str, message: str) -> Finding:
        hint = "set it in a profile or on the command line, if that is intended"
        return Finding(NOT_TAKEN, Severity.NOTE, message, leaf=leaf, origin=self.origin, hint=hint)


def _statements(
    settings: Mapping[str, Setting], table: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Setting | None, object]]:
    """What a table states: the path below it, the setting that this means, and the value. A setting may stand in a table of
    its own (``resources.memory``), and each member of a family is a statement by itself."""
    for key, value in table.items():
        path = (*above, key)
        name = ".".join(path)
        setting = settings.get(name)
        inner = setting is None and any(other.startswith(f"{name}.") for other in settings)
        if inner and isinstance(value, Mapping):
            yield from _statements(settings, value, path)
        elif isinstance(setting, Family) and isinstance(value, Mapping):
            yield from (((*path, member), setting, item) for member, item in value.items())
        else:
            yield path, setting, value


def _of_nobody(config: Mapping[str, Any]) -> Iterator[Wish]:
    """What no mechanism has a setting for."""
    signal = config.get("StopSignal")
    if isinstance(signal, str) and signal and signal.removeprefix("SIG") not in ("TERM", "15"):
        yield Wish(
            f"it wants to be stopped with {signal[:20]}", f"write `hardening kill -s {quoted(signal[:20])} NAME`"
        )
    if config.get("Healthcheck"):
        yield Wish(
            "it has a health check, which is not run", "let a unit of systemd, or a loop, look after the service"
        )
