"""What every turn of the frame loop does besides frames: the status line, a sign of life to the service manager, a look at the heat."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fer_edge.throttle_watch import ThrottleWatch
from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.notify import Notifier
from fer_edge_runtime.sources import SourceState

if TYPE_CHECKING:
    from fer_edge_runtime.sources import Source
    from fer_edge_runtime.types import FrameResult


class Pulse:
    """Beats after a written frame and while a live source is waited for; nowhere else. As a context manager it says the end."""

    def __init__(
        self,
        source: Source,
        show: Callable[[FrameResult], None],
        notifier: Notifier | None,
        throttling: ThrottleWatch,
    ) -> None:
        """Prepare.

        Args:
            source: whose state the status names.
            show: takes every result.
            notifier: the service manager's, if there is one.
            throttling: looks at the heat after every frame.
        """
        self._throttling = throttling
        self._source = source
        self._show = show
        self._notifier = notifier
        self._latest: FrameResult | None = None

    def frame(self, result: FrameResult) -> None:
        """A frame was processed and written."""
        self._latest = result
        self._show(result)
        self._throttling.look()
        self.idle()

    def idle(self) -> None:
        """The loop waits for a picture and is well.

        Raises:
            SourceError: only a new process can get the camera back, and there is a service manager to start one.
        """
        if self._notifier is None:
            return
        self._notifier.beat(self._status)
        if self._source.health().wedged:
            raise SourceError(
                f"{self._source.name}: its driver hangs and keeps the device. This process ends, so that the service manager "
                "starts another one."
            )

    def _status(self) -> str:
        """Rate and number of faces, without labels: a service's status is for everybody who has an account."""
        health, latest = self._source.health(), self._latest
        if latest is None or health.state is not SourceState.RUNNING:
            return f"{health.state.replace('_', ' ')}{f': {health.reason}' if health.reason else ''}"
        faces = len(latest.faces)
        rate = f"{latest.fps:.1f} frames/s, " if latest.fps else ""
        return f"{rate}{faces} face{'s' * (faces != 1)} in frame {latest.frame}"

    def __enter__(self) -> Self:
        """The pulse itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The loop has ended; what is open will be finished."""
        if self._notifier is not None:
            self._notifier.stopping()
            self._notifier.close()
