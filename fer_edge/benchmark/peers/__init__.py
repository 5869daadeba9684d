"""Other packages that do the same work, each in a virtual environment of its own, beside fer-edge in one measurement."""
