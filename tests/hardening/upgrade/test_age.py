"""Whether what was seen of a program is of another time."""

from __future__ import annotations

import attrs

from hardening.upgrade.age import Circumstances, changed

SEEN = Circumstances("6.12.41+deb13-amd64", "2.41", {"nginx": "1.26.3-3"})


def test_what_has_another_version_is_named() -> None:
    assert list(changed(SEEN, SEEN)) == []
    assert list(changed(SEEN, attrs.evolve(SEEN, kernel="6.12.50"))) == []
    now = Circumstances("6.18.2", "2.42", {})
    assert list(changed(SEEN, now)) == [
        "Linux 6.12.41+deb13-amd64 was seen, and 6.18.2 runs",
        "libc 2.41 was seen, and 2.42 is there",
        "nginx 1.26.3-3 was seen, and none is there",
    ]
