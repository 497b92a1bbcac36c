"""The service behind every way in: queries, commands, and who may give them."""
