"""What touches the world: one file per outside system, each act with the way to tell that it already happened."""
