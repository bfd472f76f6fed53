"""The keys that signatures of these tests are made with."""

from tests.support.gpg import gpg_keys

__all__ = ["gpg_keys"]
