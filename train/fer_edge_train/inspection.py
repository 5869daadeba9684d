"""What a data set holds before anyone trains on it: counts, sizes, duplicates, contradictions, broken rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_train.duplicates import IS_MIRRORED, IS_SAME, Pairs, crossing, exact_groups, find_duplicates, near_groups
from fer_edge_train.faces import USAGES, Rows


@dataclass(frozen=True, slots=True)
class Inspection:
    """A data set and what was found in it.

    Attributes:
        rows: what the reader found.
        exact: (N,) first row with the same pixels.
        groups: (N,) first row of the group that copies and near-duplicates form.
        pairs: all near-duplicates, exact copies among them.
        crossing: training faces with their most similar face of another part.
    """

    rows: Rows
    exact: NDArray[np.int64]
    groups: NDArray[np.int64]
    pairs: Pairs
    crossing: Pairs

    def as_json(self) -> dict[str, Any]:
        """Plain values; rows are named by their places in the files."""
        faces, broken = self.rows.faces, self.rows.broken
        sizes = sorted(self.rows.sizes.items(), key=lambda item: (-item[1], item[0]))
        return {
            "source": faces.source,
            "rows": len(self.rows.places) + len(broken),
            "classes": list(faces.names),
            "counts": {part: counts for part, counts in faces.counts().items() if sum(counts.values())},
            "sizes": [{"width": w, "height": h, "pictures": count} for (w, h), count in sizes],
            "broken": [{"place": place, "reason": reason} for place, reason in broken],
            "exact_duplicates": _groups(self.exact, faces.labels),
            "near_duplicates": {
                **_groups(self.groups, faces.labels),
                "pairs": len(self.pairs), "mirrored_pairs": int(self.pairs.mirrored.sum()),
                "pairs_by_parts": _by_parts(self.pairs, faces.usage),
                "least_correlation": {"plain": IS_SAME, "mirrored": IS_MIRRORED},
            },
            "crossing": [self.pair(self.crossing, k) for k in range(len(self.crossing))],
        }  # fmt: skip

    def pair(self, pairs: Pairs, number: int) -> dict[str, Any]:
        """One pair in words."""
        faces, rows = self.rows.faces, pairs.rows[number].tolist()
        return {
            "places": [self.rows.places[row] for row in rows],
            "parts": [str(faces.usage[row]) for row in rows],
            "labels": [faces.names[faces.labels[row]] for row in rows],
            "correlation": round(float(pairs.similarity[number]), 4),
            "mirrored": bool(pairs.mirrored[number]),
        }

    def contradictions(self) -> Pairs:
        """Near-duplicates whose labels differ, most similar first."""
        labels = self.rows.faces.labels[self.pairs.rows]
        chosen = np.flatnonzero(labels[:, 0] != labels[:, 1])
        return self.pairs.take(chosen[np.argsort(-self.pairs.similarity[chosen], kind="stable")])


def inspect_rows(rows: Rows, *, progress: Callable[[int, int], None]) -> Inspection:
    """Look for duplicates among the good rows; ``progress`` receives faces compared and faces in all."""
    pairs = find_duplicates(rows.faces.images, progress=progress)
    exact = exact_groups(rows.faces.images)
    return Inspection(rows, exact, near_groups(exact, pairs), pairs, crossing(rows.faces, pairs))


def _groups(first: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, int]:
    """How many groups of two and more there are, their faces, and the groups whose labels contradict each other."""
    numbers, group, sizes = np.unique(first, return_inverse=True, return_counts=True)
    several = sizes > 1
    other = np.zeros(len(numbers), np.bool_)
    np.logical_or.at(other, group, labels != labels[first])
    return {
        "groups": int(several.sum()), "faces": int(sizes[several].sum()), "groups_with_several_labels": int(other.sum()),
    }  # fmt: skip


def _by_parts(pairs: Pairs, usage: NDArray[np.str_]) -> dict[str, int]:
    """``part/part`` -> number of pairs."""
    parts = np.array([USAGES.index(part) for part in usage.tolist()], np.int64)[pairs.rows]
    found = np.sort(parts, axis=1)
    counts = {
        f"{USAGES[a]}/{USAGES[b]}": int(np.sum((found[:, 0] == a) & (found[:, 1] == b)))
        for a in range(len(USAGES))
        for b in range(a, len(USAGES))
    }
    return {name: count for name, count in counts.items() if count}
