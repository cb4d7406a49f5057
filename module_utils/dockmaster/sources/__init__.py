"""Where backends come from. Each source gives a snapshot, or says that it cannot answer."""
