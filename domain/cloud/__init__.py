"""What is asked of the Cloud team: the requests, what an issue says, and what has become of it."""
