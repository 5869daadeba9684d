"""Compare a record with an older one, case by case, and say which became slower than is allowed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fer_edge.benchmark.latency import COMMAND, SCHEMA
from fer_edge_runtime.errors import ConfigError


class Key(NamedTuple):
    """What must be equal for two figures to be of the same case."""

    bundle: str
    artefact: str
    engine: str
    device: str
    delegate: str
    threads: int
    faces: int

    def words(self) -> str:
        """For a sentence."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        faces = f"{self.faces} face{'s' * (self.faces != 1)}"
        return f"{self.bundle}/{self.artefact} on {self.engine} ({self.device}, {self.delegate}, {threads}), {faces}"


@dataclass(frozen=True, slots=True)
class Change:
    """One case then and now.

    Attributes:
        case: in words.
        before, now: median milliseconds, or multiples of the first case where ratios are compared.
        change: 0.1 is ten per cent slower.
    """

    case: str
    before: float
    now: float
    change: float

    def sentence(self, unit: str) -> str:
        """Such as ``…: 0.41 ms, before 0.37 ms: 10.8 % slower``."""
        share = f"{abs(self.change):.1%}"
        verdict = "as fast" if share == "0.0%" else f"{share} {'slower' if self.change > 0 else 'faster'}"
        return f"{self.case}: {self.now:.4g}{unit}, before {self.before:.4g}{unit}: {verdict}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared.

    Attributes:
        ratios: whether multiples of the first case were compared instead of times.
        changes: of the cases that both records hold, in the order of the new one.
        missing: cases of one record that the other lacks, in words.
        allowed: 0.1 is ten per cent; None when nothing is to fail.
    """

    ratios: bool
    changes: list[Change]
    missing: list[str]
    allowed: float | None

    @property
    def failures(self) -> list[Change]:
        """Those that became slower than is allowed."""
        return [] if self.allowed is None else [change for change in self.changes if change.change > self.allowed]

    @property
    def unit(self) -> str:
        """Behind the figures."""
        return " × the first case" if self.ratios else " ms"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "compared": "ratios to the first case" if self.ratios else "median times", "allowed": self.allowed,
            "ok": not self.failures, "changes": [asdict(change) for change in self.changes], "missing": self.missing,
        }  # fmt: skip


def parse_percent(text: str) -> float:
    """``10%`` as 0.1.

    Raises:
        ConfigError: it is anything but a percentage with its sign.
    """
    found = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)\s?%", text.strip())
    if not found:
        raise ConfigError(
            f"--fail-over {text!r} cannot be used: write a percentage with its sign, such as 10%, so that 0.1 and 10 cannot be mistaken."
        )
    return float(found[1]) / 100


def read_baseline(path: Path) -> dict[str, Any]:
    """An older record.

    Raises:
        ConfigError: the file is none, is of another command or schema, or is of a run that did not count.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--baseline {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--baseline {path} is not JSON: {error}.") from error
    wanted = f"Give what 'fer-edge {COMMAND} --json' printed."
    if not isinstance(record, dict) or record.get("command") != COMMAND:
        raise ConfigError(f"--baseline {path} is no record of this command. {wanted}")
    if record.get("schema") != SCHEMA:
        raise ConfigError(
            f"--baseline {path} has schema {record.get('schema')!r}; this fer-edge reads {SCHEMA}. {wanted}"
        )
    if not record.get("valid"):
        reasons = record.get("invalid_because")
        because = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else "it does not say why"
        raise ConfigError(f"--baseline {path} does not count ({because}). Measure it again.")
    try:
        _check_record(record)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"--baseline {path} is no whole record ({type(error).__name__}: {str(error)[:80]}). {wanted}"
        ) from error
    return record


def _check_record(record: Mapping[str, Any]) -> None:
    """Everything that is read later is there and of its kind; fails with whatever is raised where it is not."""
    if not isinstance(record["machine"]["cpu"], str | None):
        raise TypeError("machine.cpu is no text")
    for key, median_ms in _medians(record):
        if not all(isinstance(part, str) for part in key[:5]) or not all(type(part) is int for part in key[5:]):
            raise TypeError(f"{key.words()} is no case")
        if not 1e-6 < median_ms < 1e9:  # a nanosecond, eleven days: beyond that, ratios overflow
            raise ValueError(f"p50_ms is {median_ms}")


def check_same_machine(path: Path, baseline: Mapping[str, Any], cpu: str | None) -> None:
    """Times are compared on one kind of processor only.

    Raises:
        ConfigError: the baseline is of another.
    """
    before = baseline["machine"]["cpu"]
    if before != cpu:
        raise ConfigError(
            f"--baseline {path} was measured on '{before}', this machine is '{cpu}': their times cannot be compared. Measure a "
            "baseline here, or compare ratios to the first case with --ratios."
        )


def compare(
    before: Mapping[str, Any], now: Mapping[str, Any], *, allowed: float | None, ratios: bool = False
) -> Comparison:
    """Medians of the cases that both records hold.

    Args:
        before: the baseline.
        now: the new record.
        allowed: share by which a case may become slower; None allows everything.
        ratios: divide each record's medians by its own median of the first common case before comparing.

    Raises:
        ConfigError: no case is in both.
    """
    then, today = dict(_medians(before)), dict(_medians(now))
    common = [key for key in today if key in then]
    if not common:
        raise ConfigError(
            f"The baseline and this run have no case in common. The baseline holds: {'; '.join(key.words() for key in then) or 'none'}."
        )
    unit_then, unit_now = (then[common[0]], today[common[0]]) if ratios else (1.0, 1.0)
    changes = []
    for key in common:
        old, new = then[key] / unit_then, today[key] / unit_now
        changes.append(Change(key.words(), round(old, 5), round(new, 5), round(new / old - 1, 5)))
    missing = [f"{key.words()}: only in this run" for key in today if key not in then]
    missing += [f"{key.words()}: only in the baseline" for key in then if key not in today]
    return Comparison(ratios, changes, missing, allowed)


def _medians(record: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    """The median of every case and batch; bundles of one name are told apart by their order."""
    seen: Counter[Key] = Counter()
    for case in record["cases"]:
        for batch in case["faces"]:
            key = Key(
                case["name"], case["artefact"], case["engine"], case["device"], case["delegate"], case["threads"], batch["faces"]
            )  # fmt: skip
            seen[key] += 1
            again = f" ({seen[key]})" if seen[key] > 1 else ""
            yield key._replace(bundle=f"{key.bundle}{again}"), float(batch["p50_ms"])
