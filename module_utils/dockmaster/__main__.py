"""``python3 -m dockmaster``, and what the command's zip application starts."""

import sys

from .cli import main

sys.exit(main())
