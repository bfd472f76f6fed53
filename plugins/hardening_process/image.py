"""What the configuration of an image says of its process (OCI image spec, image configuration)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def table(config: Mapping[str, Any]) -> dict[str, object]:
    """User, working directory and variables, as `[process]` has them; an empty one says nothing. A user that is no text is
    given on: who cannot be read must not become the natural user, which may be root."""
    found: dict[str, object] = {}
    user, folder = config.get("User"), config.get("WorkingDir")
    if user is not None and user != "":
        found["user"] = user
    if isinstance(folder, str) and folder:
        found["cwd"] = folder if folder.startswith("/") else f"/{folder}"
    variables = config.get("Env")
    pairs = [item.partition("=") for item in variables if isinstance(item, str)] if isinstance(variables, list) else []
    if pairs:
        found["set_environment"] = {name: value for name, equals, value in pairs if equals and name}
    return found
