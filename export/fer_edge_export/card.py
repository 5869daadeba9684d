"""The model card: what the model is, where it comes from, how well it does, and what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge_export.evaluate import Measured

_IMAGENET_FILE = "mobilenet_v2_notop.weights.h5"

_USE = """\
## Intended use

Naming the apparent expression of a face that a camera or picture shows, on a small device, without sending pictures
anywhere: interactive art, games, accessibility aids, photo sorting, research and teaching. A label says what a face
**looks like**, as a person glancing at it might put it. It does not say what that person feels, thinks or intends;
faces are not reliable read-outs of emotion (Barrett et al., 2019).

## Not for

- **Workplaces and education**: the EU AI Act, Article 5(1)(f), bans systems that infer emotions of people there,
  except for medical or safety reasons.
- Decisions about a person: hiring, policing, insurance, credit, medical diagnosis, lie detection.
- Identifying people, or watching them without their knowledge. Where such a system is used lawfully in the EU, Article
  50(3) of the AI Act requires that the people exposed to it are **told**. Other uses may be high-risk under Annex III.
"""

_FER_DATA = """\
FER2013 (Goodfellow et al., 2013, arXiv 1307.0414): 48×48 grey faces found by web search for emotion words. It came with
the rules of a Kaggle competition and **no data licence**; the pictures belong to third parties. None of them is in this
bundle (the golden vectors show a public-domain NASA portrait). Whether weights trained on such pictures may be used
commercially is unsettled: **check this before commercial use.**
"""

_FER_LIMITS = """\
- FER2013's pictures are mostly posed or picked by an emotion word from the web; spontaneous faces are subtler.
- Its labels are noisy: people agree with them on about 65 ± 5 % of the faces, so scores far above that are partly
  knowledge of the labels' habits.
- The classes are unequal (disgust is rare) and the weak ones are confused with each other; see the tables.
- Web search results over-represent some ages, genders, skin tones and cultures.
"""

_LIMITS = """\
- Differences between groups of people (age, gender, skin tone, culture) were **not measured**; expect them.
- Profile views, hands before the face, masks, strong light from one side and faces under about 24 pixels do worse.
- The scores are not calibrated probabilities; `uncertain` marks answers under the bundle's threshold.
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card is told; nothing in it is made up by the writer.

    Attributes:
        name, version: of the bundle.
        labels: class names.
        architecture, input_size, width: of the classifier.
        dataset, dataset_digest: file name and SHA-256 of the data set.
        is_fer2013: the labels and the number of faces in each split are FER2013's.
        weights: file name of the backbone's starting weights, or None.
        counts: usage -> class -> faces.
        measured: every artefact on every split, the shipped int8 TFLite among them.
        gate: what the export gate saw.
        calibration: of the integer ranges.
        sizes: artefact -> bytes, for the files in the bundle.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    architecture: str
    input_size: int
    width: float
    dataset: str
    dataset_digest: str
    is_fer2013: bool
    weights: str | None
    counts: dict[str, dict[str, int]]
    measured: Sequence[Measured]
    gate: dict[str, Any]
    calibration: dict[str, Any]
    sizes: dict[str, int]


def model_card(facts: CardFacts) -> str:
    """The text of the bundle's README.md."""
    final = next(m for m in facts.measured if m.artefact == "model.int8.tflite" and m.split == "PrivateTest")
    parts = [
        _header(facts, final), _summary(facts), _USE, _results(facts), _per_class(final), _confusion(final, facts.labels),
        _training(facts), _limits(facts),
    ]  # fmt: skip
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _header(facts: CardFacts, final: Measured) -> str:
    tags = ["facial-expression-recognition", "int8", "tflite", "onnx", "edge", facts.architecture]
    data = "FER2013" if facts.is_fer2013 else facts.dataset
    lines = [
        "---", f"license: {'apache-2.0' if facts.is_fer2013 else 'other'}", "library_name: fer-edge", "pipeline_tag: image-classification", "tags:",
        *(f"- {tag}" for tag in tags), "metrics:", "- accuracy", "- f1", "model-index:", f"- name: {json.dumps(facts.name)}", "  results:",
        "  - task:", "      type: image-classification", "    dataset:", f"      name: {json.dumps(data)}",
        f"      type: {json.dumps('fer2013' if facts.is_fer2013 else 'custom')}", "      split: PrivateTest", "    metrics:",
        "    - type: accuracy", f"      value: {final.result['accuracy']}", "      name: int8 TFLite, single crop",
        "    - type: f1", f"      value: {final.result['macro_f1']}", "      name: macro F1, int8 TFLite, single crop", "---",
    ]  # fmt: skip
    return "\n".join(lines)


