"""What is done to the store, and what it must satisfy."""
