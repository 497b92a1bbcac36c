"""E-mail: the effect, and the templates of every mail."""