def _summary(facts: CardFacts) -> str:
    files = ", ".join(f"`{name}` ({size / 1e6:.2f} MB)" for name, size in facts.sizes.items())
    return (
        f"# {facts.name} {facts.version}\n\n"
        f"Apparent facial expression of one face: {', '.join(facts.labels)}. {facts.architecture} (width {facts.width:g}) at "
        f"{facts.input_size}×{facts.input_size}, full-integer int8 (per-channel weights, int8 in and out). Files: {files}. "
        f"Run it with `fer-edge run --model THIS_FOLDER`; `manifest.json` describes every tensor and the preprocessing."
    )


def _results(facts: CardFacts) -> str:
    rows = [
        f"| {m.split} | `{m.artefact}` | {m.precision} | {m.result['n']} | **{m.result['accuracy']:.2%}** | "
        f"{m.result['interval95'][0]:.1%} to {m.result['interval95'][1]:.1%} | {m.result['macro_f1']:.3f} | {m.engine} |"
        for m in facts.measured
    ]
    gate = facts.gate
    return "\n".join([
        "## Results", "",
        "Single crop, measured by the fer-edge runtime on the files themselves. PublicTest chose the epoch and decided the gate;",
        "PrivateTest was measured after that and chose nothing. The interval is 95 % (Wilson).", "",
        "| split | artefact | precision | n | accuracy | interval | macro F1 | engine |", "|---|---|---|---|---|---|---|---|", *rows, "",
        f"Gate: int8 may lose {gate['max_drop_points']:g} points of PublicTest accuracy against float32; it lost {gate['drop_points']:g}.",
    ])  # fmt: skip


def _per_class(measured: Measured) -> str:
    rows = [
        f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['n']} |"
        for name, row in measured.result["per_class"].items()
    ]
    title = f"### Per class ({measured.artefact}, {measured.split})"
    return "\n".join([title, "", "| class | precision | recall | F1 | n |", "|---|---|---|---|---|", *rows])


def _confusion(measured: Measured, labels: Sequence[str]) -> str:
    width = max(6, *(len(label) for label in labels)) + 1
    lines = [" " * width + "".join(label.rjust(width) for label in labels)]
    for label, row in zip(labels, measured.result["confusion"], strict=True):
        lines.append(label.ljust(width) + "".join(str(count).rjust(width) for count in row))
    title = "### Confusion: rows are the data set's labels, columns the model's"
    return "\n".join([title, "", "```", *lines, "```"])


def _training(facts: CardFacts) -> str:
    counts = "; ".join(f"{usage}: {sum(per.values())}" for usage, per in facts.counts.items())
    data = (
        _FER_DATA
        if facts.is_fer2013
        else "A data set of the user's own; its licence and origin are the user's to state.\n"
    )
    chosen = facts.calibration
    return (
        f"## Training data\n\n{data}\nFile `{facts.dataset}`, digest `{facts.dataset_digest[:16]}…`; faces: {counts}.\n\n"
        f"## Starting weights\n\n{_weights(facts.weights)}\n\n"
        f"## Quantization\n\nPost-training, full integer. Ranges from {chosen['faces']} training faces, balanced over the classes "
        f"(seed {chosen['seed']}, digest `{chosen['sha256'][:16]}…`). The ONNX model is made from the TFLite one: same weights, same grid."
    )


def _limits(facts: CardFacts) -> str:
    own = (
        _FER_LIMITS
        if facts.is_fer2013
        else "- What the training pictures show and how they were labelled limits what the model knows.\n"
    )
    return f"## Limits\n\n{own}{_LIMITS}"


def _weights(weights: str | None) -> str:
    if weights is None:
        return "None: the network started from random weights."
    if weights == _IMAGENET_FILE:
        return (
            f"`{weights}`: Google's ImageNet MobileNetV2 (post-training int8, per channel; Apache-2.0), de-quantized. Its batch norm was "
            "folded there, so the statistics were measured again on FER2013 training faces with the function unchanged. ImageNet's "
            "pictures have their own terms."
        )
    return f"`{weights}`; see its own documentation for origin and licence."
