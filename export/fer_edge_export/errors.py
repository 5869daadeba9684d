"""What can go wrong in an export besides the errors of the runtime's tree.

* FerEdgeError (1)
  - ExportError (1): a conversion failed, or its result is not what was asked for
"""

from __future__ import annotations

from fer_edge_runtime.errors import FerEdgeError


class ExportError(FerEdgeError):
    """A conversion failed or its result was refused; nothing was written."""
