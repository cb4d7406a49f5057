"""Measure what Dockmaster costs, and compare it with others, on one machine and with the real programs."""
