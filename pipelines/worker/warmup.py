"""Compile, or load from numba's cache, every kernel before the event loop lives: the first batch must not wait."""

import numpy as np

from connectors.kafka.records import RecordColumns, read_batch_compiled
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from pipelines.incidents.judge import Judge, State
from pipelines.incidents.sums import SlotSums
from pipelines.partition import CustomerPartition
from pipelines.policy.incident_model import Incidents
from pipelines.policy.policy import Policy
from pipelines.state.layouts import NEWEST, signals_id, write_rows
from pipelines.state.restoring import RowRestore
from pipelines.state.whole_rows import CopiedRows
from pipelines.worker.decoding import InteractionDecoder
from pipelines.worker.encoding import Encoder
from pipelines.worker.memory import collect_seldom
from pipelines.worker.policy_file import load_policy
from schemas.acceptance import Bounds
from schemas.arrays import Int64s
from schemas.columnar.writer import ColumnarWriter
from schemas.topics import avro_schema

_SCHEMA_ID = 0  # no registry gives it


def _records(value: bytes, append_ms: int) -> RecordColumns:
    data, at, none = np.frombuffer(value, np.uint8), np.zeros(1, np.int64), np.full(1, -1, np.int32)
    length = np.array([len(value)], np.int32)
    return RecordColumns(data, at, at + append_ms, at, none, at, length, at, none)


def compile_kernels() -> None:
    """Fill numba's cache, so that the first start does not wait for it."""
    policy = load_policy(None)
    bounds = Bounds(policy.file.acceptance.max_age, policy.file.acceptance.max_ahead)
    warm_up(InteractionDecoder(SchemaRegistry(RegistryConnection(url="http://localhost")), bounds), policy)


def warm_up(decoder: InteractionDecoder, policy: Policy) -> None:
    """Run one interaction through everything, and keep what is loaded out of the garbage collector's way."""
    occurred_ms = 1_700_000_000_000
    record = {
        "customer_id": "warm-up",
        "kind": policy.file.windows.kinds[0],
        "channel": "none",
        "touchpoint": "none",
        "occurred_at": occurred_ms,
        "duration_ms": 3_600_000,
        "attributes": {"outcome": "answered"},
    }
    full = {"event_id": "", **record}
    decoder.know(_SCHEMA_ID, "interaction")
    decoded = decoder.decode(_records(Encoder("interaction", _SCHEMA_ID).encode([full])[0], occurred_ms))
    core = CustomerPartition(0, 1, policy)
    core.apply(decoded.interactions)
    core.advance(occurred_ms + 365 * 86_400_000)
    changes = core.take_changes()
    rows, ours = CustomerPartition(0, 1, policy).rows, signals_id(policy.signal_names)
    changed = changes.rows
    written = changed.stored() if isinstance(changed, CopiedRows) else write_rows(changed, NEWEST, ours)
    if policy.file.incidents is not None:
        _judge_nobody(policy.file.incidents)
    again, row = RowRestore(rows, core.form), written.data
    stored = _records(b"c" + row, occurred_ms)
    stored.keys_begin_with(0)
    again.take(stored.data, stored.value_start, np.ones(1, np.int32), stored.value_start + 1, stored.value_length - 1)
    again.finish({})
    rows.forget(np.zeros(1, np.int64))
    ColumnarWriter(avro_schema("score"), _SCHEMA_ID).write(1, changes.scores.columns(policy))
    longs: Int64s = np.zeros((5, 1), np.int64)
    ints = np.zeros((3, 1), np.int32)
    read_batch_compiled(
        np.frombuffer(b"\0", np.uint8), 0, 1, 0, 0, -1, 0, 0, longs[0], longs[1], longs[2], ints[0], longs[3], ints[1],
        longs[4], ints[2],
    )  # fmt: skip
    collect_seldom()


def _judge_nobody(incidents: Incidents) -> None:
    """Two slots of a place at which nobody is."""
    judge = Judge(incidents, next(iter(incidents.rules.values())))
    sums = SlotSums(judge.lookback)
    state, _ = judge.calm(State(), sums, 0, 0, forgotten=1)
    judge.step(state, sums, 1)
