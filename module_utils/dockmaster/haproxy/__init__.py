"""HAProxy: its configuration file, its process, its runtime API, and the way from one state to the next."""
