"""What nobody may read without a key: the codec of what goes to Temporal, the ring of keys, and a key for each person."""
