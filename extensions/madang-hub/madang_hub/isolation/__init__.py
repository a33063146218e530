"""What keeps user servers apart from each other and from the machine (rules; no I/O)."""
