"""SHA-256, the one text that stands for JSON data, and what binds a compiled filter to the configuration that was audited:
one digest over both.

`config.json` says in ``linux.seccomp`` what a filter does, and crun and runc compile that; the native launcher loads
``seccomp.bpf``. The annotation holds the SHA-256 of the canonical ``linux.seccomp`` (JSON with sorted keys and without
spaces), a NUL, and the program: neither can be changed without the other.
"""

from __future__ import annotations

import sys

from hardening.base import jsontext

ANNOTATION = "org.hardening.seccomp.sha256"
#: The algorithms that digests of images may have, with how many hexadecimal digits.
DIGESTS = {"sha256": 64, "sha512": 128}


def of_filter(seccomp: object, program: bytes) -> str:
    """The digest in hexadecimal. ``seccomp`` is JSON data."""
    return sha256(canonical(seccomp) + b"\0" + program)


def canonical(value: object) -> bytes:
    """JSON data as the one text that stands for it; `TypeError` for anything else."""
    return jsontext.dump(value, canonical=True).encode()


def is_digest(text: str) -> bool:
    """Whether text is a digest: ``sha256:`` or ``sha512:`` and its digits in lower case (OCI image spec, descriptor)."""
    algorithm, _, digits = text.partition(":")
    return len(digits) == DIGESTS.get(algorithm) and not set(digits) - set("0123456789abcdef")


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal (FIPS 180-4)."""
    # hashlib loads OpenSSL, which takes as long as the rest of the launch; the interpreter's own code does not.
    # Asked for by version: what another version has would be looked for among all installed packages.
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256 as function
        else:
            from _sha256 import sha256 as function  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256 as function
    result: str = function(data).hexdigest()
    return result
