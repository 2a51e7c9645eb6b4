"""One browser's view: built once, then changed where the board changed."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from pipelines.page.board import Board, Row
from pipelines.page.charts import WaitMeasure, rate_chart, wait_chart
from pipelines.page.wording import (
    SIGNS,
    UNKNOWN,
    absence_words,
    alert_rows,
    dead_letter_words,
    held_back_words,
    numbers,
    score_rows,
    status_words,
    trouble_words,
)
from schemas.panels import ALERTS, BUDGETS, DEAD_LETTERS, HIGHEST_SCORES, INTERACTION_RATE, WAIT_WINDOWS

_BAND = '<span class="band" :class="\'band-\' + {0}"><i aria-hidden="true">{{{{ {1} }}}}</i>{{{{ {0} }}}}</span>'
_SCORE_ROW = f"""
<q-tr :props="props">
  <q-td class="who"><b>{{{{ props.row.customer_id }}}}</b><small>{{{{ props.row.detail }}}}</small></q-td>
  <q-td class="score">
    <b>{{{{ props.row.score.toFixed(0) }}}}</b>
    <span class="meter"><span :class="'fill-' + props.row.band" :style="{{width: props.row.score + '%'}}"></span></span>
  </q-td>
  <q-td>{_BAND.format("props.row.band", "props.row.sign")}</q-td>
  <q-td class="why">{{{{ props.row.why }}}}</q-td>
</q-tr>"""
_ALERT_ROW = f"""
<q-tr :props="props" :class="'alert-' + props.row.status">
  <q-td class="when">{{{{ props.row.when }}}}</q-td>
  <q-td class="what">
    <div class="headline">
      <b>{{{{ props.row.about }}}}</b>
      <template v-if="props.row.band">{_BAND.format("props.row.band", "props.row.sign")}</template>
      <span class="status">{{{{ props.row.headline }}}}</span>
    </div>
    <div class="why">{{{{ props.row.reason }}}}</div>
    <div v-if="props.row.action" class="action">{{{{ props.row.action }}}}</div>
  </q-td>
