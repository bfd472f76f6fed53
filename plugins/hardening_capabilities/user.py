"""What other mechanisms decide about the user that holds the capabilities."""

from __future__ import annotations

from hardening.mechanism.mechanism import Context
from hardening_namespaces.settings import HOST, NamespacesSettings
from hardening_process.identity import resolve


def runs_as_root(context: Context) -> bool:
    """Whether the command runs as uid 0 of its user namespace; raises `ProfileError` as the mechanism `process` does."""
    return resolve(context).is_root


def has_own_user_namespace(context: Context) -> bool:
    """Whether the command gets a user namespace other than the caller's; without the mechanism `namespaces` it does
    not."""
    namespaces = context.of(NamespacesSettings)
    return namespaces is not None and namespaces.user != HOST and not context.lacks("namespaces.user")


def shares_network(context: Context) -> bool:
    """Whether the command uses the caller's network namespace; without the mechanism `namespaces` it does."""
    namespaces = context.of(NamespacesSettings)
    return namespaces is None or namespaces.net == HOST or context.lacks("namespaces.net")
