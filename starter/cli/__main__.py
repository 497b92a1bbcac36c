"""``python -m starter.cli``: the command line."""

from starter.cli.app import main

if __name__ == "__main__":
    main()
