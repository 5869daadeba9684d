"""What runs on the device: bundle, engines, detector, tracker, sources and sinks. Never imports a training library.

Import from its modules (`recognizer`, `stream`, `sources`, `sinks`), or from `fer_edge`, the public façade.
"""

import os

# OpenCV reads it when it is loaded: the most pixels that its decoders make, whatever a file's header made us believe.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "120000000")
