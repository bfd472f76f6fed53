"""Launches that are killed, starved and crowded: afterwards nothing may be left of them.

``python -m tests.stress`` runs the scenarios and prints one line each (`make stress`); the tests run small counts of them.
A scenario works inside an `arena`, where every mount, process, control group and file is its own, takes a `census` before
each launch and after it, and shows the exact difference.
"""
