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
from hardening.mechanism.mechanism import ImageRequest, Mechanism, Reading
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Scalar, Setting, Statement
from hardening.mechanism.used import Used
from hardening.profile.source import Document, Node


@frozen(eq=False)
class Part:
    """One thing that a configuration says of a mechanism's setting: what that comes to, or what is wrong with it.
    ``setting`` is None where it is none that the mechanism declares."""

    setting: Setting | None
    leaf: str
    value: object
    statements: tuple[Statement, ...]
    problem: ProfileError | None = None


@frozen(eq=False)
class ImageDefaults:
    """The configuration of an image. ``config`` is its ``config`` object (OCI image spec, image configuration), ``tables``
    what mechanisms read of that as theirs, ``requests`` what they give to no image."""

    image: Used
    document: Document
    tables: Mapping[str, Mapping[str, object]]
    requests: tuple[ImageRequest, ...]

    @classmethod
    def of(cls, image: Used, config: Mapping[str, Any], mechanisms: Sequence[Mechanism[Any]]) -> ImageDefaults:
        """What the configuration offers to these mechanisms."""
        tables: dict[str, Mapping[str, object]] = {}
        requests: list[ImageRequest] = list(_of_nobody(config))
        for mechanism in mechanisms:
            table, requested = mechanism.of_image(freeze(config))
            if table:
                tables[mechanism.name] = table
            requests += requested
        place = f"image {image.reference}"
        document = Document("image", None, tables, {(name,): place for name in tables})
        return cls(image, document, tables, tuple(requests))

    def parts(self, mechanism: Mechanism[Any], reading: Reading) -> Iterator[Part]:
        """What it says in the mechanism's table, each member of a family by itself: one that is malformed takes no other
        along."""
        for path, setting, value in _statements(mechanism.schema.settings, self.tables.get(mechanism.name, {})):
            leaf = ".".join((mechanism.name, *path))
            table: Any = value
            for part in reversed(path):
                table = {part: table}
            try:
                statements = tuple(mechanism.statements(Node(table, (mechanism.name,), self.document), reading))
            except ProfileError as error:
                yield Part(setting, leaf, value, (), error)
            else:
                yield Part(setting, leaf, value, statements)

    def taken(self, mechanism: Mechanism[Any], reading: Reading) -> dict[tuple[str, str], Statement | ImageError]:
        """What stands in the place of the mechanism's strict defaults, by setting and member; what does not is noted. Of
        a setting that has an order, what cannot be read is an error wherever it would have counted: the image asked to be
        held tighter, and nobody knows how."""
        found: dict[tuple[str, str], Statement | ImageError] = {}
        for part in self.parts(mechanism, reading):
            if part.problem is not None:
                setting = part.setting
                if isinstance(setting, Scalar) and not setting.kind.unordered:
                    text = f"its configuration is invalid: {part.problem.message}"
                    hint = f"set {part.leaf} in a profile or on the command line, or use another image"
                    found[setting.name, ""] = ImageError(text, origin=self.origin, hint=hint)
                    continue
                reading.noted.append(self._refused(part.leaf, part.problem.message))
                continue
            for statement in part.statements:
                setting = mechanism.schema.settings[statement.setting]
                default = (
                    setting.default
                    if isinstance(setting, Scalar)
                    else setting.default.get(statement.member, setting.rest)
                )
                named = statement.member != WILDCARD and (isinstance(setting, Scalar) or setting.above is None)
                if named and (setting.kind.unordered or setting.kind.is_no_looser_than(statement.value, default)):
                    found[statement.setting, statement.member] = statement
                    continue
                shown, strict = setting.kind.show(statement.value), setting.kind.show(default)
                leaf = mechanism.leaf(statement.setting, statement.member)
                reading.noted.append(self._refused(str(leaf), f"{leaf}: {shown} is looser than {strict}, the default"))
        return found

    def unmet(self, leaves: Mapping[Leaf, Resolved]) -> Iterator[Finding]:
        """The requests that no layer has granted."""
        stated = {str(leaf) for leaf, resolved in leaves.items() if resolved.stated}
        for request in self.requests:
            if stated.isdisjoint(request.leaves):
                leaf = request.leaves[0] if request.leaves else ""
                yield Finding(
                    NOT_TAKEN, request.severity, request.message, leaf=leaf, origin=self.origin, hint=request.hint
                )

    @property
    def origin(self) -> str:
        """Where it is said."""
        return f"image {self.image.reference}"

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


def _of_nobody(config: Mapping[str, Any]) -> Iterator[ImageRequest]:
    """What no mechanism has a setting for."""
    signal = config.get("StopSignal")
    if isinstance(signal, str) and signal and signal.removeprefix("SIG") not in ("TERM", "15"):
        yield ImageRequest(
            f"it wants to be stopped with {signal[:20]}", f"write `hardening kill -s {quoted(signal[:20])} NAME`"
        )
    if config.get("Healthcheck"):
        yield ImageRequest(
            "it has a health check, which is not run", "let a unit of systemd, or a loop, look after the service"
        )
