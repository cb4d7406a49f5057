"""Files that the processes leave each other."""
