"""The service behind web, API and command line: queries, commands, and who may give them."""
