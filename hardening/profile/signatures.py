"""Signed layers: a detached OpenPGP signature beside each profile, by one of the keys that the machine's configuration
names (``[profiles] require_signed_by``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import attrs

from hardening.base import wholefile
from hardening.base.digest import sha256
from hardening.base.openpgp.keyrings import Keyring, Keyrings, OpenPGPNotSigned, keyrings
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import HardeningError, ProfileError, quoted, raise_all
from hardening.profile.source import Origin

SUFFIX = ".sig"
#: Digests for which somebody can make two texts with one signature (RFC 9580, 9.5).
_WEAK = {1: "MD5", 2: "SHA-1", 3: "RIPEMD-160"}
_EXPORT = "`gpg --export ID"
LONGEST, LONGEST_KEYS = 64 << 10, 16 << 20


@frozen
class Required:
    """By whom layers have to be signed, and where that is said: one of the keys of some files, or one of those with a
    fingerprint, each of which is looked up in the files of the ``keyring``."""

    keys: tuple[Path, ...]
    origin: Origin
    fingerprints: tuple[tuple[str, Origin], ...] = ()
    keyring: tuple[Path, ...] = ()


@frozen
class Signature:
    """A good signature of a layer: its file, the fingerprint of the primary key that made it, and when it or the key
    expires, in seconds since 1970, or None."""

    file: Path
    key: str
    expires: int | None


@frozen(eq=False)
class Verified:
    """What was found: the signatures by the files that are signed, and the files that were looked at, each with the SHA-256
    of what was read."""

    signatures: dict[Path, Signature]
    looked: tuple[tuple[Path, str], ...]

    @property
    def until(self) -> date | None:
        """The last whole day on which all of it is valid; None for ever."""
        ends = [item.expires for item in self.signatures.values() if item.expires is not None]
        return (datetime.fromtimestamp(min(ends), UTC) - timedelta(days=1)).date() if ends else None


def place(file: Path) -> Path:
    """Where the signature of a profile lies."""
    return file.with_name(file.name + SUFFIX)


def verify(texts: Mapping[Path, str], required: Required, owner: Owner = Owner.ROOT) -> Verified:
    """Hold the text of each file against its signature by one of the keys that are ``required``, whose files are of an
    ``owner`` as is asked for. Raises `ProfileError`, or `Problems` with several, for those that are not signed, or not by
    one of the keys, and for a fingerprint without its key, and `HostError` where GnuPG does not work."""
    looked: list[tuple[Path, str]] = []
    found: dict[Path, Signature] = {}
    problems: list[HardeningError] = []
    with keyrings() as rings:
        ring = _ring(rings, required, owner, looked)
        for file, text in texts.items():
            try:
                found[file] = _signature(file, text.encode(), ring, required.origin, looked)
            except ProfileError as error:
                problems.append(error)
    raise_all(problems)
    return Verified(found, tuple(looked))


def _ring(rings: Keyrings, required: Required, owner: Owner, looked: list[tuple[Path, str]]) -> Keyring:
    """The keys that are accepted, and no others."""
    whole = list(_keys(required.keys, required.origin, owner, looked))
    if not required.fingerprints:
        ring = rings.of(whole)
        if not ring.primaries:
            names = ", ".join(map(str, required.keys))
            raise ProfileError(
                f"there is no OpenPGP key in {names}", origin=required.origin, hint=f"{_EXPORT} >FILE` writes one"
            )
        return ring
    ring = rings.of([*whole, *_keys(required.keyring, required.origin, owner, looked)])
    for fingerprint, origin in required.fingerprints:
        if fingerprint not in ring.primaries:
            names = ", ".join(map(str, required.keyring))
            hint = f"`gpg --export {quoted(fingerprint)} >FILE` writes it; of a subkey name that of its primary key"
            raise ProfileError(f"there is no key {fingerprint} in {names}", origin=origin, hint=hint)
    named = frozenset(fingerprint for fingerprint, _ in required.fingerprints)
    return attrs.evolve(ring, primaries=named | (rings.of(whole).primaries if whole else frozenset()))


def _keys(keys: Sequence[Path], origin: Origin, owner: Owner, looked: list[tuple[Path, str]]) -> Iterator[bytes]:
    for path in keys:
        hint = f"{_EXPORT} >{quoted(str(path))}` writes it"
        try:
            data = wholefile.read_trusted(path, "the key", LONGEST_KEYS, hint=hint, owner=owner)
        except ProfileError as error:
            raise ProfileError(f"{path}: {error.message}", origin=origin, hint=error.hint) from None
        looked.append((path, sha256(data)))
        yield data


def _signature(file: Path, data: bytes, ring: Keyring, required: object, looked: list[tuple[Path, str]]) -> Signature:
    kept = place(file)
    sign = f"`hardening profile sign --key ID {quoted(str(file))}`"
    try:
        signature = wholefile.read(kept, LONGEST)
    except FileNotFoundError:
        text = f"this profile is not signed, which {required} requires: there is no {kept.name}"
        raise ProfileError(text, origin=file, hint=f"{sign} signs it, with one of the keys that are accepted") from None
    except OSError as error:
        raise ProfileError(f"cannot read the signature: {error.strerror}", origin=kept, hint=sign) from None
    looked.append((kept, sha256(signature)))
    try:
        signed = ring.verify_detached(data, signature[:LONGEST])
        if signed.digest in _WEAK:
            raise OpenPGPNotSigned(f"Invalid GPG signature: its digest, {_WEAK[signed.digest]}, is too weak")
    except OpenPGPNotSigned as error:
        text = f"{error}; {required} requires a good one"
        hint = f"review {quoted(str(file))}, and sign it again with a key that is accepted: {sign}"
        raise ProfileError(text, origin=kept, hint=hint) from None
    return Signature(kept, signed.primary, signed.expires)
