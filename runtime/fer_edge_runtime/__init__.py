"""What runs on the device: bundle, engines, detector, tracker, sources and sinks. Never imports a training library.

Import from its modules (`recognizer`, `stream`, `sources`, `sinks`), or from `fer_edge`, the public façade.
"""
