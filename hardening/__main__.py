"""``python -m hardening``."""

import sys

from hardening.cli import main

if __name__ == "__main__":
    sys.exit(main())
