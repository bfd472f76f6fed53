"""Every attempt of the suite, and the tables of `docs/reference/escapes.md`, printed by ``python -m tests.escape.table``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.escape.attempt import STANCES, Attempt
from tests.escape.attempts import calls, files, launcher, limits, processes, races, staged
from tests.support.features import FEATURES

GROUPS: Mapping[str, tuple[Attempt, ...]] = MappingProxyType(
    {
        "The kernel": calls.ATTEMPTS,
        "Files and mounts": files.ATTEMPTS,
        "Processes, networks and names": processes.ATTEMPTS,
        "Resources": limits.ATTEMPTS,
        "The launcher": (*launcher.ATTEMPTS, *staged.ATTEMPTS, *races.ATTEMPTS),
    }
)
ATTEMPTS: tuple[Attempt, ...] = tuple(attempt for group in GROUPS.values() for attempt in group)

#: What each shipped profile lets pass on purpose.
PERMITTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "strict": {},
        "default": {},
        "web": dict.fromkeys(("loopback", "netlink"), "the host's network is what it is for"),
        "batch": {},
        "build": {"dropped program": "test suites run what they have just built"},
        "debug": {"kcmp": "strace asks which descriptors are the same, within the container"},
    }
)


def reasons() -> list[str]:
    """Why the kernel refuses some attempts in any case, each once; their numbers stand in the tables."""
    return list(dict.fromkeys(reason for attempt in ATTEMPTS for reason in attempt.refused.values()))


def tables() -> Iterator[str]:
    """The lines of all tables, in Markdown."""
    numbers = {reason: number for number, reason in enumerate(reasons(), 1)}
    for title, attempts in GROUPS.items():
        yield f"### {title}"
        yield ""
        yield "| attempt | source | what it is after | defence | root: off, on | rootless: off, on |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for attempt in attempts:
            off = [f"refused ({numbers[attempt.refused[stance]]})" if stance in attempt.refused else "succeeds"
                   for stance in STANCES]  # fmt: skip
            words = (attempt.name, attempt.source, attempt.what, attempt.defence, *(f"{word}, fails" for word in off))
            yield f"| {' | '.join(words)} |"
        yield ""
    yield "Refused means that the kernel itself refuses, whatever is switched off:"
    yield ""
    for reason, number in numbers.items():
        yield f"{number}. {reason}."
    yield ""
    yield "Some attempts need a feature that a kernel may lack; there they are left out, and the run says so:"
    yield ""
    features = dict.fromkeys(feature for attempt in ATTEMPTS for feature in attempt.needs if feature != "root")
    for feature in features:
        names = ", ".join(attempt.name for attempt in ATTEMPTS if feature in attempt.needs)
        yield f"- {FEATURES[feature].what}: {names}"
    yield ""
    yield "### What shipped profiles let pass"
    yield ""
    yield "| profile | attempt | why |"
    yield "| --- | --- | --- |"
    for profile, permitted in PERMITTED.items():
        for name, reason in permitted.items():
            yield f"| `{profile}` | {name} | {reason} |"
    for attempt in ATTEMPTS:
        if attempt.beyond:
            yield f"| all | {attempt.name} | {attempt.beyond} |"


def main() -> None:
    """Print the tables."""
    print("\n".join(tables()))


if __name__ == "__main__":
    main()
