"""How much longer it takes to compare two shipped stacks than to compose them: run by the interpreter that is measured, as
`comparing.py REPEATS`. Prints JSON: by command and pair, the seconds of a processor over those of composing both.

Each comparison has stacks of its own: what one has kept would shorten the next.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import chdir
from datetime import date
from itertools import permutations

from hardening.compare.difference import compare
from hardening.compare.proof import violated
from hardening.compose.composition import Composition, compose
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.profile import layers

DIFF, PROVE = "diff", "prove"


def measured(repeats: int) -> dict[str, dict[str, list[float]]]:
    """The ratios of every two shipped profiles, in both directions."""
    found = plugins.load()
    here = host.probe(found.mechanisms)
    search = layers.SearchPath(tuple(plugins.shipped_profiles()))
    names = sorted({item.name for item in search.all()})

    def composed(name: str) -> Composition:
        return compose(layers.resolve([name], search), found.mechanisms, here, date.today())

    ratios: dict[str, dict[str, list[float]]] = {DIFF: {}, PROVE: {}}
    for _ in range(repeats):
        for one, other in permutations(names, 2):
            for command, work in ((DIFF, compare), (PROVE, violated)):
                begun = time.process_time()
                both = composed(one), composed(other)
                made = time.process_time()
                work(*both, here)
                ended = time.process_time()
                ratios[command].setdefault(f"{one} {other}", []).append((ended - begun) / (made - begun))
    return ratios


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        chdir(folder),
    ):  # `agent` is for the one that it is run in
        print(json.dumps(measured(int(sys.argv[1]))))
