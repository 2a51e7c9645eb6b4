"""The job that every peer does: three signals with half-lives and caps, bands with hysteresis, alerts. Nothing of ours.

``Job.read`` decodes an interaction, ``Job.apply`` takes what is remembered of its customer (None at first) and gives
what is to be remembered, the encoded score, and the encoded alerts, mostly none. What is remembered is a flat list of
numbers, which every state store keeps at little cost. The constants are those of schemas/policy/three.yaml; a test
holds them together, and the results against an independent model.
"""

import io
import json
import os
import time
import uuid
from math import exp2, expm1, log1p, log2
from pathlib import Path

import fastavro

SIGNALS = ("wait", "form_failure", "return")
KINDS = {"wait.measured": 0, "form.failed": 1, "return.requested": 2}
WEIGHTS = (12.0, 10.0, 15.0)
HALF_LIVES_MS = (2 * 3_600_000.0, 3_600_000.0, 72 * 3_600_000.0)
CAP = 60.0
SCALE = 40.0
TOLERATED_MS = 120_000
BANDS = ("calm", "warm", "hot", "breaking")
ALERTING = 2  # from hot on
PRIORITY = (3, 3, 2, 1)
ACTIONS = (None, None, "Call the customer before the next contact.", "Call the customer now.")
COOLDOWN_MS = 15 * 60_000
ENTER = tuple(-SCALE * log1p(-score / 100) for score in (30, 60, 80))
LEAVE = tuple(-SCALE * log1p(-score / 100) for score in (20, 45, 65))
_ALERTS = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")

# what is remembered: three heats, and then these
UPDATED, COUNT, BAND, OPENED, CLOSED, REVISION = 3, 4, 5, 6, 7, 8


def described() -> dict:
    """The job that the driver asks for: addresses, topics, schemas."""
    return json.loads(os.environ["BENCH_JOB"])


class Job:
    """Decodes, scores and encodes."""

    def __init__(self, said: dict) -> None:
        self._schemas = {}
        for name, path in said["schemas"].items():
            text = json.dumps(json.loads(Path(path).read_text("utf-8")), separators=(",", ":"))
            text = text.replace('{"type":"long","logicalType":"timestamp-millis"}', '"long"')
            self._schemas[name] = fastavro.parse_schema(json.loads(text))
        self._heads = {name: b"\0" + number.to_bytes(4, "big") for name, number in said["schema_ids"].items()}

    def read(self, value: bytes) -> dict:
        """An interaction; times as epoch milliseconds."""
        body = io.BytesIO(value)
        body.seek(5)
        return fastavro.schemaless_reader(body, self._schemas["interaction"], None)

    def apply(self, known: list | None, told: dict) -> tuple[list, bytes, list[bytes]]:
        """Count one interaction."""
        at_ms = told["occurred_at"]
        row = list(known) if known else [0.0, 0.0, 0.0, at_ms, 0, 0, 0, 0, 0]
        alerts = []
        customer = told["customer_id"]
        if at_ms > row[UPDATED]:
            age_ms = at_ms - row[UPDATED]
            for s in range(3):
                row[s] *= exp2(-age_ms / HALF_LIVES_MS[s])
            row[UPDATED] = at_ms
            alerts += self._leave(row, customer)
        row[COUNT] += 1
        signal = KINDS.get(told["kind"])
        if signal is not None:
            points = WEIGHTS[signal]
            if signal == 0:
                duration_ms = told["duration_ms"]
                late = duration_ms is not None and duration_ms > TOLERATED_MS
                points = points * log2(duration_ms / TOLERATED_MS) if late else 0.0
            row[signal] += points * exp2(-(row[UPDATED] - at_ms) / HALF_LIVES_MS[signal])
            alerts += self._enter(row, customer)
        return row, self._score(row, customer), alerts

    def _leave(self, row: list, customer: str) -> list[bytes]:
        before, heat = row[BAND], _capped(row)
        while row[BAND] and heat < LEAVE[row[BAND] - 1]:
            row[BAND] -= 1
        if before >= ALERTING > row[BAND] and row[OPENED] and not row[CLOSED]:
            row[CLOSED] = row[UPDATED]
            return [self._alert(row, customer, "resolved")]
        return []

    def _enter(self, row: list, customer: str) -> list[bytes]:
        heat, band = _capped(row), row[BAND]
        while band < 3 and heat >= ENTER[band]:
            band += 1
        if band == row[BAND]:
            return []
        row[BAND] = band
        if band < ALERTING:
            return []
        if row[OPENED] and not row[CLOSED]:
            return [self._alert(row, customer, "escalated")]
        if not row[CLOSED] or row[UPDATED] - row[CLOSED] > COOLDOWN_MS:
            row[OPENED], row[REVISION] = row[UPDATED], 0
        row[CLOSED] = 0
        return [self._alert(row, customer, "opened")]

    def _score(self, row: list, customer: str) -> bytes:
        heat = _capped(row)
        return self._encoded(
            "score",
            {
                "customer_id": customer,
                "scored_at": row[UPDATED],
                "score": -100 * expm1(-heat / SCALE),
                "band": BANDS[row[BAND]],
                "heat": heat,
                "scale": SCALE,
                "contributions": _contributions(row),
                "interactions": row[COUNT],
            },
        )

    def _alert(self, row: list, customer: str, status: str) -> bytes:
        row[REVISION] += 1
        band = row[BAND]
        score = -100 * expm1(-_capped(row) / SCALE)
        about = f"band_entered\x1f{customer}\x1f{row[OPENED]}"
        return self._encoded(
            "alert",
            {
                "alert_id": str(uuid.uuid5(_ALERTS, about)),
                "revision": row[REVISION],
                "type": "band_entered",
                "status": status,
                "customer_id": customer,
                "raised_at": row[UPDATED],
                "emitted_at": time.time_ns() // 1_000_000,
                "band": BANDS[band],
                "score": score,
                "reason": f"score {score:.0f}: {BANDS[band]}",
                "contributions": _contributions(row),
                "priority": PRIORITY[band],
                "suggested_action": ACTIONS[band],
            },
        )

    def _encoded(self, schema_name: str, record: dict) -> bytes:
        out = io.BytesIO()
        out.write(self._heads[schema_name])
        fastavro.schemaless_writer(out, self._schemas[schema_name], record)
        return out.getvalue()


def _capped(row: list) -> float:
    return min(row[0], CAP) + min(row[1], CAP) + min(row[2], CAP)


def _contributions(row: list) -> list:
    found = [
        {"signal": SIGNALS[s], "heat": row[s], "half_life_s": HALF_LIVES_MS[s] / 1000, "cap": CAP}
        for s in range(3)
        if row[s]
    ]
    return sorted(found, key=lambda one: (-min(one["heat"], CAP), one["signal"]))
