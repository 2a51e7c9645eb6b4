"""Reading the state of a source partition back: rows, windows and header (docs/state.md)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from connectors.kafka.restore import LogReader
from pipelines.alerts.desk import DESK_KEYS
from pipelines.intake.interactions import NO_TIME
from pipelines.partition import CustomerPartition
from pipelines.state.layouts import LAYOUTS
from pipelines.state.restoring import RowRestore
from pipelines.translation import Translation
from pipelines.worker.customer_records import CUSTOMER, HEADER, INCIDENTS, POLICY, WINDOW, restored_window
from schemas.errors import StateLost, TopicMismatch


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a partition says (``said``, empty for one without state).

    layout: None without state. policies: forms of the policies whose texts are kept.
    """

    said: Mapping[str, Any]
    signal_sets: dict[int, list[str]]
    dead_letters: int
    layout: int | None
    policies: frozenset[int] = frozenset()


def read_state(log: LogReader, topic: str, core: CustomerPartition, *, cancelled: Callable[[], bool]) -> Header:
    """Fill an empty partition with what the log of its state says.

    Raises:
        StateLost: rows without a header, or in a form that this version does not read.
        TopicMismatch: the topics had another number of partitions when the state was written.
    """
    where = f"{topic}/{core.number}"
    restore, others = RowRestore(core.rows, core.form), dict[bytes, bytes]()
    try:
        for records in log.read_to_end(topic, core.number, cancelled=cancelled):
            customers = records.keys_begin_with(CUSTOMER[0])
            restore.take(
                records.data, records.key_start + 1, records.key_length - 1, records.value_start, records.value_length,
                wanted=customers,
            )  # fmt: skip
            for i in np.flatnonzero(customers == 0).tolist():
                key, value = records.key(i) or b"", records.value(i)
                if value is None:
                    others.pop(key, None)
                else:
                    others[key] = value
        raw = others.pop(HEADER, None)
        if raw is None and (others or len(core.rows)):
            raise StateLost(f"{where} has rows but no header: it is not the workers' state")
        said: dict[str, Any] = {} if raw is None else json.loads(raw)
        header = _checked(said, where, core.partitions)
        policies = {int(k[1:], 16): v.decode() for k, v in others.items() if k[:1] == POLICY}
        advanced_ms = said.get("advanced_ms", NO_TIME)
        restore.finish(header.signal_sets, Translation(core, policies, advanced_ms).take)
    except ValueError as error:
        raise StateLost(f"{where}: {error}") from error
    windows = [restored_window(k, v) for k, v in others.items() if k[:1] == WINDOW]
    core.windows.restore(windows, told=not said.get("untold", False))
    core.restore_times(watermark_ms=said.get("watermark_ms", NO_TIME), advanced_ms=advanced_ms)
    core.desk.restore({k: v for k, v in others.items() if k[:1] in DESK_KEYS})
    if core.incidents is not None:
        stored = {k[1:]: v for k, v in others.items() if k[:1] == INCIDENTS}
        core.incidents.restore(stored, said.get("incidents_seen_ms", NO_TIME), said.get("incidents_untold_ms"))
    return replace(header, policies=frozenset(policies))


def _checked(said: dict[str, Any], where: str, partitions: int) -> Header:
    before = said.get("partitions", partitions)
    if before != partitions:
        raise TopicMismatch(
            f"{where} was written when there were {before} partitions, now there are {partitions}: customers would be "
            "in other partitions than their state. Partitions cannot be added to topics that hold state; make new "
            "topics, with another prefix, and send interactions there."
        )
    layout = said.get("layout")
    if layout is not None and layout > LAYOUTS[-1]:
        raise StateLost(
            f"{where} is written in layout {layout}, this version reads up to {LAYOUTS[-1]}: it was written by a newer "
            "one. Start that version again (docs/operations.md: how to upgrade with a way back)."
        )
    signal_sets = {int(i): list(names) for i, names in said.get("signal_sets", {}).items()}
    return Header(said, signal_sets, said.get("dead_letters", 0), layout)
