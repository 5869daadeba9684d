"""The HTTP server of the live page and of the picture service; imported only when one of them is asked for."""
