"""The interface that a mechanism implements.

A mechanism owns one TOML table and the parts of the OCI spec that enforce it. The core calls it in this order:
`probe` -> `statements` and `limits` (per layer) -> `build` -> `check` -> `contribute` -> `findings` -> `prepare`, and
`verify` after a launch; `tighten` serves ``hardening apply``, `denied` ``hardening why``, `recording` and `learnt`
``hardening learn``, `exposure` and `reported` ``hardening score``, `reported` also ``hardening inspect``, `witness`
``hardening prove``. All arguments are frozen values of earlier stages.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import attrs

from hardening.base.values import frozen
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
from hardening.mechanism.denial import Cause, FileRights, PathAnswer, SystemCall
from hardening.mechanism.findings import Finding, FindingRule
from hardening.mechanism.fragment import Fragment, Spec, contribute_fields, tighten_fields
from hardening.mechanism.host import Host, Reading
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.schema import (
    WILDCARD,
    Leaf,
    Members,
    Scalar,
    Schema,
    Statement,
    dump_table,
    read_table,
    sample_says,
)
from hardening.profile.source import Node

if TYPE_CHECKING:
    from hardening.mechanism.evidence import Evidence, LearntStatement, Witness
    from hardening.mechanism.exposure import Exposure
    from hardening.mechanism.used import Used

__all__ = [
    "Context",
    "ImageRequest",
    "Implied",
    "Mechanism",
    "MountPoint",
    "Option",
    "Reading",
    "S",
    "State",
    "Unsupported",
    "Verification",
    "Violation",
]

S = TypeVar("S")
P = TypeVar("P")
T = TypeVar("T")


def _no_limits(mechanism: str) -> Mapping[tuple[str, str], Any]:
    return {}


def _unlimited(leaf: Leaf, otherwise: Any = None) -> Any:
    return otherwise


@frozen(eq=False)
class Context:
    """What a mechanism may look at once everything is composed.

    What is composed is good for every command, so there is none here. ``unsupported`` are those of all mechanisms;
    ``bundle`` is where the bundle will be written, or None where nothing will be, and then a mechanism reserves nothing;
    ``bundle_stays`` is False for one that goes with the single run that it is made for. ``origin`` is the directory where a
    foreign configuration was found. ``mount_points`` are those of all mechanisms. ``image`` is what the root was made of, if
    that is an image. ``spec`` is what everything composes to, for `verify` alone. ``runtime`` is the name of the one that
    will run it, None where that is not known, ``lacking`` the fields with which it can do nothing; without ``host_kernel``
    that has a kernel of its own, of which ``host`` says nothing. ``profiles`` are the files of the layers. With ``has_run``
    the process that `verify` is to judge no longer stands at its first instruction, and somebody else may have launched it:
    what it may change by itself is no drift, as where it works, what it has opened, or a right that it has given up.

    ``limit(leaf, otherwise=None)`` is the limit that binds a leaf, that of the nearest member above it where no layer names
    its member; ``otherwise`` where there is none. ``limits(mechanism)`` are all of a mechanism, by setting and member. The
    settings are within their limits. What they leave open, such as a user or variables of its own, binds a foreign
    configuration only by this; and so it does what a name turns out to be.
    """

    host: Host
    composed: Mapping[type, object]
    unsupported: tuple[Unsupported, ...] = ()
    bundle: Path | None = None
    bundle_stays: bool = True
    origin: Path | None = None
    mount_points: tuple[MountPoint, ...] = ()
    image: Used | None = None
    spec: Spec | None = None
    runtime: str | None = None
    lacking: tuple[str, ...] = ()
    host_kernel: bool = True
    profiles: tuple[str, ...] = ()
    has_run: bool = False
    limit: Callable[..., Any] = _unlimited
    limits: Callable[[str], Mapping[tuple[str, str], Any]] = _no_limits
    _known: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = attrs.field(init=False, repr=False, factory=dict)

    def of(self, kind: type[P]) -> P | None:
        """The composed settings that are of ``kind`` or derive from it (`hardening.mechanism.roles`); None where there are
        none."""
        return next((settings for settings in self.composed.values() if isinstance(settings, kind)), None)

    def once(self, ask: Callable[..., T], *of: object) -> T:
        """What ``ask(*of, context)`` gives, asked once: `denied` is asked of a hundred calls, and each of them would have
        the same accounts read and the same filter composed. Whoever looks through one context sees the host as it was at one
        moment; a run has a context of its own. ``of`` is told apart by which objects they are."""
        key = (ask, *map(id, of))
        if key not in self._known:
            self._known[key] = ask(*of, self), of  # which live as long as their place does
        return self._known[key][0]  # type: ignore[no-any-return]

    def lacks(self, leaf: str) -> bool:
        """Whether this host was found unable to enforce ``leaf``."""
        return any(lacking.leaf == leaf for lacking in self.unsupported)


#: Methods that may look at the host: who overrides one says at what.
_LOOKING = ("probe", "check", "contribute", "prepare", "findings")


class Mechanism(ABC, Generic[S]):
    """One mechanism; ``S`` is its frozen attrs class of composed settings: ``class Quota(Mechanism[QuotaSettings])``.

    Its name is all that it must say. A setting that says where in the configuration it stands (``field=``) is contributed,
    and a foreign configuration held to it; nothing is looked at on the host, which can enforce everything. Whoever does more
    overrides a method, and calls it with ``super()`` for such plain settings.
    """

    #: The TOML table that it owns.
    name: ClassVar[str]
    #: One line for lists; by default the first one of the docstring.
    summary: ClassVar[str]
    #: Mechanisms that go before it: their composed settings it may read while reading its own layers, and their
    #: gaps while it checks the host.
    after: ClassVar[tuple[str, ...]] = ()

    #: JSON pointers into a configuration, each with all below it, that `tighten` answers for also where it leaves them as
    #: they are. What it contributes need not stand here. A foreign field that no mechanism answers for is removed.
    owns: ClassVar[tuple[str, ...]] = ()
    #: Whether there are hosts that cannot enforce it. Of one that every host can, or that only judges, `requirement` has
    #: nothing to decide, and what layers say of that is a finding.
    may_fall_short: ClassVar[bool] = True
    #: Settings that decide whether or how a launch comes to be, and of which the process that runs shows nothing: a receipt
    #: leaves them out. ``*`` stands for all of the mechanism.
    before_launch: ClassVar[tuple[str, ...]] = ()

    #: The class of its settings; by default the one that stands in its base, ``Mechanism[QuotaSettings]``.
    settings_type: type[S]

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for base in getattr(cls, "__orig_bases__", ()):
            origin, named = get_origin(base), get_args(base)
            if isinstance(origin, type) and issubclass(origin, Mechanism) and isinstance(named[0], type):
                cls.settings_type = vars(cls).get("settings_type", named[0])

    @cached_property
    def schema(self) -> Schema:
        """The settings, as declared in ``settings_type``."""
        return Schema.of(self.settings_type)

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        """What one layer's table says; at most one say a leaf. Raises `ProfileError`."""
        return read_table(self.schema, table)

    def limits(self, table: Node, reading: Reading) -> Iterator[Statement]:
        """What one layer's ``[limits.<name>]`` says: the same grammar, read as ceilings. Raises `ProfileError`."""
        return self.statements(table, reading)

    def forms(self) -> Mapping[str, Any] | None:
        """The keys of its table that `statements` reads in a way of its own, each with how it is written, as JSON Schema
        (draft-07), for editors (``hardening schema``). None where nobody has said it: editors then take any key."""
        return {} if type(self).statements is Mechanism.statements else None

    def expand(self, name: str) -> Sequence[str]:
        """The names of leaves, below the table, that ``name`` in an exception or a question means."""
        return (name,)

    def meant(self, name: str, host: Host) -> str:
        """What a question calls ``name``, below the table, where the kernel's own log has another name for it, such as a
        number; the same where it has none. Profiles never say it: it may mean something else on another host."""
        return name

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[ImageRequest]]:
        """What the configuration of an image (its ``config`` object, OCI image spec) says in this mechanism's table, as TOML
        data, and what it asks for that no image is given. Nothing of it has been checked; what loosens is not taken."""
        return {}, ()

    def build(self, leaves: Mapping[tuple[str, str], Any]) -> S:
        """The settings object from the composed values, keyed by setting and member."""
        values: dict[str, Any] = {}
        for attribute, setting in self.schema.fields.items():
            if isinstance(setting, Scalar):
                values[attribute] = leaves[setting.name, ""]
            else:
                named = {
                    member: value
                    for (name, member), value in leaves.items()
                    if name == setting.name and member != WILDCARD
                }
                values[attribute] = Members(MappingProxyType(named), leaves[setting.name, WILDCARD])
        return self.settings_type(**values)

    def implies(self, settings: S, limits: Mapping[tuple[str, str], Any], host: Host) -> Iterable[Implied]:
        """What settings amount to for other leaves on this host; ``limits`` are those of this mechanism by setting and
        member."""
        return ()

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        """TOML data that says exactly these values, keyed by setting and member (``--format toml``)."""
        return dump_table(self.schema, values)

    def meaning(self, leaf: Leaf) -> str:
        """What a leaf is about, in a line or two (``hardening explain``)."""
        return self.schema.settings[leaf.setting].help

    def permissions(self, leaf: Leaf) -> Sequence[tuple[Any, Mapping[str, object]]]:
        """What people write to permit ``leaf``, from the smallest to the largest: each a value, and TOML data of this
        mechanism's table that says it; none where the smallest looser value is what they want (``hardening explain``)."""
        return ()

    def answer(self, settings: S, context: Context, name: str, arguments: Sequence[str]) -> str | None:
        """What happens to ``name``, below the table, with these arguments (``hardening explain 'table.name(1, 2)'``); None
        where ``name`` takes none. Raises `UsageError` for arguments that it cannot have."""
        return None

    def covering(self, settings: S, host: Host, setting: str, member: str) -> str | None:
        """The named member of a family that answers for one that no layer names, as a directory does for what is in it; None
        where that has the value of all others (``hardening explain``)."""
        return None

    def of_path(self, settings: S, context: Context, path: str) -> Iterable[PathAnswer]:
        """What the settings make of an absolute path inside, an answer for each thing that is asked of it (``hardening
        explain /PATH``). Raises `ProfileError`."""
        return ()

    def denied(self, settings: S, context: Context, call: SystemCall) -> Iterable[Cause]:
        """Why this mechanism may be the reason of a system call that failed (``hardening why``): a cause for each of its
        leaves that may have done it, the likeliest first; none where it cannot have been any of them. Who asks confirms each
        by running again."""
        return ()

    def recording(self, settings: S, context: Context) -> tuple[Mapping[str, object], Sequence[str]]:
        """What permits all that this mechanism denies and that can be watched, so that one run shows everything that a
        command asks for: TOML data of its table, within the limits, and the names below the table of what that loosens."""
        return {}, ()

    def spare(self, settings: S) -> Sequence[str]:
        """The full names of the leaves whose loosening only a run can show that a command does without."""
        return ()

    def least(self, settings: S, kept: Collection[str]) -> Mapping[str, object]:
        """What takes all of `spare` away but for those that are ``kept``: TOML data of the table, which loosens nothing."""
        return {}

    def learnt(self, settings: S, context: Context, evidence: Evidence) -> Iterable[LearntStatement]:
        """Lines for a layer over these settings with which the command has what it asked for, and nothing else: what
        tightens them, and what loosens them (``hardening learn``). Who asks confirms them by running again."""
        return ()

    def witness(self, settings: S, context: Context, leaf: Leaf, value: Any, floor: Any) -> Iterable[Witness]:
        """Programs that the kernel lets do something under ``value``, which these settings have for a leaf, and refuses the
        same where the leaf is ``floor``, which is stricter or cannot be compared: what shows it best first; or one without
        an attempt, which says why no program does (``hardening prove``)."""
        return ()

    def uncovered(self, settings: S, context: Context | None, before: S) -> Iterable[tuple[Leaf, str]]:
        """The leaves of other settings, ``before``, in whose place these show something else, and in words what: one without
        a mount is stricter by its order, and yet shows what the mount lay over (``hardening diff``, ``prove``). Without a
        ``context`` it is told from the settings alone."""
        return ()

    def denied_rights(self, settings: S, context: Context, rights: FileRights) -> Iterable[Cause]:
        """Why this mechanism keeps from a command what a file would lend to it (``hardening check``)."""
        return ()

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        """Says for the property tests of `hardening.testing.laws`, as setting, member and value: all samples of each
        kind, for a few members of each family."""
        return sample_says(self.schema)

    def options(self) -> Sequence[Option]:
        """Command-line options that this mechanism offers."""
        return ()

    def probe(self, host: Host) -> object | None:
        """Facts of the host that this mechanism needs, as a frozen object of a type of its own. `hardening doctor` and the
        reports look at two attributes, where it has them: ``inactive`` (text, why the host has none of it; empty where it
        has), and ``beyond_reach`` (tuples of a leaf, why this caller cannot have it, and the remedy)."""
        return None

    def assumed(self, host: Host) -> object | None:
        """The same facts of a host that nobody knows (`Host.assumed`), for ``hardening lint``: one that has all that this
        mechanism needs. By default those of this host."""
        return self.probe(host)

    def inputs(self, settings: S, context: Context) -> Inputs:
        """Everything outside the profiles that decides what this mechanism answers for these settings, in `probe`, `check`,
        `contribute`, `prepare` and `findings`: files, directories, links, variables (`hardening.mechanism.inputs`). A
        stack is only stored where each of its mechanisms says so; what `prepare` has to do at every run is `Unknown`. One
        that has none of these methods of its own looks at nothing."""
        own = next((name for name in _LOOKING if getattr(type(self), name) is not getattr(Mechanism, name)), "")
        if own:
            yield Unknown(f"the mechanism {self.name} has a method {own}, and does not say what that looks at")

    def mount_points(self, settings: S) -> Sequence[MountPoint]:
        """What this mechanism has mounted in the command's root, beside what the root itself is made of."""
        return ()

    def check(self, settings: S, context: Context) -> Iterable[Unsupported]:
        """What this host cannot enforce of the settings."""
        return ()

    def contribute(self, settings: S, context: Context, fragment: Fragment) -> None:
        """Put this mechanism's part of the OCI spec, and files of the bundle, into ``fragment``; by default each plain
        setting."""
        contribute_fields(self.name, self.schema, settings, fragment)

    def prepare(self, settings: S, context: Context, document: Mapping[str, Any]) -> None:
        """Change what the launch needs changed on the host, such as labels of volumes. Called with the assembled and
        admitted configuration, right before its bundle is written, and only then."""
        return

    def tighten(
        self, settings: S, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        """Put into ``fragment`` what makes a foreign OCI configuration nowhere looser than the settings, keeping what it
        asks for within them; yield what it asked for beyond them. By default so for each plain setting: what stands in its
        field stays where that is at most as loose; else the loosest value takes its place that both permit, or the
        setting's. A mechanism that contributes by a method of its own tightens by one, too."""
        return tighten_fields(self.name, self.schema, settings, document, fragment)

    def rules(self) -> Mapping[str, FindingRule | str]:
        """The rules of its findings, by their name without the mechanism's and the slash, with what each finds: ``"root": "A
        command that runs as root"``, or a `FindingRule` with an id, reasons and examples. A name may end in ``*``. Profiles
        name rules in ``[findings.rules]``, where an empty mapping takes any; reports describe them by this, and a finding of
        another rule than these is told as the plugin's fault."""
        return {}

    def findings(self, settings: S, context: Context) -> Iterable[Finding]:
        """What is worth saying about these settings."""
        return ()

    def verify(self, settings: S, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        """Hold what the kernel reports of a process (see `hardening.runs.receipt`) against the settings, which compose to
        ``context.spec`` here. What no verification names is not seen, and a receipt does not hold then."""
        return ()

    def exposure(self, document: Mapping[str, Any], host: Host) -> Iterable[Exposure]:
        """How exposed an OCI configuration leaves its command in what this mechanism decides, whoever wrote it: the same
        items of every configuration (``hardening score``)."""
        return ()

    def reported(self, receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
        """Put into ``fragment`` what the kernel reports of a process (`hardening.runs.receipt`) in the words of an OCI
        configuration: what `exposure` reads, and what ``hardening inspect`` shows."""
        return

    def leaf(self, setting: str, member: str = "") -> Leaf:
        """The full name of one of this mechanism's leaves."""
        return Leaf(self.name, setting, member)
