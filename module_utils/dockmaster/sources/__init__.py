"""Sources: who knows endpoints. A source that does not answer is unreachable, never empty."""
