"""What a root can have that it should not, as `[scan]` names it. `UNREAD` is what nobody could look at, and may be any."""

from __future__ import annotations

SETUID, SETGID, CAPABILITIES, WORLD_WRITABLE = "setuid", "setgid", "file_capabilities", "world_writable"
DEVICES, CREDENTIALS, EXTERNAL, UNREAD = "devices", "credentials", "external", "unread"
#: What a profile permits or denies.
DENIABLE = (SETUID, SETGID, CAPABILITIES, WORLD_WRITABLE, DEVICES, CREDENTIALS, EXTERNAL)
KINDS = (*DENIABLE, UNREAD)
