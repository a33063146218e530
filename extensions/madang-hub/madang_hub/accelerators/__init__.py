"""Accelerators: what there is, who has it for how long, who is next, and what it is charged to."""
