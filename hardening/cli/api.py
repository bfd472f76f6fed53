"""What commands of plugins may use of the command line (`docs/reference/cli.md`, Commands of other packages); of all else in
`hardening.cli` they import nothing, which `make check` holds.

| of | there is |
| --- | --- |
| the run of a command | `session`: plugins, host, and how a `Request` is composed |
| options of a stack of profiles | `StackCommand`, `stack_options`, and what they say: `request` |
| options of images | `fetch_options`, and what they say: `fetched`, the root of an image; `tls_option` |
| its arguments | `meant`: the name of an image; `of_path`, `instead_of`: hints for one that was meant otherwise |
| what it prints | `show`, `show_table`, `show_json`, `show_result` to standard output, `note` to standard error |
"""

from __future__ import annotations

from hardening.cli.fetching import meant, of_path, tls_option
from hardening.cli.options.elsewhere import instead_of
from hardening.cli.options.imaged import fetch_options, fetched
from hardening.cli.options.stack import StackCommand, request, stack_options
from hardening.cli.output import note, show, show_json, show_result, show_table
from hardening.cli.session import Request, session

__all__ = [
    "Request",
    "StackCommand",
    "fetch_options",
    "fetched",
    "instead_of",
    "meant",
    "note",
    "of_path",
    "request",
    "session",
    "show",
    "show_json",
    "show_result",
    "show_table",
    "stack_options",
    "tls_option",
]
