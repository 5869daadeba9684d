"""fer-edge itself, as its README uses it."""

from typing import Any

from serve import Found, serve


class Peer:
    """`Recognizer.load` with its defaults, or with the options given."""

    def __init__(self, **options: Any) -> None:
        import fer_edge

        self._recognizer = fer_edge.Recognizer.load(**options)

    def faces(self, frame: Any) -> Found:
        """Boxes and labels in a (H, W, 3) uint8 BGR picture."""
        return [(face.box, face.label) for face in self._recognizer(frame)]

    def classify(self, face: Any) -> str:
        """The label of a (48, 48) uint8 face, which is framed already."""
        from fer_edge_runtime.preprocess import to_input

        own = self._recognizer
        batch = to_input(face[None], own.bundle.manifest.preprocess, own.artefact.input)
        return str(own.labels[int(own.engine.run(batch)[0].argmax())])


if __name__ == "__main__":
    serve(Peer)
