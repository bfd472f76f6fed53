"""Watching over a container: signals, terminal, exit codes, cleaning up."""
