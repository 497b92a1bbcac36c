"""A company's cloud trial, with its phases in files of their own, and what begins beside it: joining, another host, a failed form."""
