"""The entry points: the command line, the web, the schedules, the local stack, and the service that all of them share."""
