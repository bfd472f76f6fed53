"""The native runtime: the launcher and the process that becomes the command."""
