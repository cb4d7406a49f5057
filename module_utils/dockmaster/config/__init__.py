"""The configuration: read key by key into types."""
