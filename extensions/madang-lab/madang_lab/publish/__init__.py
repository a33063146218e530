"""The author's side of publishing a notebook: what will be packed, what to know before, and the archive."""
