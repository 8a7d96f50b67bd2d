"""`python -m service` is `quotad`."""

import sys

from service.cli import main

if __name__ == "__main__":
    sys.exit(main())
