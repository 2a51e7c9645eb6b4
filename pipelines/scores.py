"""The scores that a checkpoint publishes, as columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.bands import contributions
from pipelines.policy import Policy
from schemas.arrays import Bytes, Float64s, Int64s


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """k customers as of ``scored_ms`` (int64[k]).

    customers: k UTF-8 texts. heat: float64[k, s], as of scored_ms. interactions: int64[k]. band: uint8[k].
    """

    customers: list[bytes]
    scored_ms: Int64s
    heat: Float64s
    interactions: Int64s
    band: Bytes

    def __len__(self) -> int:
        return len(self.customers)

    def avro_records(self, policy: Policy) -> Iterator[dict[str, Any]]:
        """Records of schemas/avro/score.avsc, in the order of the columns."""
        total = np.minimum(self.heat, policy.cap).sum(axis=1)
        for i, customer in enumerate(self.customers):
            yield {
                "customer_id": customer.decode(),
                "scored_at": int(self.scored_ms[i]),
                "score": policy.score_of(float(total[i])),
                "band": policy.band_names[self.band[i]],
                "heat": float(total[i]),
                "scale": policy.file.score.scale,
                "contributions": [
                    {"signal": c.signal, "heat": c.heat, "half_life_s": c.half_life_s, "cap": c.cap}
                    for c in contributions(self.heat[i], policy)
                ],
                "interactions": int(self.interactions[i]),
                "segment": None,
                "policy": policy.digest,
            }


def decayed_to(heat: Float64s, age_ms: Int64s, policy: Policy) -> Float64s:
    """Heats ``age_ms`` (int64[k], >= 0) later: float64[k, s], heat * 2 ** -(age / half-life)."""
    later: Float64s = heat * np.exp2(-age_ms[:, None] / policy.half_life_ms)
    return later
