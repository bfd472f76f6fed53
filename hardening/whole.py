"""The whole program: any command, whatever it has to import."""

import gc

from hardening.base import files
from hardening.base.guarded import complain, require_clock
from hardening.errors import LaunchError

SELDOM = 200_000  # objects made since the collector last looked


def main() -> int:
    """Do what the words in `sys.argv` ask for: the exit code. The collector of cycles looks far less often, also while
    modules are imported, and not at the end, when the interpreter has it look at everything several times."""
    try:
        # Nothing of the command line can be imported without.
        require_clock()
    except LaunchError as error:
        complain(str(error))
        return error.exit_code
    files.restore_environment()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
    from hardening import cli

    code = cli.main()
    gc.freeze()
    return code
