"""What is done to the cluster: faults, their schedule, their undoing."""
