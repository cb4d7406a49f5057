"""Docker hosts as a source: a list, then events."""
