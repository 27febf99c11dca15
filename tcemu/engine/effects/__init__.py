"""Effects at run time: what lowered steps do to packets. One idea, one file."""
