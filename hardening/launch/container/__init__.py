"""Containers that others find: names, detached ones, logs."""
