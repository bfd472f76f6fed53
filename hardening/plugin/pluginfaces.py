"""What the core accepts of a mechanism, a runtime, a scanner and a secret driver: which of the forms in
`hardening.plugin.pluginanswers` each attribute and each answer has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.runtime import Runtime
from hardening.plugin import pluginanswers, pluginchecks
from hardening.plugin.plugincalls import PATIENT, Plugin, Take, face, items, nothing, one

if TYPE_CHECKING:
    from hardening.mechanism.scanner import Scanner
    from hardening.mechanism.secret_driver import SecretDriver

#: How long a runtime may take to say its version: lists and `doctor` ask all of them.
VERSION_SECONDS = 20.0


def mechanism(
    plugin: Plugin, item: Mechanism[Any], installed: Callable[[str], Mechanism[Any] | None] = lambda name: None
) -> Mechanism[Any]:
    """The face of a mechanism; ``installed`` finds another one by its table once all are there. Raises `PluginError`."""
    texts = items(str)
    attributes: dict[str, Take] = {
        **pluginanswers.NAMED,
        "settings_type": pluginanswers.settings_type,
        "after": texts,
        "owns": pluginanswers.pointers,
        "may_fall_short": one(bool),
        "before_launch": texts,
        "schema": pluginanswers.schema,
    }
    methods: dict[str, Take] = {
        "statements": pluginanswers.says,
        "limits": pluginanswers.says,
        "expand": texts,
        "meant": one(str),
        "of_image": pluginanswers.of_image,
        "build": pluginanswers.settings,
        "implies": pluginanswers.implied(installed),
        "covering": one(str, type(None)),
        "of_path": pluginanswers.of_path,
        "denied": pluginanswers.causes,
        "denied_rights": pluginanswers.causes,
        "witness": pluginanswers.witnesses,
        "uncovered": items(tuple),
        "recording": pluginanswers.recording,
        "spare": pluginanswers.spare,
        "least": one(Mapping),
        "learnt": pluginanswers.learnt_statements,
        "rules": pluginanswers.rules,
        "forms": one(Mapping, type(None)),
        "dump": one(Mapping),
        "meaning": one(str),
        "permissions": items(tuple),
        "answer": one(str, type(None)),
        "samples": items(tuple),
        "options": pluginanswers.options,
        "probe": pluginanswers.fact,
        "assumed": pluginanswers.fact,
        "inputs": pluginanswers.looked,
        "mount_points": pluginanswers.mount_points,
        "check": pluginanswers.own_unsupported,
        "contribute": pluginanswers.contributed,
        "prepare": nothing,
        "tighten": pluginanswers.tightened,
        "findings": pluginanswers.own_findings,
        "verify": pluginanswers.verifications,
        "exposure": pluginanswers.exposures,
        "reported": nothing,
    }
    made: Mechanism[Any] = face(
        Mechanism,
        item,
        plugin,
        attributes,
        methods,
        own=("leaf",),
        unasked=("options", "probe", "assumed"),
        limits={"prepare": PATIENT},
    )
    pluginchecks.enforcement(plugin, type(item), made)
    pluginchecks.declared(plugin, made)
    return made


def runtime(plugin: Plugin, item: Runtime) -> Runtime:
    """The face of a runtime; raises `PluginError`."""
    flags = ("detaches", "takes_secrets", "takes_variables", "writes_receipts", "host_kernel")
    attributes = {**pluginanswers.NAMED, **dict.fromkeys(flags, one(bool)), "lacking": pluginanswers.pointers}
    methods: dict[str, Take] = {
        "version": one(str, type(None)),
        "check": pluginanswers.refusals,
        "unsupported": pluginanswers.unsupported,
        "inputs": pluginanswers.looked,
        "command": pluginanswers.argv,
    }
    made: Runtime = face(Runtime, item, plugin, attributes, methods, limits={"version": VERSION_SECONDS})
    return made


def scanner(plugin: Plugin, item: Scanner) -> Scanner:
    """The face of a scanner. Whoever looks at a root calls its other methods, in a process of its own, and says of each
    file what came of it. Raises `PluginError`."""
    from hardening.mechanism.scanner import Scanner

    attributes = {**pluginanswers.NAMED, "kinds": items(str), "lists": one(bool)}
    made: Scanner = face(
        Scanner,
        item,
        plugin,
        attributes,
        {"inputs": pluginanswers.looked},
        plain=("entry", "owners", "packages", "whole"),
    )
    return made


def secret_driver(plugin: Plugin, item: SecretDriver) -> SecretDriver:
    """The face of a secret driver; raises `PluginError`."""
    from hardening.mechanism.secret_driver import SecretDriver

    attributes = {**pluginanswers.NAMED, "known": pluginanswers.known}
    methods: dict[str, Take] = {"options": one(dict), "store": nothing, "read": one(bytes), "delete": nothing}
    waits = dict.fromkeys(methods, PATIENT)  # somebody may be asked for a passphrase
    made: SecretDriver = face(SecretDriver, item, plugin, attributes, methods, private=True, limits=waits)
    return made
