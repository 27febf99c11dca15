"""Lint: what the tools accept and nobody should deploy, found without root and, where rules stand in each other's way, proved with a packet."""
