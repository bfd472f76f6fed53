"""What `scripts/hardening-cli` does. There is no ``python -m hardening``, which would be the package of the directory where
somebody stands (`sys.path`)."""

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
