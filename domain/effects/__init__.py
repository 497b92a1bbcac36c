"""What is done in the world, as data: each effect, what comes back of it, and whether the world still tells the same."""
