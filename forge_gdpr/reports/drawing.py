"""Lines and bars as SVG that stands in a page: matplotlib draws, the page has the colours.

What tells two things apart is never a colour alone: also a dash, a marker or a hatch. Text stays
text, in the reader's own font. The same figures give the same SVG, byte for byte.
"""

from __future__ import annotations

import re
import textwrap
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes

#: What matplotlib draws in, and which of the page's colours that is.
_INK: Final = "#000101"
_FAINT: Final = "#000102"
_PAPER: Final = "#000103"
_COLOURS: Final = ("#000104", "#000105", "#000106")
_VARIABLES: Final = {
    _INK: "currentColor",
    _FAINT: "var(--line)",
    _PAPER: "var(--paper)",
    **{colour: f"var(--plot-{n})" for n, colour in enumerate(_COLOURS, start=1)},
}
_HATCHES: Final = ("", "////", "....")
_DASHES: Final = ("-", (0, (4, 2)))
_MARKERS: Final = ("o", "s")

#: In units of the SVG. So narrow that it can be read on a telephone, where it is made smaller.
_WIDTH: Final = 460
_FONT: Final = 12
_UNITS_AN_INCH: Final = 72
_FAMILY: Final = "DejaVu Sans"  # matplotlib brings it; it only measures with it
_ROW: Final = 22
_BAR: Final = 0.72
#: A mark between two bars has so much of a row to itself.
_MARK: Final = 0.95
#: So many characters fit beside a bar.
_LABEL: Final = 24
#: With more points than this a marker hides the next.
_MARKED: Final = 31
#: With more columns than this the figures above them touch.
_TOLD: Final = 7

_RULES: Final = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": [_FAMILY],
    "font.size": _FONT,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "figure.constrained_layout.use": True,
}


class Sheet:
    """One plot: where it is drawn, and what it is called."""

    def __init__(self, name: str, *, height: float = 250) -> None:
        """Begin a plot.

        Args:
            name: unique in its page; ids begin with it.
            height: in units of which the width has 460.
        """
        self.name = name
        # With the user's own style a plot would look, and be read, differently on each machine.
        with _style(name):
            size = (_WIDTH / _UNITS_AN_INCH, height / _UNITS_AN_INCH)
            self._figure = Figure(figsize=size)
            self._axes: Axes = self._figure.add_subplot()

    def lines(self, labels: Sequence[str], courses: Mapping[str, Sequence[int]]) -> None:
        """Draw how numbers went up and down.

        Args:
            labels: of the points.
            courses: up to two, by what they are called; one of them is above 0 somewhere.
        """
        with _style(self.name):
            count = len(labels)
            for n, (called, values) in enumerate(courses.items()):
                self._axes.plot(
                    range(count),
                    values,
                    label=called,
                    color=_COLOURS[n],
                    linestyle=_DASHES[n],
                    linewidth=1.8,
                    marker=_MARKERS[n] if count <= _MARKED else "",
                    markersize=5 - n,
                )
            self._axes.set_ylim(0, 1.08 * max(map(max, courses.values())))
            _time_axis(self._axes, labels)
            _count_axis(self._axes.yaxis, max(map(max, courses.values())))
            self._legend(len(courses))

    def columns(self, labels: Sequence[str], percents: Sequence[float | None]) -> None:
        """Draw percentages over time; None is none, and has no column."""
        with _style(self.name):
            heights = [percent or 0 for percent in percents]
            self._axes.bar(range(len(labels)), heights, width=_BAR, color=_COLOURS[0])
            if len(labels) <= _TOLD:
                for n, percent in enumerate(percents):
                    said = "none" if percent is None else f"{percent:g} %"
                    self._axes.text(n, heights[n] + 1, said, ha="center", va="bottom")
            self._axes.set_ylim(0, 110)
            self._axes.set_yticks(range(0, 101, 25), [f"{n} %" for n in range(0, 101, 25)])
            self._axes.grid(axis="y")
            _time_axis(self._axes, labels)

    def bars(
        self,
        labels: Sequence[str],
        layers: Mapping[str, Sequence[int]],
        *,
        marks: Mapping[str, str] | None = None,
        axis: str = "",
    ) -> None:
        """Draw bars from left to right, the first one on top, each with its number.

        Args:
            labels: of the bars.
            layers: what a bar is made of, up to three; one of them is above 0 somewhere.
            marks: a line above the bar with this label, and what is said of it.
            axis: what the labels are.
        """
        with _style(self.name):
            rows = list(_rows(labels, marks or {}))
            totals = [sum(values) for values in zip(*layers.values(), strict=True)]
            begins = [0] * len(labels)
            shown = 0
            for n, (called, values) in enumerate(layers.items()):
                there = [place for place, value in enumerate(values) if value]
                if there:
                    shown += 1
                    self._axes.barh(
                        [rows[place] for place in there],
                        [values[place] for place in there],
                        left=[begins[place] for place in there],
                        height=_BAR,
                        label=called,
                        linewidth=1,
                        hatch=_HATCHES[n],
                        facecolor=_PAPER if _HATCHES[n] else _COLOURS[n],
                        edgecolor=_COLOURS[n],
                    )
                begins = [a + b for a, b in zip(begins, values, strict=True)]
            room = max(len(f"{total:,}") for total in totals) / 35  # so that the longest fits in
            most = max(totals) / (1 - room)
            for row, total in zip(rows, totals, strict=True):
                self._axes.text(total + most / 80, row, f"{total:,}", va="center")
            for label, said in (marks or {}).items():
                line = rows[labels.index(label)] - _BAR
                self._axes.axhline(line, color=_INK, linestyle=(0, (2, 2)), linewidth=1)
                self._axes.text(most, line - 0.08, said, ha="right", va="bottom", size=_FONT - 1)
            self._axes.set_xlim(0, most)
            self._axes.set_ylim(rows[-1] + 0.6, -0.6)
            self._axes.set_yticks(rows, [_safe(label) for label in labels])
            self._axes.set_ylabel(axis)
            self._axes.tick_params(axis="y", length=0)
            _count_axis(self._axes.xaxis, max(totals))
            if len(layers) > 1:
                self._legend(shown)

    def svg(self, title: str, told: str) -> str:
        """Return the plot as an element of HTML.

        Args:
            title: what it shows.
            told: its figures in words, for who can't see it.
        """
        out = StringIO()
        with _style(self.name):
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            FigureCanvasSVG(self._figure)
            self._figure.savefig(out, format="svg", metadata=nothing)
        return _embedded(out.getvalue(), self.name, title, told)

    def _legend(self, entries: int) -> None:
        self._figure.legend(loc="outside upper left", ncols=entries, handlelength=2.4)