</q-tr>"""


class View:
    """The elements of one page; ``show`` brings them to the state of a board."""

    def __init__(self) -> None:
        self._shown: dict[str, object] = {}
        self._measure: WaitMeasure = "mean_s"
        self._board = Board()
        ui.colors(primary="#2f6ea8")
        with ui.element("header").classes("top"):
            with ui.element("div"):
                ui.label("Friction").classes("name")
                ui.label("who is losing patience, why, and who waits").classes("motto")
            self._status = ui.label().classes("pill").props('role="status"')
        with ui.element("div").classes("banner").props('role="status"') as self._banner:
            self._trouble = ui.label()
            self._trouble_detail = ui.label().classes("detail")
        with ui.element("div").classes("panels") as self._panels:
            self._build_tiles()
            self._scores = _table("Highest friction now", "wide", "customer_id", _SCORE_ROW)
            self._alerts = _table("Alerts", "narrow", "alert_id", _ALERT_ROW)
            self._build_charts()
        self._held_back = ui.label().classes("foot")
        self._dead_letters = ui.label().classes("foot")

    def _build_tiles(self) -> None:
        self._numbers: dict[str, ui.label] = {}
        with ui.element("section").classes("tiles").props('aria-label="Numbers now"'):
            for name, sign in SIGNS.items():
                with ui.element("div").classes(f"tile edge-{name}"):
                    self._numbers[name] = ui.label(UNKNOWN).classes("number")
                    ui.label(f"{sign} {name}").classes(f"word text-{name}")
            for name, word in (("rate", "interactions per second"), ("behind", "age of the newest row")):
                with ui.element("div").classes("tile"):
                    self._numbers[name] = ui.label(UNKNOWN).classes("number")
                    ui.label(word).classes("word")

    def _build_charts(self) -> None:
        with ui.element("section").classes("card wide"):
            with ui.element("div").classes("head"):
                ui.label("Waits by touchpoint, last 3 hours").classes("title")
                ui.toggle(
                    {"mean_s": "Mean", "longest_s": "Longest"}, value=self._measure, on_change=self._choose_measure
                ).classes("choice").props("dense unelevated no-caps")
            self._waits = ui.echart(wait_chart([], self._measure)).classes("chart")
            self._no_waits = ui.label().classes("nothing")
        with ui.element("section").classes("card narrow"):
            with ui.element("div").classes("head"):
                ui.label("Interactions per second, last 5 minutes").classes("title")
            self._rate = ui.echart(rate_chart([])).classes("chart")

    def _choose_measure(self, event: Any) -> None:
        self._measure = event.value
        self._show_waits(self._board.rows.get(WAIT_WINDOWS, []))

    def show(self, board: Board) -> None:
        """Draw ``board``; what has not changed is not sent again."""
        self._board = board
        now_s = time.time()
        self._show_status(board, now_s)
        rows = {panel: board.rows.get(panel, []) for panel in (HIGHEST_SCORES, ALERTS, INTERACTION_RATE)}
        self._show_numbers(board)
        self._change("scores", score_rows(rows[HIGHEST_SCORES], now_s), self._set_rows(self._scores))
        self._change("alerts", alert_rows(rows[ALERTS], now_s), self._set_rows(self._alerts))
        self._show_waits(board.rows.get(WAIT_WINDOWS, []))
        self._show_absence(board)
        self._change("rate", rate_chart(rows[INTERACTION_RATE]), self._set_options(self._rate))
        self._change("held", held_back_words(board.rows.get(BUDGETS, [])), self._held_back.set_text)
        self._change("dead", dead_letter_words(board.rows.get(DEAD_LETTERS, [])), self._dead_letters.set_text)

    def _show_status(self, board: Board, now_s: float) -> None:
        self._change("status", f"● {status_words(board, now_s)}", self._status.set_text)
        self._change("live", board.trouble is None and board.answered_s is not None, self._mark_live)
        self._change("trouble", trouble_words(board, now_s), self._trouble.set_text)
        self._change("detail", board.trouble.detail if board.trouble else "", self._trouble_detail.set_text)
        self._change("banner", board.trouble is not None, self._banner.set_visibility)

    def _show_absence(self, board: Board) -> None:
        for panel, show in (
            (HIGHEST_SCORES, self._set_absence(self._scores)),
            (ALERTS, self._set_absence(self._alerts)),
            (WAIT_WINDOWS, self._no_waits.set_text),
        ):
            self._change(f"absence of {panel}", absence_words(panel, board), show)

    def _show_numbers(self, board: Board) -> None:
        for name, number in numbers(board).items():
            self._change(f"number {name}", number, self._numbers[name].set_text)

    def _show_waits(self, rows: Sequence[Row]) -> None:
        self._change("waits", wait_chart(rows, self._measure), self._set_options(self._waits))
        self._change("no waits", not rows, self._no_waits.set_visibility)
        self._change("some waits", bool(rows), self._waits.set_visibility)

    def _change(self, name: str, value: object, change: Callable[[Any], object]) -> None:
        if name not in self._shown or self._shown[name] != value:
            self._shown[name] = value
            change(value)

    def _mark_live(self, live: bool) -> None:
        self._status.classes(add="live" if live else "away", remove="away" if live else "live")
        self._panels.classes(add="" if live else "stale", remove="stale" if live else "")

    @staticmethod
    def _set_rows(table: ui.table) -> Callable[[list[dict[str, Any]]], None]:
        def change(rows: list[dict[str, Any]]) -> None:
            table.rows = rows

        return change

    @staticmethod
    def _set_absence(table: ui.table) -> Callable[[str], None]:
        def change(words: str) -> None:
            table.props["no-data-label"] = words

        return change

    @staticmethod
    def _set_options(chart: ui.echart) -> Callable[[dict[str, Any]], None]:
        def change(options: dict[str, Any]) -> None:
            chart.options.update(options)
            chart.update()

        return change


def _table(title: str, width: str, key: str, row: str) -> ui.table:
    with ui.element("section").classes(f"card {width}"):
        with ui.element("div").classes("head"):
            ui.label(title).classes("title")
        table = ui.table(columns=[], rows=[], row_key=key).classes("list")
        table.props('flat hide-header hide-pagination :rows-per-page-options="[0]"')
        table.add_slot("body", row)
    return table
