"""What `scripts/hardening-cli` does. There is no ``python -m hardening``, which would be the package of the directory where
somebody stands (`sys.path`)."""

import gc

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
    return command()


def command() -> int:
    """Do it where everything is as a program has it. The collector of cycles looks neither while modules are imported nor at
    the end, when the interpreter has it look at everything several times: a tenth of the time of a short command."""
    gc.disable()
    from hardening import cli

    gc.enable()
    code = cli.main()
    gc.freeze()
    return code
