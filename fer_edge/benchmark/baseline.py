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
    figure: str

    def words(self) -> str:
        """For a sentence."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return (
            f"{self.bundle}/{self.artefact} on {self.engine} ({self.device}, {self.delegate}, {threads}), {self.figure}"
        )


class Kind(NamedTuple):
    """How figures of a kind are compared.

    Attributes:
        unit: behind the figure.
        least: figures that are no larger on both sides are left out: they scatter by more than anybody would notice.
        noise: a difference that is no larger says nothing.
    """

    unit: str = " ms"
    least: float = 0.0
    noise: float = 0.0


TIME, STAGE, MEMORY = Kind(), Kind(least=0.1), Kind(" MiB")
LOADING = Kind(noise=25.0)  # measured once a run, not many times


@dataclass(frozen=True, slots=True)
class Change:
    """One case then and now.

    Attributes:
        case: in words.
        before, now: medians, or multiples of the first case where ratios are compared.
        change: 0.1 is ten per cent slower, or more memory.
        unit: behind the figures.
        counts: whether the difference is larger than such a figure scatters by itself.
    """

    case: str
    before: float
    now: float
    change: float
    unit: str = " ms"
    counts: bool = True

    def sentence(self) -> str:
        """Such as ``…: 0.41 ms, before 0.37 ms: 10.8 % slower``."""
        share = f"{abs(self.change):.1%}"
        up, down, same = ("more", "less", "as much") if self.unit == MEMORY.unit else ("slower", "faster", "as fast")
        verdict = same if share == "0.0%" else f"{share} {up if self.change > 0 else down}"
        once = "" if self.counts else ", no more than it scatters"
        return f"{self.case}: {self.now:.4g}{self.unit}, before {self.before:.4g}{self.unit}: {verdict}{once}"


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
        """Those that became slower, or larger, than is allowed."""
        if self.allowed is None:
            return []
        return [change for change in self.changes if change.counts and change.change > self.allowed]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "compared": "ratios to the first case" if self.ratios else "medians", "allowed": self.allowed,
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
    for key, (value, kind) in _figures(record):
        if not all(isinstance(part, str) for part in key[:5]) or type(key.threads) is not int:
            raise TypeError(f"{key.words()} is no case")
        least = -1e-9 if kind is STAGE else 1e-6  # a stage may take no time that is seen
        if not least < value < 1e9:  # a nanosecond, eleven days: beyond that, ratios overflow
            raise ValueError(f"{key.figure} is {value}")


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
    """Figures of the cases that both records hold: batches, the clip's stages and whole frames, loading, memory.

    Args:
        before: the baseline.
        now: the new record.
        allowed: share by which a case may become slower; None allows everything.
        ratios: divide each record's times by its own median of the first common case before comparing.

    Raises:
        ConfigError: no case is in both.
    """
    then, today = dict(_figures(before)), dict(_figures(now))
    common = [key for key in today if key in then]
    if not common:
        raise ConfigError(
            f"The baseline and this run have no case in common. The baseline holds: {'; '.join(key.words() for key in then) or 'none'}."
        )
    unit_then, unit_now = (then[common[0]][0], today[common[0]][0]) if ratios else (1.0, 1.0)
    changes = []
    for key in common:
        (old, kind), (new, _) = then[key], today[key]
        if max(old, new) <= kind.least:
            continue
        unit, old = kind.unit, max(old, 1e-4)
        counts = not 0 < new * unit_then / unit_now - old <= kind.noise
        if ratios and kind is not MEMORY:
            old, new, unit = old / unit_then, new / unit_now, " × the first case"
        changes.append(Change(key.words(), round(old, 5), round(new, 5), round(new / old - 1, 5), unit, counts))
    missing = [f"{key.words()}: only in this run" for key in today if key not in then]
    missing += [f"{key.words()}: only in the baseline" for key in then if key not in today]
    return Comparison(ratios, changes, missing, allowed)


def _figures(record: Mapping[str, Any]) -> Iterator[tuple[Key, tuple[float, Kind]]]:
    """Every figure of every case that answered; bundles of one name are told apart by their order."""
    seen: Counter[Key] = Counter()
    for case in record["cases"]:
        if not case["faces"]:
            continue
        own = Key(case["name"], case["artefact"], case["engine"], case["device"], case["delegate"], case["threads"], "")
        seen[own] += 1
        own = own._replace(bundle=f"{own.bundle} ({seen[own]})" if seen[own] > 1 else own.bundle)
        for figure, value, kind in _of_case(case, (record.get("settings") or {}).get("clip", "demo")):
            yield own._replace(figure=figure), (float(value), kind)


def _of_case(case: Mapping[str, Any], clip: str) -> Iterator[tuple[str, Any, Kind]]:
    """Batches first: ratios are to the first of them. A record may lack everything else."""
    for batch in case["faces"]:
        yield f"{batch['faces']} face{'s' * (batch['faces'] != 1)}", batch["p50_ms"], TIME
    for stage, times in ((case.get("clip") or {}).get("stages") or {}).items():
        yield (
            f"clip{'' if clip == 'demo' else f' {clip}'}: {'whole frame' if stage == 'total' else stage}",
            times["p50_ms"],
            TIME if stage == "total" else STAGE,
        )
    largest = max(batch["faces"] for batch in case["faces"])  # a larger batch takes more memory
    for figure, name, kind in (
        ("loading", "load_ms", LOADING),
        (f"peak memory, batches up to {largest}", "peak_mib", MEMORY),
    ):
        if case.get(name) is not None:
            yield figure, case[name], kind
