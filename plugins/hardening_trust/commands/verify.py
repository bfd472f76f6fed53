"""``hardening trust verify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from hardening.base.openpgp.keyrings import Keyrings, keyrings
from hardening.base.units import timestamp
from hardening.cli import api
from hardening.errors import EXIT_FINDINGS, HardeningError, HostError
from hardening.images.reference import Name
from hardening_trust.commands import chosen
from hardening_trust.commands.chosen import Chosen
from hardening_trust.kinds import show_one
from hardening_trust.requirements import dump_one
from hardening_trust.subjects import OtherManifest
from hardening_trust.verification import ImageVerdict, RequirementResult, judge

ACCEPTED, REFUSED, NONE = "accepted", "refused", "no verdict"
_COLOURS = {ACCEPTED: "green", REFUSED: "red", NONE: "yellow"}


@attrs.frozen
class ImageOutcome:
    """What came of one image. Where no requirement was judged, ``verdict`` is None, and ``reason`` says why. ``code`` is the
    exit code that it asks for: 1 where it is refused, and that of the error where nobody could tell."""

    image: str
    verdict: ImageVerdict | None
    reason: str = ""
    hint: str = ""
    code: int = 0

    @property
    def result(self) -> str:
        return {0: ACCEPTED, EXIT_FINDINGS: REFUSED}.get(self.code, NONE)


@click.command(
    "verify",
    short_help="Hold images against the policy, and say why one is refused.",
    epilog="""\b
Examples:
  hardening trust verify docker.io/library/busybox
  hardening trust verify -p team.toml dir:./image registry.example.com/team/app:1
  hardening trust verify --policy policy.json --json oci:./layout:v1
""",
)
@chosen.options
@api.tls_option
@click.option("-j", "--json", "as_json", is_flag=True, help="Show all that was found of each image, as JSON.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    file: Path | None,
    registries: Path | None,
    tls_verify: bool,
    as_json: bool,
    images: Sequence[str],
) -> int:
    """Say of each IMAGE whether the policy accepts it: its manifest and signatures are fetched, and nothing else.

    IMAGE is HOST/REPOSITORY[:TAG][@DIGEST], oci:DIR[:NAME] or dir:DIR. One that is refused makes the exit code 1; one that
    could not be had, of which there is no verdict, makes it 125.
    """
    names = [api.meant(image) for image in images]
    policy = chosen.lookup(context, profiles, file, registries, verify=tls_verify)
    with keyrings() as rings:
        outcomes = [_outcome(name, policy, rings) for name in names]
    if as_json:
        api.show_json([_data(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            _show(outcome)
    return max(outcome.code for outcome in outcomes)


def _outcome(name: Name, policy: Chosen, rings: Keyrings) -> ImageOutcome:
    """What is wrong with one image is no reason to leave out the others; without GnuPG there is no verdict on any."""
    try:
        requirements = policy.match(name).requirements
        verdict = judge(policy.places.image(name), requirements, rings, policy.read_key)
        return ImageOutcome(name.full, verdict, code=0 if verdict.accepted else EXIT_FINDINGS)
    except HostError:
        raise
    except HardeningError as error:
        place = f"{error.origin}: " if error.origin is not None else ""
        code = EXIT_FINDINGS if isinstance(error, OtherManifest) else error.exit_code
        return ImageOutcome(name.full, None, f"{place}{error.message}", error.hint or "", code)


def _show(outcome: ImageOutcome) -> None:
    """The verdict, and below it what decided it."""
    verdict, more = outcome.verdict, ""
    if verdict is None:
        below = [outcome.reason, *([f"hint: {outcome.hint}"] if outcome.hint else [])]
    elif not verdict.accepted:
        below = [line for held in verdict.requirements for line in _why(held, alone=len(verdict.requirements) == 1)]
    else:
        keys = sorted({item.key for held in verdict.requirements for item in held.signatures if item.key})
        until = f", until {_date(verdict.until)}" if verdict.until is not None else ""
        more = (f", signed by {' and '.join(keys)}" if keys else "") + until
        below = [verdict.digest]
    api.show_result(outcome.image, outcome.result, _COLOURS[outcome.result], more)
    for line in below:
        api.show(f"  {line}")


def _why(held: RequirementResult, *, alone: bool) -> list[str]:
    """Why a requirement does not hold; where several signatures are refused, each with its reason."""
    if not held.reason:
        return []
    if len(held.signatures) < 2:
        return [held.reason if alone else f"{show_one(held.requirement)}: {held.reason}"]
    return [f"{show_one(held.requirement)}:", *(f"  {item.origin}: {item.reason}" for item in held.signatures)]


def _date(moment: int) -> str:
    return timestamp(moment * 10**9)


def _data(outcome: ImageOutcome) -> dict[str, Any]:
    verdict = outcome.verdict
    return {
        "image": outcome.image,
        "accepted": outcome.result == ACCEPTED,
        "verdict": outcome.result,
        "reason": outcome.reason if verdict is None else verdict.reason,
        "digest": "" if verdict is None else verdict.digest,
        "until": None if verdict is None or verdict.until is None else _date(verdict.until),
        "requirements": [] if verdict is None else [_requirement(held) for held in verdict.requirements],
    }


def _requirement(held: RequirementResult) -> dict[str, Any]:
    signatures = [
        {"origin": item.origin, "accepted": not item.reason, "key": item.key, "reason": item.reason}
        for item in held.signatures
    ]
    said = {"requirement": dump_one(held.requirement), "holds": not held.reason, "reason": held.reason}
    return {**said, "signatures": signatures}
