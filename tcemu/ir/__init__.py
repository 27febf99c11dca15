"""The shared rule IR: what tc and nft both mean.

Nine nouns (`ruleset`), ordered steps (`step`) of matches over operands (`operand`) and of effects (`effect`)
that yield verdicts (`verdict`); counters (`stats`); JSON and back (`codec`). Everything here is data: rich,
printable, and ignorant of packets. `tcemu.engine.lower` makes the small fast program of it.
"""
