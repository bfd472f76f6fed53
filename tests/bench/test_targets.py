"""Which targets a result reaches."""

from __future__ import annotations

from typing import Any

from tests.bench.results import result
from tests.bench.targets import Target, targets


def test_each_target_and_its_value() -> None:
    found = {one.measure: (one.value, one.verdict) for one in targets(result())}
    assert found == {
        "`hardening launch BUNDLE` / `crun run`": (15 / 8, "reached"),
        "`hardening run`, unchanged stack / `runc run`": (20 / 30, "reached"),
        "`hardening run`, unchanged stack / `podman run`": (20 / 80, "missed"),
        "`hardening run`, new command and folder / repeated": (22 / 20, "reached"),
        "`hardening run`, new command and folder / `podman run`": (22 / 80, "reached"),
        "`hardening run`, first composition / `podman run`": (200 / 80, "missed"),
        "a signed image, unchanged verdict − its root as a directory (native)": (2.0, "reached"),
        "a signed image, unchanged verdict − its root as a directory (crun)": (15.0, "missed"),
        "`trust verify` of 100 images, `docker:` / skopeo": (0.25, "reached"),
        "`trust explain`, 10,000 scopes / 10": (2.1e-6 / 2e-6, "reached"),
        "`hardening learn`, a hundred short processes recorded / unrecorded": (1.5, "reached"),
        "`hardening score` / `hardening compose`": (1.25, "reached"),
        "`hardening launch` with Landlock / without": (0.042 / 0.04, "reached"),
        "`hardening inspect --all` of all containers, against a stack": (1.5, "reached"),
        "`hardening diff` of two shipped profiles, the worst pair / composing both": (1.3, "reached"),
        "`hardening prove` of two shipped profiles, the worst pair / composing both": (1.6, "missed"),
        "`hardening lint` of 2,000 profiles, each of them after the start": (2.1, "reached"),
        "PSS of all that waits for the command": (9.5, "missed"),
        "composing: profiles, exponent of the fit": (1.0, "reached"),
        "`strict`: worst allowed system call, BPF instructions / crun's filter": (12 / 326, "reached"),
    }


def test_the_bound_itself_is_reached() -> None:
    assert Target("", 2.0, 2.0).reached
    assert not Target("", 2.001, 2.0).reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    bare: dict[str, Any] = {
        "launches": {},
        "memory": {},
        "curves": {},
        "instructions": {"strict": {"hardening": {}, "crun": {}}},
    }
    assert {one.verdict for one in targets(bare)} == {"not measured"}
    assert len(list(targets(bare))) == 10
