"""The package `facex`, as its README uses it."""

from typing import Any

from serve import Found, serve

LABELS = {"anger": "angry", "sadness": "sad", "surprised": "surprise"}


class Peer:
    """`PoolManager` with its defaults."""

    def __init__(self, **options: Any) -> None:
        import facex

        self._pool = facex.PoolManager(**options)
        self._classifier: Any = None

    def faces(self, frame: Any) -> Found:
        """Boxes and labels in a (H, W, 3) uint8 BGR picture."""
        found: Found = []
        for face in self._pool.predict(frame):
            x, y, w, h = face["bbox"]
            found.append(((x, y, x + w, y + h), best(face["emot"])))
        return found

    def classify(self, face: Any) -> str:
        """The label of a (48, 48) uint8 face, by the package's own preprocessing."""
        if self._classifier is None:
            self._classifier = self._pool.get_classifier()
        return best(self._classifier.detect_emotion(face))


def best(scores: dict[str, Any]) -> str:
    """The label with the highest score, in FER2013's words."""
    label = max(scores, key=lambda name: scores[name])
    return LABELS.get(label, label)


if __name__ == "__main__":
    serve(Peer)
