"""`python -m lambdanets` is the command `lambdanets`."""

import sys

from lambdanets.cli import main

if __name__ == "__main__":
    sys.exit(main())
