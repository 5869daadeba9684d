"""The package `fer`, as its README uses it; `from fer import FER` of that README fails in 25.10.3, `fer.fer` has the class."""

from typing import Any

from serve import Found, serve


class Peer:
    """`FER` with its defaults, or with the options given."""

    def __init__(self, **options: Any) -> None:
        from fer.fer import FER

        self._of_face: Any = None
        self._make, self._options = FER, options
        self._detector = FER(**options)

    def faces(self, frame: Any) -> Found:
        """Boxes and labels in a (H, W, 3) uint8 BGR picture."""
        found: Found = []
        for face in self._detector.detect_emotions(frame):
            x, y, w, h = face["box"]
            found.append(((x, y, x + w, y + h), best(face["emotions"])))
        return found

    def classify(self, face: Any) -> str:
        """The label of a (48, 48) uint8 face, by the package's own preprocessing without the rim it adds to a detector's box."""
        import cv2

        if self._of_face is None:
            self._of_face = self._make(offsets=(0, 0), **self._options)
        picture = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR)
        (found,) = self._of_face.detect_emotions(picture, face_rectangles=[(0, 0, face.shape[1], face.shape[0])])
        return best(found["emotions"])


def best(scores: dict[str, Any]) -> str:
    """The label with the highest score."""
    return max(scores, key=lambda name: scores[name])


if __name__ == "__main__":
    serve(Peer)
