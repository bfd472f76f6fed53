"""For tests of authors of plugins: what a stack composes to in a line, a host with given facts, and checks of all that a
plugin brings. No test framework is needed: a check gives what it found broken, `Broken` with the law and what shows it.

    assert check_all(Quota(), plain()) == []
    assert contributed(Quota(), "[quota]\\nfiles = 5").document["annotations"] == {"com.example.quota.files": "5"}
"""

from hardening.mechanism.host import plain, probe
from hardening.testing.contracts import check_driver, check_policy, check_runtime, check_scanner, scanned
from hardening.testing.kinds import Broken, check_kind
from hardening.testing.laws import check_mechanism, check_stack
from hardening.testing.mechanisms import check_all, check_contribute, check_inputs, check_tighten, check_verify
from hardening.testing.stacks import check_golden, composed, contributed, fake_host, layer, registered, stack, tightened

__all__ = [
    "Broken",
    "check_all",
    "check_contribute",
    "check_driver",
    "check_golden",
    "check_inputs",
    "check_kind",
    "check_mechanism",
    "check_policy",
    "check_runtime",
    "check_scanner",
    "check_stack",
    "check_tighten",
    "check_verify",
    "composed",
    "contributed",
    "fake_host",
    "layer",
    "plain",
    "probe",
    "registered",
    "scanned",
    "stack",
    "tightened",
]
