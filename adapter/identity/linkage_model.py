"""The declared model of likely duplicates (profiles/linkage.yaml): read, checked, and told to Splink as its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from adapter.errors import Defect
from adapter.home import PROFILES
from adapter.identity.likeness import LISTS, TEXTS
from adapter.model import Json

MODEL = PROFILES / "linkage.yaml"
_UNKNOWN = ("names", "newborn", "dates", "phones", "emails", "streets")
_COLUMNS = frozenset((*LISTS, *TEXTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One finding of a comparison. m, u: None where it says nothing; frequency: column whose commonness weighs it."""

    says: str
    when: str
    m: float | None = None
    u: float | None = None
    frequency: str = ""
    rarest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkageModel:
    """What is compared and how it counts; the names as in the file. path: as an error names it."""

    path: str
    threshold: float
    duplicates: float
    at_least: int
    added: int
    crowd: Mapping[str, int]
    identifiers: frozenset[str]
    nothing: Mapping[str, frozenset[str]]
    comparisons: Mapping[str, tuple[Level, ...]]
    blocks: tuple[tuple[str, str], ...]

    def frequencies(self) -> Iterator[tuple[str, float]]:
        """(column, u of its level) of each level that is weighed by how common a value is."""
        for levels in self.comparisons.values():
            yield from ((level.frequency, level.u) for level in levels if level.frequency and level.u)

    def prior(self, records: int) -> float:
        """Probability that two records drawn from so many are of one person."""
        return min(0.5, 2 * self.duplicates / (max(records, self.at_least, 2) - 1))

    def settings(self, records: int) -> Json:
        """Splink's settings for a store of so many records."""
        return {
            "link_type": "dedupe_only", "probability_two_random_records_match": self.prior(records),
            "comparisons": [{"output_column_name": name, "comparison_levels": [_splink_level(level) for level in levels]}
                            for name, levels in self.comparisons.items()],
            "blocking_rules_to_generate_predictions": [
                {"blocking_rule": when, **({"arrays_to_explode": [explode]} if explode else {})}
                for when, explode in self.blocks],
            "retain_matching_columns": True,  # and with them which level each comparison has
        }

    def told(self, comparison: str, gamma: int) -> str:
        """What a comparison found: Splink numbers levels from the last, which is 0, and those without weight -1."""
        levels = self.comparisons[comparison]
        if gamma < 0:
            return next(level.says for level in levels if level.m is None)
        return [level.says for level in reversed(levels) if level.m is not None][gamma]


def read_model(path: Path = MODEL) -> LinkageModel:
    """The model of a file. Raises Defect (linkage-invalid) with the place where it cannot be used."""
    try:
        read: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
        model = LinkageModel(
            path=path.name, threshold=float(read["threshold"]), duplicates=float(read["prior"]["duplicates"]),
            at_least=int(read["prior"]["at_least"]), added=int(read["frequency"]["added"]), crowd=dict(read["crowd"]),
            identifiers=frozenset(read["identifiers"]),
            nothing={name: frozenset(map(str, read["nothing"][name])) for name in _UNKNOWN},
            comparisons={name: tuple(Level(**level) for level in levels) for name, levels in read["comparisons"].items()},
            blocks=tuple((block["when"], block.get("explode", "")) for block in read["blocks"]))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Defect("linkage-invalid", path.name, type(error).__name__) from error
    for place in _faults(model):
        raise Defect("linkage-invalid", path.name, place)
    return model


def _faults(model: LinkageModel) -> Iterator[str]:
    """Places that are wrong."""
    if not 0 < model.threshold < 1:
        yield "threshold"
    if not 0 < model.duplicates < 1:
        yield "prior.duplicates"
    if set(model.crowd) - set(LISTS):
        yield "crowd"
    for name, levels in model.comparisons.items():
        if not levels or levels[-1].when != "else" or sum(level.m is None for level in levels) != 1:
            yield f"comparisons.{name}: one level without m, and the last one `when: else`"
        for level in levels:
            known = (level.m is None) == (level.u is None)
            if not known or not all(0 < p < 1 for p in (level.m, level.u) if p is not None):
                yield f"comparisons.{name}.{level.says}: m and u lie between 0 and 1"
            if level.frequency and level.frequency not in _COLUMNS:
                yield f"comparisons.{name}.{level.says}.frequency"
    if any(explode and explode not in LISTS for _, explode in model.blocks) or not model.blocks:
        yield "blocks"


def _splink_level(level: Level) -> dict[str, Any]:
    settings: dict[str, Any] = {"sql_condition": "ELSE" if level.when == "else" else level.when, "label_for_charts": level.says}
    if level.m is None:
        return {**settings, "is_null_level": True}
    settings |= {"m_probability": level.m, "u_probability": level.u}
    if level.frequency:
        settings |= {"tf_adjustment_column": level.frequency, "tf_minimum_u_value": level.rarest,
                     "disable_tf_exact_match_detection": True}
    return settings
