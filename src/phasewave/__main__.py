"""``python -m phasewave`` is the command ``phasewave``."""

import sys

from phasewave.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
