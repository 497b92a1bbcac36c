"""One file for each version of the schema. What stands in one is never changed: databases were made by it."""
