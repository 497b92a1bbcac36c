"""The phases of a trial, each a page of the handbook: intake, delivery, the open trial, and its end."""
