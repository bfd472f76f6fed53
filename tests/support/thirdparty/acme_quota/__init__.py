"""A mechanism of a third party: quotas that some daemon of theirs reads from annotations of the container.

Owns `[quota]`, and the annotations below ``com.example.quota``. It uses every form of setting that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.base.pointer import escape
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.kinds import Ceiling, Choice, Exact, Flag, Unordered
from hardening.mechanism.mechanism import Context, ImageRequest, Mechanism, Option, Violation
from hardening.mechanism.schema import Members, annotation, family, listing, scalar
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node

_COLOURS = "/annotations/" + escape("com.example.quota/colours")


def _colour(node: Node) -> str:
    name = node.string()
    if not name.isalpha():
        raise node.error(f'"{name}" is not a colour')
    return name


@attrs.frozen
class QuotaSettings:
    """Composed `[quota]`."""

    files: int = scalar(
        Ceiling(0, 1_000_000, unit="files"),
        0,
        "How many files may be made.",
        field=annotation("com.example.quota/files", int),
    )
    strict: bool = scalar(Flag(strict=True), True, "Whether the quota is enforced.")
    mode: str = scalar(Choice(("deny", "warn", "ignore")), "deny", "What happens beyond it.", name="beyond.mode")
    place: str = scalar(Exact(_colour, "a word", "none", ("none", "here", "there")), "none", "Where files are counted.")
    label: str = scalar(Unordered(Node.string, "any text", ("", "a label")), "", "A label for reports.")
    colours: Members[bool] = listing(_colour, "The colours that files may have.", examples=("red", "green"))
    sizes: Members[int] = family(
        Ceiling(size=True, unit="bytes"),
        rest=0,
        absent=0,
        help="The largest size of a file, by its name.",
        examples=("core", "log"),
    )


class Quota(Mechanism[QuotaSettings]):
    """The mechanism behind `[quota]`."""

    name = "quota"
    summary = "how many files a command may make"

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[ImageRequest]]:
        """What its labels ask for: how much is denied beyond the quota, and a label of ours."""
        labels = config.get("Labels")
        said = labels if isinstance(labels, dict) else {}
        table: dict[str, object] = {}
        if "com.example.quota.beyond" in said:
            table["beyond"] = {"mode": said["com.example.quota.beyond"]}
        if "com.example.quota.label" in said:
            table["label"] = said["com.example.quota.label"]
        return table, ()

    def options(self) -> Sequence[Option]:
        return (Option(("--quota-files",), "files", "How many files may be made.", "NUMBER"),)

    def contribute(self, settings: QuotaSettings, context: Context, fragment: Fragment) -> None:
        super().contribute(settings, context, fragment)
        _colour_annotation(settings, fragment)

    def tighten(
        self, settings: QuotaSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterator[Violation]:
        yield from super().tighten(settings, document, context, fragment)
        _colour_annotation(settings, fragment)

    def inputs(self, settings: QuotaSettings, context: Context) -> Inputs:
        return ()


def _colour_annotation(settings: QuotaSettings, fragment: Fragment) -> None:
    fragment.put(_COLOURS, " ".join(settings.colours.having(True)), "quota.colours")


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Quota(),)
