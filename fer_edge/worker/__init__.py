"""Work in a process of its own: ``process`` asks, ``answers`` answers, one JSON object a line over the process's pipes."""
