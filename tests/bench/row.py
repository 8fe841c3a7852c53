"""What is measured, as the table has it."""

import dataclasses
from statistics import median
from typing import Dict, List, Optional


@dataclasses.dataclass
class Row:
    """One line of the table. `bar` and `hoped` limit the ratio, or the value if `absolute`."""

    name: str
    what: str
    unit: str
    value: float
    rival: Optional[float] = None
    bar: Optional[float] = None
    hoped: Optional[float] = None
    more_is_better: bool = False
    absolute: bool = False
    samples: List[float] = dataclasses.field(default_factory=list)
    rival_samples: List[float] = dataclasses.field(default_factory=list)
    note: str = ""

    @property
    def ratio(self) -> Optional[float]:
        return self.value / self.rival if self.rival else None

    def reaches(self, limit: Optional[float]) -> Optional[bool]:
        """None where there is nothing to reach."""
        got = self.value if self.absolute else self.ratio
        if limit is None or got is None:
            return None
        return got >= limit if self.more_is_better else got <= limit

    @property
    def verdict(self) -> str:
        if self.reaches(self.bar) is None:
            return ""
        if not self.reaches(self.bar):
            return "MISSED"
        return "hoped for" if self.reaches(self.hoped) else "met"


def rate_row(samples: Dict[str, List[float]], **fields: object) -> Row:
    return Row(
        unit="req/s",
        more_is_better=True,
        value=median(samples["samples"]),
        rival=median(samples["rival_samples"]),
        **samples,
        **fields,
    )


def percentile(samples: List[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))]
