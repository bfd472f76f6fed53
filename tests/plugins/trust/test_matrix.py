"""`plugins/hardening_trust/verification.py` agrees with skopeo on generated cases."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hardening.base.openpgp.keyrings import Keyrings, keyrings
from hardening.errors import HardeningError
from hardening.images.reference import parse
from hardening_trust import jsontree, registriesd
from hardening_trust.requirements import read_all
from hardening_trust.signatures import UnreadableSignature
from hardening_trust.subjects import SignatureLocations
from hardening_trust.verification import judge
from tests.plugins.trust import matrix
from tests.plugins.trust.counts import COUNTS
from tests.plugins.trust.matrix import SUBKEY, Case, World
from tests.plugins.trust.pushing import push
from tests.support.gpg import Keys, no_agents
from tests.support.registry import registry
from tests.support.sample import is_whole

PAGE = Path(__file__).parents[3] / "docs/reference/trust.md"
#: Cases that an ordinary run takes, chosen by chance, but always the same; `--all` takes all.
SAMPLE = 30
#: What skopeo says where it has looked at the image, and at a signature that it cannot read.
_REFUSALS = ("Source image rejected", "unrecognized signature format", "empty signature", "parsing signature")


@pytest.fixture(scope="module")
def world(gpg_keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    with registry(tmp_path_factory.mktemp("registry")) as running:
        target = f"docker://{running.host}/{matrix.REPOSITORY}:{matrix.TAG}"
        yield World(folder, running.host, gpg_keys, *push(folder, target, matrix.TAG))


def skopeo(world: World, case: Case, target: Path) -> str:
    """Why skopeo refuses a case; empty where it copies the image."""
    argv = ["skopeo", "--policy", str(world.policy(case)), "--registries.d", str(world.registries(case)), "copy", "-q"]
    argv += ["--remove-signatures", "--src-tls-verify=false", world.image(case), f"dir:{target}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or any(words in done.stderr for words in _REFUSALS), (case, done.stderr)
    return "" if done.returncode == 0 else done.stderr


def ours(world: World, case: Case, rings: Keyrings) -> str:
    """Why we refuse it; empty where we accept it."""
    path = world.policy(case)
    root = jsontree.document(path.read_bytes(), path).root
    default = root.get("default")
    assert default is not None
    image = SignatureLocations(registriesd.read(world.registries(case)), verify=False).image(parse(world.image(case)))
    try:
        return judge(image, read_all(default), rings).reason
    except (UnreadableSignature, HardeningError) as error:
        return str(error)


def _apart(cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """The cases that can be tried at once, with what has to be attached in the registry for them."""
    yield "", [case for case in cases if case.transport != matrix.ATTACHED]
    for state in sorted({case.signatures for case in cases if case.transport == matrix.ATTACHED}):
        yield state, [case for case in cases if case.transport == matrix.ATTACHED and case.signatures == state]


@pytest.mark.timeout(1800)
def test_we_agree_with_skopeo(
    world: World, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    every = list(matrix.cases(world))
    assert f"Of {len(every)} cases" in PAGE.read_text()
    whole = is_whole(request.config)
    chosen = every if whole else matrix.sample(every, SAMPLE)
    for case in chosen:  # signatures are made one after the other
        world.policy(case), world.registries(case), world.image(case)
    verdicts: list[tuple[Case, str, str]] = []
    with no_agents(tmp_path), keyrings() as rings, ThreadPoolExecutor(2) as pool:
        for state, group in _apart(chosen):
            if state:
                world.attach(state)
            places = [tmp_path / f"out-{len(verdicts) + number}" for number in range(len(group))]
            theirs = pool.map(skopeo, [world] * len(group), group, places)
            verdicts += zip(group, [ours(world, case, rings) for case in group], theirs, strict=True)
    differing = []
    counts: Counter[tuple[str, str]] = Counter()
    for case, reason, other in verdicts:
        agree = bool(reason) == bool(other)
        # Programs of before July 2025 refuse a subkey's signature, with these words; later ones take it for its primary's.
        older = case.signatures == SUBKEY and not reason and "is not accepted" in other
        counts[case.transport, "agreed" if agree else "subkeys" if older else "differing"] += 1
        counts[case.transport, "accepted" if not reason else "refused"] += 1
        if not agree and not older:
            differing.append(f"{case}: ours: {reason or 'accepted'}; skopeo: {other or 'accepted'}")
    request.config.stash[COUNTS] = (len(every), counts)
    assert not differing, "\n".join(differing)
    if whole:
        agreed, others = (sum(counts[name, column] for name in matrix.PLACES) for column in ("agreed", "subkeys"))
        told = f"it agrees on {agreed}; the other {others} are signatures"
        assert told in " ".join(PAGE.read_text().split())
