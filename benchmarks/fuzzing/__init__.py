"""Targets of ``benchmarks/fuzz.py``: each makes inputs from a seed and gives them to one of the program's readers."""
