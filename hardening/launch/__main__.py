"""``python -m hardening.launch``."""

import os
import sys

from hardening.launch.main import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
