"""Offload: where established connections go, and why others may not.

`backend` is the contract; a backend is a small class that says which flows it takes. `flows` is the flow table that
tc ct keeps per zone in software, with or without a backend behind it.
"""
