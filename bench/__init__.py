"""What Tenure costs: each figure beside its floor, measured in the same run, and beside its goal. ``python -m bench --help``."""
