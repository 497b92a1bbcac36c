"""``python -m starter.web``: the web process."""

from __future__ import annotations

import sys

from starter.web.app import main

if __name__ == "__main__":
    sys.exit(main())
