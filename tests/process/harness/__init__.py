"""Three real nodes, a door to them, and a memory of what was appended (see ../README.md)."""
