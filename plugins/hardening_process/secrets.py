"""Which variables hold a secret, as far as a name tells."""

from __future__ import annotations

_WORDS = frozenset(
    (
        *("SECRET", "SECRETS", "TOKEN", "TOKENS", "CREDENTIAL", "CREDENTIALS", "COOKIE", "AUTH"),
        *("PASS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSWDS", "PASSPHRASE", "PASSPHRASES", "PWD"),
        *("KEY", "KEYS", "APIKEY", "DSN"),
    )
)
#: Names that end like a secret and are none.
_HARMLESS = frozenset({"PWD", "OLDPWD"})


def is_secret(name: str) -> bool:
    """Whether a variable, by its name, holds a secret."""
    return name not in _HARMLESS and not _WORDS.isdisjoint(name.upper().split("_"))
