"""Tables of README.md, the guides and SECURITY.md, each a text made of values that a script in benchmarks/ measured."""
