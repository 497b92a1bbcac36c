"""What happens, in order: one file per durable process, each read like the handbook page that it runs."""
