"""A small result, as the bench keeps one."""

from __future__ import annotations

from typing import Any


def result() -> dict[str, Any]:
    """A result of a machine that reaches some of its targets."""
    return {
        "machine": {"processor": "a processor", "kernel": "6.18"},
        "notes": ["Not measured as an ordinary user: runc ends with 1"],
        "launches": {
            "root": {
                "hardening launch": [14.0, 15.0, 16.0],
                "hardening run": [20.0],
                "hardening run, new command": [22.0],
                "hardening run, first composition": [100.0, 300.0],
                "crun": [7.0, 8.0, 9.0],
                "runc": [30.0],
                "podman": [80.0],
            },
            "an ordinary user": {"hardening launch": [16.0]},
        },
        "images": {
            "root": {
                "directory, native": [20.0, 21.0, 25.0],
                "signed image, native": [22.0, 23.0, 24.0],
                "directory, crun": [30.0],
                "signed image, crun": [45.0],
            },
            "an ordinary user": {"directory, native": [21.0], "signed image, native": [20.5]},
        },
        "verifying": {
            "images": 100,
            "seconds": {"docker": {"hardening, one command": 2.5, "skopeo, one command each": 10.0}},
        },
        "linting": {"files": 2000, "seconds": [4.0, 6.0, 4.2]},
        "explaining": {
            "explain": {"10": [2e-6], "10000": [2.1e-6]},
            "read": {"10": [0.0007], "10000": [0.2]},
            "command": {"10": [0.2], "10000": [0.5]},
        },
        "asking": {
            "why": {"hardening": [0.6], "beside": [0.2]},
            "learn processes": {"hardening": [1.5], "beside": [1.0]},
            "check": {"hardening": [2.0], "beside": [0.5]},
            "failing run": {"hardening": [0.06], "beside": [0.04]},
            "score": {"hardening": [0.25], "beside": [0.2]},
            "landlock": {"hardening": [0.042], "beside": [0.04]},
            "inspect": {"hardening": [1.5], "beside": [0.5]},
        },
        "comparing": {
            "diff": {"strict default": [1.2, 1.1, 1.4], "default strict": [1.3]},
            "prove": {"strict default": [1.6]},
        },
        "memory": {"root": {"hardening run": [8.0, 9.5, 10.0], "crun": [1.5]}, "an ordinary user": {"crun": [1.5]}},
        "curves": {"profiles": {"10": [0.01], "100": [0.1], "1000": [1.0]}},
        "instructions": {
            "strict": {"hardening": {"read": 10, "ioctl": 12}, "crun": {"read": 6, "write": 7, "ioctl": 326}}
        },
        "percall": {"none": {"read": [100.0]}, "hardening": {"read": [101.0]}, "crun": {"read": [103.0]}},
        "steps": {
            "hardening launch": [["python is executed", 4.0], ["a process ends", 2.0]],
            "hardening run, first composition": [["python is executed", 180.0], ["a process ends", 20.0]],
        },
        "imports": {
            "launcher": {"hardening.launch.main": 1.5},
            "hardening run --dry-run": {"attr": 90.0, "re": 1.0},
        },
    }
