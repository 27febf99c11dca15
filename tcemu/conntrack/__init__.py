"""Connection tracking: who talks to whom, in which state, and for how long it is remembered."""
