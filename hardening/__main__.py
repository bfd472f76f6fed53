"""What `scripts/hardening-cli` does, also ``python -m hardening``."""

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
    caches.use()
    sys.exit(main())
