"""The model card: what the model is, where it comes from, how well it does, and what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge_export.evaluate import Measured
from fer_edge_train.architectures import BACKBONES
from fer_edge_train.bundle_weights import is_bundle
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FER2013_LABELS

# Files that are known by name; the texts are what their makers say.
_KNOWN_WEIGHTS = {
    "mobilenet_v2_notop.weights.h5": (
        "Google's ImageNet MobileNetV2 (post-training int8, per channel; Apache-2.0), de-quantized. Its batch norm was "
        "folded there, so the statistics were measured again on FER2013 training faces with the function unchanged. ImageNet's "
        "pictures have their own terms."
    ),
    "inception_v3_notop.weights.h5": (
        "InceptionV3 with 8-bit values, from the npm package nsfwjs 4.4.0 (MIT): the lower half is ImageNet's, the upper half "
        "was fine-tuned on another image classification task. ImageNet's pictures have their own terms."
    ),
}
_SPLITS = {
    "usage": "The split is the data set's own; a part that it lacks is a seeded fifth of its training rows.",
    "80-20": "A seeded, stratified fifth of the training rows is PublicTest here; all test rows are PrivateTest.",
    "binary-60-20-20": (
        "All rows were split anew, seeded and stratified: 60 % Training, 20 % PublicTest, 20 % PrivateTest. The last two are "
        "not the data set's own parts of these names."
    ),
}  # fmt: skip

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
- Web search results over-represent some ages, genders, skin tones and cultures.
- Its labels are noisy.
"""

_SEVEN_CLASS_LIMITS = """\
- People agree with the seven labels on about 65 ± 5 % of the faces, so scores far above that are partly knowledge of the
  labels' habits.
- The classes are unequal (disgust is rare) and the weak ones are confused with each other; see the tables.
"""

_LIMITS = """\
- Differences between groups of people (age, gender, skin tone, culture) were **not measured**; expect them.
- Profile views, hands before the face, masks, strong light from one side and faces under about 24 pixels do worse.
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card is told; nothing in it is made up by the writer.

    Attributes:
        name, version: of the bundle.
        labels: class names.
        recipe: of the run, its files without folders.
        dataset, dataset_digest: file name and SHA-256 of the data set.
        is_fer2013: the faces are FER2013's.
        counts: usage -> class -> faces.
        measured: every artefact on every split, the shipped int8 TFLite among them.
        gate: what the export gate saw.
        calibration: of the integer ranges.
        temperature: how the scores were calibrated, and what the threshold of ``uncertain`` does.
        quantization: the method that ships and what each method reached.
        sizes: artefact -> bytes, for the files in the bundle.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    recipe: TrainConfig
    dataset: str
    dataset_digest: str
    is_fer2013: bool
    counts: dict[str, dict[str, int]]
    measured: Sequence[Measured]
    gate: dict[str, Any]
    calibration: dict[str, Any]
    temperature: dict[str, Any]
    quantization: dict[str, Any]
    sizes: dict[str, int]


def model_card(facts: CardFacts) -> str:
    """The text of the bundle's README.md."""
    final = next(m for m in facts.measured if m.artefact == "model.int8.tflite" and m.split == "PrivateTest")
    parts = [
        _header(facts, final), _summary(facts), _USE, _results(facts), _per_class(final), _confusion(final, facts.labels),
        _scores(facts, final), _training(facts), _limits(facts),
    ]  # fmt: skip
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _header(facts: CardFacts, final: Measured) -> str:
    tags = ["facial-expression-recognition", "int8", "tflite", "onnx", "edge", facts.recipe.architecture]
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
    recipe = facts.recipe
    follows = f" The recipe follows: {recipe.reproduces}" if recipe.reproduces else ""
    return (
        f"# {facts.name} {facts.version}\n\n"
        f"Apparent facial expression of one face: {', '.join(facts.labels)}. {recipe.architecture} (width {recipe.width:g}) at "
        f"{recipe.input_size}×{recipe.input_size}, full-integer int8 (per-channel weights, int8 in and out). Files: {files}. "
        f"Run it with `fer-edge run --model THIS_FOLDER`; `manifest.json` describes every tensor and the preprocessing.{follows}"
        f"{_meaning(facts)}"
    )


def _meaning(facts: CardFacts) -> str:
    """What the labels gather, where the recipe regrouped the data set's classes."""
    groups = facts.recipe.data.classes
    if not groups:
        return ""
    lines = [f"- `{name}`: faces that the data set labels {', '.join(olds)}" for name, olds in groups.items()]
    return "\n".join([
        "\n\n### What the labels mean", "", *lines, "",
        "They name how an expression looks, not how the person feels. Faces of any class not named here were left out of training",
        "and of the results below; the model has no answer for them and gives one of these labels all the same.",
    ])  # fmt: skip


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
        "PrivateTest was measured after that and chose nothing. The interval is 95 % (Wilson).", _SPLITS[facts.recipe.split], "",
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


