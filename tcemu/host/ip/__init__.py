"""`ip`: the part of iproute2's command that a ruleset's machine needs."""
