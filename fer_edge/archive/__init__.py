"""`fer-edge annotate`: archives of pictures and videos into one table, on one machine or on a Ray cluster."""
