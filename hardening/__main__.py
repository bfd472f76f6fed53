"""What `scripts/hardening-cli` does, also ``python -m hardening``."""

import os
import sys

from hardening import caches
from hardening.errors import LaunchError
from hardening.launch import files
from hardening.launch.guarded import complain, require_clock


def main() -> int:
    """Do what the words in `sys.argv` ask for: the exit code."""
    try:
        # Nothing of the command line can be imported without.
        require_clock()
    except LaunchError as error:
        complain(str(error))
        return error.exit_code
    files.restore_environment()
    from hardening import cli

    return cli.main()


if __name__ == "__main__":
    if not sys.flags.isolated:
        # Before anything more is imported from where a variable or the working directory says.
        os.execv(sys.executable, [sys.executable, "-I", "-m", "hardening", *sys.argv[1:]])  # noqa: S606
    caches.use()
    sys.exit(main())
