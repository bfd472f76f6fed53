"""hardening: layered security profiles, composed into one OCI runtime spec and launched without a daemon.

This package is the core: it knows no mechanism by name. Importing it imports nothing else, because the
launcher shares it.
"""

__version__ = "0.1.0"
