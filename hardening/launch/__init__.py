"""The launcher: reads a bundle, runs its command, cleans up.

Import rule: modules of this package import the standard library, `_cffi_backend`, `hardening.errors` and what of
`hardening.base` imports no more than these, nothing else, and none of the slow modules of the standard library on the path
of a native launch. The launcher may run with more privilege than the author of the command has, and it runs at every start.
"""
