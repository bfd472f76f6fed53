"""Watching over a container: signals, terminal, exit codes, cleaning up."""

#: Milliseconds without an event after which a process that waits gives memory back (`hardening.base.linux.memory`).
REST = 100
