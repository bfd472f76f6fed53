"""Composed stacks, kept."""
