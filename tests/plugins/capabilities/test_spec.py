"""The five sets, and how a foreign configuration is cut down to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
from hypothesis import strategies as st

from hardening.assemble.spec import assemble
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.schema import Members
from hardening_capabilities import Capabilities, CapabilitiesSettings
from hardening_capabilities.settings import ADDED, DROPPED, ROOT
from hardening_capabilities.spec import SETS, contribute, granted, sets_of
from hardening_capabilities.table import BY_NAME
from tests.plugins.capabilities.stacks import EVERY, context, host, namespaces

NAMES = st.sets(st.sampled_from(sorted(BY_NAME)), max_size=8)


def settings(*names: str, root: Iterable[str] = (), no_new_privileges: bool = True) -> CapabilitiesSettings:
    """``names`` for any user, and ``root`` for root alone."""
    members = Members(dict.fromkeys(root, ROOT) | dict.fromkeys(names, ADDED), DROPPED)
    return CapabilitiesSettings(members=members, no_new_privileges=no_new_privileges)


def test_root_has_three_sets_and_the_others_empty() -> None:
    sets = sets_of({"KILL", "CHOWN"}, {"KILL"}, root=True)
    full = ["CAP_CHOWN", "CAP_KILL"]
    assert sets == {"bounding": full, "effective": full, "permitted": full, "inheritable": [], "ambient": []}


def test_others_have_all_five_and_what_is_for_root_can_come_by_a_program_alone() -> None:
    assert sets_of({"KILL", "CHOWN"}, {"KILL", "CHOWN"}, root=False) == {
        name: ["CAP_CHOWN", "CAP_KILL"] for name in SETS
    }
    sets = sets_of({"KILL", "CHOWN"}, {"KILL", "BPF"}, root=False)
    assert sets == {name: ["CAP_KILL"] for name in SETS} | {"bounding": ["CAP_CHOWN", "CAP_KILL"]}


def test_the_default_contributes_five_empty_sets() -> None:
    fragment = Fragment("capabilities")
    Capabilities().contribute(settings(), context(host()), fragment)
    document = assemble([fragment]).document
    assert document["process"] == {"capabilities": {name: [] for name in SETS}, "noNewPrivileges": True}


def test_what_the_host_lacks_is_left_out() -> None:
    chosen = settings("KILL", "SYS_RESOURCE", "BPF")
    cut = context(host(bounding=EVERY - {"SYS_RESOURCE"}))
    assert granted(chosen, cut) == {"KILL", "BPF"}
    lacking = attrs.evolve(cut, unsupported=(Unsupported("capabilities.BPF", "", ""),))
    assert granted(chosen, lacking) == {"KILL"}
    assert granted(chosen, context(host(last=38))) == {"KILL", "SYS_RESOURCE"}
    own = context(host(bounding=frozenset()), namespaces(user="private"))
    assert granted(chosen, own) == {"KILL", "SYS_RESOURCE", "BPF"}


def test_every_value_is_explained_by_leaves(tmp_path: Path) -> None:
    fragment = Fragment("capabilities")
    contribute(settings("KILL"), context(host()), fragment)
    assert fragment.values["/process/capabilities"].leaves == ("capabilities.*", "capabilities.KILL")