def _scores(facts: CardFacts, final: Measured) -> str:
    """What a score means, and what ``uncertain`` does."""
    found, uncertain = facts.temperature, facts.temperature["uncertain"]
    right = " and ".join(
        f"of the faces {side} it {accuracy:.1%} are right"
        for side, accuracy in (("above", uncertain["accuracy_above"]), ("under", uncertain["accuracy_under"]))
        if accuracy is not None
    )
    return (
        f"### Scores\n\nThe device divides the scores by the temperature {found['value']:g} (arXiv 1706.04599), fitted on {found['split']}: the "
        f"expected calibration error there went from {found['ece_before']:.3f} to {found['ece']:.3f}; on {final.split} it is "
        f"{final.result['calibration']['ece']:.3f}. A score is then about the share of such faces whose label in the data set is the "
        f"model's, on pictures like the data set's; on others it is not calibrated.\n\n`uncertain` is said where no score reaches "
        f"{uncertain['below']:g}: {uncertain['share']:.1%} of {found['split']}; {right}."
    )


def _training(facts: CardFacts) -> str:
    counts = "; ".join(f"{usage}: {sum(per.values())}" for usage, per in facts.counts.items())
    data = (
        _FER_DATA
        if facts.is_fer2013
        else "A data set of the user's own; its licence and origin are the user's to state.\n"
    )
    chosen = facts.calibration
    onnx = (
        " The ONNX model is made from the TFLite one: same weights, same grid."
        if "model.int8.onnx" in facts.sizes
        else ""
    )
    return (
        f"## Training data\n\n{data}\nFile `{facts.dataset}`, digest `{facts.dataset_digest[:16]}…`; faces: {counts}.\n{_preparation(facts.recipe)}\n"
        f"## Starting weights\n\n{_weights(facts.recipe)}\n\n"
        f"## Quantization\n\nFull integer, one scale per channel of a kernel. Ranges of the activations from {chosen['faces']} training faces, "
        f"balanced over the classes (seed {chosen['seed']}, digest `{chosen['sha256'][:16]}…`).{_method(facts.quantization)}{onnx}"
    )


def _method(quantization: dict[str, Any]) -> str:
    """How the weights came to their integers."""
    floats = quantization.get("float_layers")
    rounding = quantization["rounding"]
    chosen = (
        f" Of four ways to set ranges and biases (extremes or least squared error, biases as trained or corrected, arXiv "
        f"1906.04721) the closest to the float answers on {rounding['held_out_faces']} training faces: {rounding['chosen']}."
    )
    return chosen + _trained(quantization) + (f" These layers stay in float32: {', '.join(floats)}." if floats else "")


def _trained(quantization: dict[str, Any]) -> str:
    if "training" not in quantization:
        return " The weights are the trained ones, rounded (post-training quantization)."
    training, reached = quantization["training"], quantization["PublicTest"]
    figures = ", ".join(f"{method} {accuracy:.2%}" for method, accuracy in reached.items())
    return (
        f" Quantization-aware training taught the rounded network the float network's answers for {training['epochs']} epoch(s) "
        f"(Adam, {training['learning_rate']:g}, seed {training['seed']}). int8 on PublicTest: {figures}; what ships is "
        f"{quantization['method']}."
    )


def _preparation(recipe: TrainConfig) -> str:
    """Paragraphs on everything that changed faces, labels or targets before or while learning."""
    data, distill = recipe.data, recipe.distill
    told = []
    if data.per_class:
        told.append(f"At most {data.per_class} faces of each class were kept, drawn with seed {recipe.seed}.")
    if data.align != "none":
        told.append(f"Every face was found and straightened with the detector '{data.align}' first.")
    if data.ferplus == "soft7":
        told.append(
            f"FER+ (Barsoum et al., 2016, arXiv 1608.01041; ten votes a face) has a share of {data.ferplus_weight:g} in the training "
            "targets; every result is measured against the original labels."
        )
    if data.ferplus == "soft8":
        told.append(
            "The labels are the majority of FER+'s ten votes a face (Barsoum et al., 2016, arXiv 1608.01041), in training and in every "
            "result; numbers on the original labels cannot be compared with these."
        )
    if distill.teachers:
        names = ", ".join(f"`{name}`" for name in distill.teachers)
        told.append(
            f"Distilled (arXiv 1503.02531) from {names}: weight {distill.weight:g}, temperature {distill.temperature:g}. What the "
            "teachers were trained on shaped this model too."
        )
    return "".join(f"\n{sentence}\n" for sentence in told)


def _limits(facts: CardFacts) -> str:
    own = (
        _FER_LIMITS
        if facts.is_fer2013
        else "- What the training pictures show and how they were labelled limits what the model knows.\n"
    )
    if facts.is_fer2013 and facts.labels == FER2013_LABELS:
        own += _SEVEN_CLASS_LIMITS
    return f"## Limits\n\n{own}{_LIMITS}"


def _weights(recipe: TrainConfig) -> str:
    if recipe.weights == "none":
        return "None: the network started from random weights."
    if recipe.weights == "imagenet":
        return (
            f"ImageNet weights of `keras.applications` for {recipe.architecture} ({BACKBONES[recipe.architecture].reference}), as Keras "
            "downloads them. ImageNet's pictures have their own terms."
        )
    if is_bundle(recipe.weights):
        return f"The bundle `{recipe.weights}` of the same toolkit, as it was when this training began, de-quantized. What that was trained on shaped this model too."
    if not recipe.weights.endswith(".h5"):
        return f"The backbone of the training run `{recipe.weights}`, of the same toolkit. What that was trained on shaped this model too."
    known = _KNOWN_WEIGHTS.get(recipe.weights, "see its own documentation for origin and licence.")
    return f"`{recipe.weights}`: {known}"
