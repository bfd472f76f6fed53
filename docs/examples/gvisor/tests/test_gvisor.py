from hardening_gvisor import IGNORED, Gvisor

from hardening.testing import check_runtime, fake_host

PROCESS = {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
DOCUMENT = {"ociVersion": "1.2.0", "process": PROCESS, "linux": {}}


def test_it_keeps_to_what_a_runtime_is_held_to() -> None:
    assert check_runtime(Gvisor(), fake_host(uid=0), DOCUMENT) == []


def test_what_it_ignores_is_refused() -> None:
    for pointer in IGNORED:
        section, _, name = pointer[1:].partition("/")
        document = {**DOCUMENT, section: {**DOCUMENT.get(section, {}), name: {}}}
        assert pointer in [refusal.pointer for refusal in Gvisor().check(document, fake_host(uid=0))]


def test_it_needs_root() -> None:
    (refusal,) = Gvisor().check(DOCUMENT, fake_host(uid=1000))
    assert "needs root" in refusal.reason


def test_a_label_binds_nothing() -> None:
    assert not list(Gvisor().unsupported(DOCUMENT))
    (found,) = Gvisor().unsupported({**DOCUMENT, "process": {**PROCESS, "selinuxLabel": "a:b:c:s0"}})
    assert (found.leaf, found.whole) == ("selinux", True)
