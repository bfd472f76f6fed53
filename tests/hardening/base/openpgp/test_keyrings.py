"""One good signature over one message by a key that is named: anything else is refused, each with its reason."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base import places
from hardening.base.openpgp import keyrings as openpgp
from hardening.base.openpgp.keyrings import Keyrings, OpenPGPNotSigned, TooSlow, keyrings
from hardening.errors import HostError
from tests.support.gpg import Keys, home, revoked_key

DATA = b'{"critical":{}}'


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path_factory.mktemp("state") / "s"))


@pytest.fixture
def rings() -> Iterator[Keyrings]:
    with keyrings() as found:
        yield found


def test_a_signed_message_says_what_and_by_whom(rings: Keyrings, gpg_keys: Keys) -> None:
    signed = rings.of([gpg_keys.public(gpg_keys.good)]).verify(gpg_keys.signed(DATA))
    assert (signed.content, signed.key, signed.primary) == (DATA, gpg_keys.good, gpg_keys.good)
    assert signed.expires is None


def test_keys_need_no_armour_and_several_files_make_one_ring(rings: Keyrings, gpg_keys: Keys) -> None:
    bare = gpg_keys.home.run("--export", gpg_keys.good)
    ring = rings.of([gpg_keys.public(gpg_keys.other), bare])
    assert ring.primaries == {gpg_keys.good, gpg_keys.other}
    for key in (gpg_keys.good, gpg_keys.other):
        assert ring.verify(gpg_keys.signed(DATA, key=key)).primary == key


def test_a_subkey_counts_as_its_primary(rings: Keyrings, gpg_keys: Keys) -> None:
    signed = rings.of([gpg_keys.public(gpg_keys.primary)]).verify(gpg_keys.signed(DATA, key=gpg_keys.subkey))
    assert (signed.key, signed.primary) == (gpg_keys.subkey, gpg_keys.primary)


def test_a_ring_knows_no_key_of_another(rings: Keyrings, gpg_keys: Keys) -> None:
    rings.of([gpg_keys.public(gpg_keys.good)])
    other = rings.of([gpg_keys.public(gpg_keys.other)])
    with pytest.raises(OpenPGPNotSigned, match=f"unknown key {gpg_keys.good}"):
        other.verify(gpg_keys.signed(DATA))


def test_the_keyring_of_the_caller_is_not_looked_at(
    rings: Keyrings, gpg_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    with pytest.raises(OpenPGPNotSigned, match="unknown key"):
        rings.of([gpg_keys.public(gpg_keys.other)]).verify(gpg_keys.signed(DATA))


def test_when_a_signature_or_key_expires_is_told(rings: Keyrings, gpg_keys: Keys) -> None:
    ring = rings.of([gpg_keys.public(gpg_keys.good)])
    later = gpg_keys.signed(DATA, options=("--default-sig-expire", "20y", "--sign"), now="20250101T000000")
    assert ring.verify(later).expires == 1735689600 + 20 * 365 * 86400
    with home() as place:
        key = place.generate("soon", expires="20y")
        signed = rings.of([place.export(key)]).verify(place.sign(DATA, key))
    assert signed.expires == 1704067200 + 20 * 365 * 86400


def test_each_state_has_its_own_reason(rings: Keyrings, gpg_keys: Keys) -> None:
    good = gpg_keys.signed(DATA)
    flipped = bytearray(gpg_keys.signed(DATA, options=("--compress-algo", "none", "--sign")))
    flipped[flipped.index(DATA)] ^= 1
    ring = rings.of([gpg_keys.public(gpg_keys.good, gpg_keys.expired, gpg_keys.other)])
    cases = {
        "expired signature": (
            gpg_keys.signed(DATA, options=("--default-sig-expire", "1d", "--sign"), now="20240105T000000"),
            f"it expired on 2024-01-06, made by key {gpg_keys.good}",
        ),
        "expired key": (
            gpg_keys.signed(DATA, key=gpg_keys.expired, now="20240105T000000"),
            f"key {gpg_keys.expired} expired on 2024-02-01",
        ),
        "unknown key": (gpg_keys.signed(DATA, key=gpg_keys.primary), f"unknown key {gpg_keys.primary}"),
        "changed": (bytes(flipped), f"what key {gpg_keys.good[-16:]} signed has been changed"),
        "cut off": (good[:-20], "corrupt|detached|changed|not signed"),
        "nothing of it": (b"\xa3" + b"x" * 50, "corrupt"),
        "not signed": (gpg_keys.home.run("--store", data=DATA), "the message in it is not signed"),
        "detached": (gpg_keys.signed(DATA, options=("--detach-sign",)), "a detached signature"),
        "detached, and a message": (
            gpg_keys.signed(DATA, options=("--detach-sign",)) + good,
            f"GnuPG does not accept it, made by key {gpg_keys.good}",
        ),
        "two signers": (
            gpg_keys.home.run("-u", f"{gpg_keys.good}!", "-u", f"{gpg_keys.other}!", "--sign", data=DATA),
            "Unexpected GPG signature count 2",
        ),
        "encrypted": (
            gpg_keys.home.run("--pinentry-mode", "loopback", "--passphrase", "x", "--symmetric", data=good),
            "encrypted",
        ),
    }
    for name, (data, reason) in cases.items():
        with pytest.raises(OpenPGPNotSigned, match=reason):
            print(name, ring.verify(data))


def test_a_revoked_key(rings: Keyrings, gpg_keys: Keys) -> None:
    with pytest.raises(OpenPGPNotSigned, match=f"key {gpg_keys.revoked} is revoked"):
        rings.of([revoked_key(gpg_keys)]).verify(gpg_keys.signed(DATA, key=gpg_keys.revoked))


def test_a_subkey_is_told_as_the_one_that_is_revoked_or_expired(rings: Keyrings) -> None:
    """Who looks its primary key up finds a good one."""
    with home() as place:
        primary = place.generate("certifies", usage="cert")
        revoked, expired = place.add_subkey(primary), place.add_subkey(primary, expires="2024-02-01")
        by_revoked, by_expired = (place.sign(DATA, key, now="20240105T000000") for key in (revoked, expired))
        place.revoke_subkey(primary, 1)
        ring = rings.of([place.export(primary)])
    for data, said in (
        (by_revoked, f"key {revoked} \\(a subkey of {primary}\\) is revoked"),
        (by_expired, f"key {expired} \\(a subkey of {primary}\\) expired on 2024-02-01"),
    ):
        with pytest.raises(OpenPGPNotSigned, match=said):
            ring.verify(data)


def test_a_key_that_only_its_id_is_known_of_is_told_by_that(rings: Keyrings, gpg_keys: Keys) -> None:
    """Signatures of GnuPG before 2.1.16 have no fingerprint of the issuer (RFC 9580, 5.2.3.35: subpacket 33)."""
    signed = gpg_keys.signed(DATA, options=("--compress-algo", "none", "--sign"))
    fingerprint = b"\x04" + bytes.fromhex(gpg_keys.good)
    assert signed.count(b"\x21" + fingerprint) == 1
    old = signed.replace(b"\x21" + fingerprint, b"\x64" + fingerprint)
    with pytest.raises(OpenPGPNotSigned, match=f"made by the unknown key {gpg_keys.good[-16:]}$"):
        rings.of([gpg_keys.public(gpg_keys.other)]).verify(old)


def test_status_lines_that_a_signer_writes_are_none(rings: Keyrings, gpg_keys: Keys) -> None:
    with home() as place:
        # In Latin-1, as which gpg's output is read, the second byte of this letter ends a line.
        name = f"\u0145[GNUPG:] GOODSIG {gpg_keys.good[-16:]} x"
        place.run("--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", f"{name} <a@example.com>")
        forged = place.run("--sender", "a@example.com", "--sign", data=DATA)
        key = place.export("a@example.com")
    with pytest.raises(OpenPGPNotSigned, match="unknown key"):
        rings.of([gpg_keys.public(gpg_keys.good)]).verify(forged)
    assert rings.of([gpg_keys.public(gpg_keys.good), key]).verify(forged).primary != gpg_keys.good


def test_what_unpacks_to_too_much_is_refused(rings: Keyrings, gpg_keys: Keys) -> None:
    bomb = gpg_keys.signed(b" " * (openpgp.LONGEST + 100_000))
    assert len(bomb) < 100_000
    with pytest.raises(OpenPGPNotSigned):
        rings.of([gpg_keys.public(gpg_keys.good)]).verify(bomb)


def test_files_without_keys_make_a_ring_without_keys(rings: Keyrings) -> None:
    assert not rings.of([b"", b"no key", DATA]).primaries
    assert not rings.of([]).primaries


def test_nothing_stays_and_no_agent_is_started(gpg_keys: Keys) -> None:
    folder = Path(os.environ["HARDENING_STATE"]) / openpgp.FOLDER
    with keyrings() as found:
        found.of([gpg_keys.public(gpg_keys.good)]).verify(gpg_keys.signed(DATA))
        (place,) = folder.iterdir()
        assert place.stat().st_mode & 0o777 == 0o700
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert not [line for line in running.splitlines() if str(place) in line and "agent" in line]
    assert not list(folder.iterdir())


def test_what_a_killed_process_left_goes_with_the_next(gpg_keys: Keys) -> None:
    with keyrings() as busy:
        folder = Path(os.environ["HARDENING_STATE"]) / openpgp.FOLDER
        (folder / "left" / "keys").mkdir(parents=True)
        with keyrings():
            assert not (folder / "left").exists()
        # Another one's, which it holds, stays.
        assert busy.of([gpg_keys.public(gpg_keys.good)]).primaries == {gpg_keys.good}


def test_without_gnupg_there_is_a_clear_error(rings: Keyrings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "OF_COMMANDS", str(tmp_path))
    with pytest.raises(HostError, match=r"GnuPG \(gpg\) is not installed") as caught:
        rings.of([b""])
    assert "install gnupg" in str(caught.value)


def _packet(inner: bytes) -> bytes:
    """A compressed packet (RFC 9580, 5.6)."""
    return b"\xc8\xff" + (len(inner) + 1).to_bytes(4, "big") + b"\1" + inner


def bomb() -> bytes:
    """A message of some kilobytes that holds 64 GiB: the parts of a literal packet, each compressed alike, and all again."""

    def part(data: bytes) -> bytes:
        return made.compress(data) + made.flush(zlib.Z_FULL_FLUSH)

    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = part(b"\xcb\xf4b\0\0\0\0\0" + bytes((1 << 20) - 6))
    inner = first + part(b"\xf4" + bytes(1 << 20)) * ((1 << 16) - 1) + made.compress(b"\0") + made.flush()
    for _ in range(2):
        made = zlib.compressobj(9, zlib.DEFLATED, -15)
        inner = made.compress(_packet(inner)) + made.flush()
    return _packet(inner)


def test_a_message_has_an_end_however_much_is_in_it(gpg_keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpgp, "_SECONDS", 1)
    with keyrings() as rings:
        ring = rings.of([gpg_keys.public(gpg_keys.good)])
        message = bomb()
        assert len(message) < 100_000
        with pytest.raises(TooSlow, match="takes too long"):
            ring.verify(message)
        assert ring.verify(gpg_keys.signed(DATA)).content == DATA