def height_of(bars: int, *, marks: int = 0, legend: bool = False) -> float:
    """Return the height that so many bars need."""
    return _ROW * (bars + _MARK * marks) + 40 + 24 * legend


def short(number: float, most: float) -> str:
    """Return a number as an axis says it that goes up to ``most``: ``950``, ``1.5M``, ``2bn``."""
    for size, letter in ((10**9, "bn"), (10**6, "M")):
        if most >= size:
            return f"{number / size:g}{letter if number else ''}"
    return f"{number:,.0f}"


def _style(name: str) -> Any:  # noqa: ANN401  # matplotlib does not say
    return style.context(["default", _RULES | {"svg.hashsalt": name}])


def _rows(labels: Sequence[str], marks: Mapping[str, str]) -> Iterator[float]:
    """Yield where each bar lies; there is room above those that have a mark."""
    above = 0.0
    for n, label in enumerate(labels):
        above += _MARK if label in marks else 0
        yield n + above


def _time_axis(axes: Axes, labels: Sequence[str]) -> None:
    """Name as many points as there is room for, the first and the last among them."""
    most = max(2, 38 // (max(map(len, labels)) + 1))
    last = len(labels) - 1
    gaps = min(last, most - 1)
    named = [round(n * last / gaps) for n in range(gaps + 1)] if gaps else [0]
    axes.set_xticks(named, [labels[n] for n in named])
    edge = max(0.6, (3 - len(labels)) / 2)  # one column alone is not as wide as the plot
    axes.set_xlim(-edge, last + edge)


def _count_axis(axis: Any, most: int) -> None:  # noqa: ANN401  # an axis of either kind
    axis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda number, _place: short(number, most)))
    axis.grid(visible=True)


def _safe(label: str) -> str:
    """Return a label that any font has, on two lines at most; a forged outcome may be any text."""
    plain = label.encode("ascii", "backslashreplace").decode()
    kept = "".join(one if one.isprintable() else " " for one in plain)
    return "\n".join(textwrap.wrap(kept, _LABEL, max_lines=2, placeholder="..."))


def _embedded(drawn: str, name: str, title: str, told: str) -> str:
    """Return a file's SVG as part of a page: named, described, in its colours, its ids its own."""
    begin = drawn.index(">", drawn.index("<svg")) + 1
    inner = drawn[begin : drawn.rindex("</svg>")]
    inner = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    # Its one rule is the page's: here it would hold for everything in it.
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inner, flags=re.DOTALL)
    inner = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", inner)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    inner = re.sub(r'\bid="', f'id="{name}-', inner)
    inner = re.sub(r'xlink:href="#', f'href="#{name}-', inner)
    inner = inner.replace("url(#", f"url(#{name}-").replace(f"'{_FAMILY}'", "system-ui, sans-serif")
    inner = re.sub("#0001..", lambda colour: _VARIABLES.get(colour[0], colour[0]), inner)
    inner = re.sub(r"\n\s*", "\n", inner).strip()
    box = re.search(r'viewBox="[^"]*"', drawn)
    return (
        f'<svg role="img" aria-labelledby="{name}-title {name}-told" {box[0] if box else ""}>\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-told">{escape(told)}</desc>\n{inner}\n</svg>'
    )
