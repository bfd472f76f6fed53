"""Every hook, by life cycle. A plugin is a module named in the entry-point group ``hardening``; it marks its functions
with `hookimpl`. Hooks only register or judge; behaviour lives in the typed objects they return.

Registration (once, when plugins are loaded): `hardening_mechanisms`, `hardening_runtimes`.
Judgement (before a bundle is written or run): `hardening_inspect`, `hardening_admit`; `hardening_inputs` says what they
look at. `hardening_signatures` fetches what a verdict on an image needs.
Scanning: `hardening_scanners`.
Secrets (where they are kept, and right before a launch): `hardening_secret_drivers`,
`hardening_secret_names`, `hardening_secrets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.images.reference import Name
    from hardening.mechanism.findings import Finding
    from hardening.mechanism.host import Host
    from hardening.mechanism.inputs import Input, Unknown
    from hardening.mechanism.mechanism import Mechanism
    from hardening.mechanism.runtime import Runtime
    from hardening.mechanism.scanner import Scanner
    from hardening.mechanism.secret_driver import SecretDriver
    from hardening.plugin.admission import Candidate, Verdict

PROJECT = "hardening"
#: The version of all that plugins import (`hardening.api`), which a plugin names: ``hardening_api = "1"``.
API = "1"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:  # type: ignore[empty-body]
    """Called once after loading, without arguments. Returns the mechanisms of this plugin; results are concatenated,
    and two mechanisms of one name are an error."""


@hookspec
def hardening_runtimes() -> Sequence[Runtime]:  # type: ignore[empty-body]
    """Called once after loading, without arguments. Returns the runtimes of this plugin; results are concatenated, and
    two runtimes of one name are an error."""


@hookspec
def hardening_secret_drivers() -> Sequence[SecretDriver]:  # type: ignore[empty-body]
    """Called once where secrets are kept or read, without arguments. Returns the secret drivers of this plugin; results are
    concatenated, and two drivers of one name are an error."""


@hookspec
def hardening_scanners() -> Sequence[Scanner]:  # type: ignore[empty-body]
    """Called once where a root is looked at, without arguments. Returns the scanners of this plugin; results are
    concatenated, and two scanners of one name are an error."""


@hookspec
def hardening_inspect(composition: Composition, host: Host) -> Iterable[Finding]:  # type: ignore[empty-body]
    """Called after composition and host check. Returns findings to show; results are concatenated and stop nothing."""


@hookspec
def hardening_admit(candidate: Candidate, scanners: Callable[[], Mapping[str, Scanner]]) -> Verdict | None:
    """Called with what is about to be written as a bundle or run, whether it was composed now, earlier, or elsewhere.
    Returns an acceptance, a rejection, or None for no opinion. All verdicts count: nothing is written or run against a
    rejection, and a launch needs at least one acceptance, of which the chosen runtime's own check is one.
    ``scanners`` gives the scanners of all plugins by name.

    Also called before an image is fetched, and again when its manifest and signatures are known. Then the configuration
    has nothing but ``ociVersion`` and the annotations that name the image (`hardening.mechanism.used.of` reads them),
    at first without its digest: a plugin that judges anything else has no opinion then. It raises nothing: what
    cannot be judged is a rejection with its reason."""


@hookspec
def hardening_signatures(  # type: ignore[empty-body]
    name: Name, digest: str, composition: Composition, verify: bool
) -> Iterable[bytes]:
    """Called while an image is pulled for a composition, and by `hardening trust verify`, with its name and the digest of
    its manifest; without ``verify`` a registry needs no certificate that is trusted. Returns what was published of
    signatures for it, in no order that matters, which a pull keeps for that name; results are concatenated, and all plugins
    together may give 128. Nothing is judged here: `hardening_admit` is asked afterwards, and at every run.

    Each is 1 to 4 Mi bytes, as containers tools keep them in ``signature-N``: a simple signature is a signed OpenPGP
    message, binary, and neither armoured nor detached; one of sigstore is a zero byte, ``sigstore-json``, a line feed, and
    a JSON object of ``mimeType``, ``payload`` (base64) and ``annotations`` (`hardening_trust.signatures`). Anything else
    makes the image refused where signatures are required. Raises `ImageError`, with a remedy, where it cannot be told which
    there are: then nothing is pulled. None at all is no error."""


@hookspec
def hardening_inputs(  # type: ignore[empty-body]
    composition: Composition | None, host: Host, scanners: Callable[[], Mapping[str, Scanner]]
) -> Iterable[Input | Unknown]:
    """Called before a composition, or the verdict on a bundle (``composition`` is None), is stored to be used again. Returns
    everything outside that decides this plugin's findings and verdicts (`hardening.mechanism.inputs`); results are
    concatenated. Where a plugin judges and does not say what it looks at, nothing is stored. ``scanners`` gives the
    scanners of all plugins by name."""


@hookspec
def hardening_secrets(document: Mapping[str, Any], drivers: Mapping[str, SecretDriver]) -> Mapping[str, bytes]:  # type: ignore[empty-body]
    """Called right before a configuration that names secrets is run (annotation ``org.hardening.secrets``; read it with
    `hardening.launch.secret.secrets.named`), with the drivers of all plugins by name. Returns the values of those
    that this plugin has, by name, each of 1 to `hardening.mechanism.secret_driver.LONGEST` bytes, and nothing of the
    others; raises `SecretError` for one that it has and cannot give, in words without a value. Results are united:
    two plugins that give one secret are an error, and so is a secret that nobody gives."""


@hookspec
def hardening_secret_names() -> Iterable[str]:  # type: ignore[empty-body]
    """Called where a configuration names a secret that nobody gives, without arguments. Returns the names of those that this
    plugin has, for a hint; results are concatenated."""
