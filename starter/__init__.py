"""Every way in: the service that all of them share, the command line, the web, the schedules, and the local stack."""
