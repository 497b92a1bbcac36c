"""The command line ``tenure``."""
