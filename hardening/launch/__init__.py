"""The launcher: reads a bundle, runs its command, cleans up.

Import rule: modules of this package import the standard library, `hardening.errors` and `_cffi_backend`, nothing
else, and none of the slow modules of the standard library on the path of a native launch. The launcher may run with
more privilege than the author of the command has, and it runs at every start.
"""
