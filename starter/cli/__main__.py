"""``python -m starter.cli``: the command line."""

from __future__ import annotations

from starter.cli.app import main

if __name__ == "__main__":
    main()
