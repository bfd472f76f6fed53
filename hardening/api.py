"""What plugins import: this module is the whole of it, and what ``hardening_api = "1"`` in a plugin stands for.

docs/reference/plugin-api.md lists every name with its members, and how one is changed or taken away. All else in
`hardening` may change with any release; commands of plugins take `hardening.cli.api`, tests of theirs `hardening.testing`.
"""

from __future__ import annotations

from hardening.assemble import oci_fields
from hardening.assemble.program import ProgramRuntime
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError, HostError, ImageError, PluginError, ProfileError, SpecError, UsageError
from hardening.images.reference import Name
from hardening.launch.request import LaunchRequest
from hardening.mechanism import inputs, roles, used
from hardening.mechanism.answers import (
    ImageRequest,
    Implied,
    MountPoint,
    Option,
    State,
    Unsupported,
    Verification,
    Violation,
)
from hardening.mechanism.denial import Caller, Cause, FileRights, PathAccess, PathAnswer, Seen, Size, SystemCall, Way
from hardening.mechanism.evidence import Evidence, LearntStatement, Usage, Witness, unless
from hardening.mechanism.exposure import Exposure, helpers
from hardening.mechanism.findings import Finding, FindingRule, FindingsOf, Severity
from hardening.mechanism.fragment import Directory, Fragment, Spec, Symlink
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.kinds import Ceiling, Choice, Exact, Flag, Kind, Order, Unordered, ValueChange
from hardening.mechanism.mechanism import Context, Mechanism, Reading
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.mechanism.scanner import KINDS, Detection, Package, RootEntry, ScannedRoot, Scanner
from hardening.mechanism.schema import (
    WILDCARD,
    ConfigField,
    Family,
    Leaf,
    Members,
    Scalar,
    Schema,
    Statement,
    annotation,
    family,
    listing,
    read_table,
    scalar,
)
from hardening.mechanism.secret_driver import SecretDriver, SecretError
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer, Stack
from hardening.profile.source import Node, Origin

__all__ = [
    "KINDS",
    "WILDCARD",
    "Caller",
    "Candidate",
    "Cause",
    "Ceiling",
    "Choice",
    "Composition",
    "ConfigField",
    "Context",
    "Detection",
    "Directory",
    "Evidence",
    "Exact",
    "Exemption",
    "Exposure",
    "Family",
    "FileRights",
    "Finding",
    "FindingRule",
    "FindingsOf",
    "Flag",
    "Fragment",
    "HardeningError",
    "Host",
    "HostError",
    "ImageError",
    "ImageRequest",
    "Implied",
    "Input",
    "Inputs",
    "Kind",
    "LaunchRequest",
    "Layer",
    "Leaf",
    "LearntStatement",
    "Mechanism",
    "Members",
    "MountPoint",
    "Name",
    "Node",
    "Option",
    "Order",
    "Origin",
    "Package",
    "PackagedMechanism",
    "PathAccess",
    "PathAnswer",
    "PluginError",
    "ProfileError",
    "ProgramRuntime",
    "Reading",
    "Refusal",
    "Resolved",
    "RootEntry",
    "Runtime",
    "Scalar",
    "ScannedRoot",
    "Scanner",
    "Schema",
    "SecretDriver",
    "SecretError",
    "Seen",
    "Severity",
    "Size",
    "Spec",
    "SpecError",
    "Stack",
    "State",
    "Statement",
    "Symlink",
    "SystemCall",
    "Unknown",
    "Unordered",
    "Unsupported",
    "Usage",
    "UsageError",
    "ValueChange",
    "Verdict",
    "Verification",
    "Violation",
    "Way",
    "Witness",
    "annotation",
    "family",
    "helpers",
    "hookimpl",
    "inputs",
    "listing",
    "oci_fields",
    "read_table",
    "roles",
    "scalar",
    "unless",
    "used",
]
