"""What was done and how things stand, for people and programs."""
