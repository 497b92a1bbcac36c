"""What every process stands in: effects, tasks, messages, waiting, search attributes, and requests to the Cloud team."""
