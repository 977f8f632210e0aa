"""How answers are drawn, by Altair: a specification of each chart, without its rows.

The page fills in the rows from its tables, as they are sorted and filtered there, and a ``_label``
where bars have names. Colours are the page's own (CSS variables), so that charts are light, dark or
printed as the page is.
"""

from collections.abc import Callable
from typing import Any, Literal

import altair as alt

from pipelines.eduframe.commands.report.section import Answer, Chart, Shown

ROW = 24
"""Pixels for a bar."""
HEIGHT = 240
"""Pixels of a chart over time."""
STEPS = 5
"""From so many parts on they are steps of one thing, such as ages, and have shades of a colour."""
FORMATS: dict[Shown, str] = {
    "count": ",.0f", "number": ",.2f", "percent": ",.1f", "year": "d", "date": "%-d %b %Y",
    "month": "%b %Y", "moment": "%-d %b %Y %H:%M",
}
"""d3's formats; the page's language says how they are written."""
WITHIN = "datum.value < domain('x')[1] ? datum.label : ''"
"""Labels of times, but for the one at the end, where the next column would begin."""
Unit = Literal["yearmonth", "yearmonthdate", "yearmonthdatehours", "year"]
LABEL, NAME, VALUE = "_label", "_name", "_value"

CONFIG = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "view": {"stroke": None},
    "bar": {"color": "var(--c1)"},
    "rect": {"color": "var(--c1)"},
    "point": {"color": "var(--c1)", "size": 60, "filled": True},
    "rule": {"color": "var(--c4)"},
    "axis": {
        "labelColor": "var(--ink)", "titleColor": "var(--quiet)", "gridColor": "var(--line)",
        "domainColor": "var(--line)", "tickColor": "var(--line)", "labelFontSize": 12,
        "titleFontSize": 12, "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": "var(--ink)", "titleColor": "var(--quiet)", "labelFontSize": 12,
        "titleFontSize": 12, "titleFontWeight": "normal", "orient": "top",
        "labelLimit": 300,
    },
    "range": {"category": [f"var(--c{n})" for n in range(1, 7)]},
}
"""For all charts of the page."""


def specification(answer: Answer) -> dict[str, Any] | None:
    """A chart of an answer in Vega-Lite, whose rows are still to come; None where there is none."""
    chart = answer.section.chart
    if chart is None or not answer.rows:
        return None
    shown = {column.name: column.shown for column in answer.columns}
    data = alt.Chart(alt.NamedData(name="rows"))
    drawn = DRAWN[chart.kind](data, chart, shown).properties(
        width="container",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=_described(answer, chart),
    )
    found: dict[str, Any] = drawn.to_dict(validate=True)
    return {k: v for k, v in found.items() if k not in ("$schema", "config", "usermeta")}


def _described(answer: Answer, chart: Chart) -> str:
    by = " and ".join(name.replace("_", " ") for name in chart.by)
    values = ", ".join(name.replace("_", " ") for name in chart.values)
    return f"{answer.section.question} {values} by {by}; the table below has the numbers."


def _bars(data: alt.Chart, chart: Chart, shown: dict[str, Shown]) -> Any:
    y = alt.Y(f"{LABEL}:N", sort=None, title=None)
    form = FORMATS[shown[chart.values[0]]]
    if len(chart.values) == 1:
        value = chart.values[0]
        x = alt.X(f"{value}:Q", title=chart.axis, axis=_axis(form))
        tips = [alt.Tooltip(f"{LABEL}:N", title=" "),
                alt.Tooltip(f"{value}:Q", format=form, title=_words(value))]
        return data.mark_bar().encode(x=x, y=y, tooltip=tips).properties(height=alt.Step(ROW))
    return (
        _folded(data, chart)
        .mark_bar()
        .encode(
            x=alt.X(f"{VALUE}:Q", title=chart.axis, axis=_axis(form)),
            y=y,
            color=_colour(chart),
            order=alt.Order("_place:Q"),
            tooltip=[alt.Tooltip(f"{LABEL}:N", title=" "), alt.Tooltip(f"{NAME}:N", title=" "),
                     alt.Tooltip(f"{VALUE}:Q", format=form, title=chart.axis)],
        )
        .properties(height=alt.Step(ROW))
    )


def _over_time(unit: Unit, form: str) -> Callable[[alt.Chart, Chart, dict[str, Shown]], Any]:
    """Columns over time; ``unit`` is Vega-Lite's, ``form`` d3's."""
    def drawn(data: alt.Chart, chart: Chart, shown: dict[str, Shown]) -> Any:
        (time,) = chart.by
        number = FORMATS[shown[chart.values[0]]]
        x: Any = (
            alt.X(f"{time}:O", title=None, axis=alt.Axis(labelAngle=0)) if unit == "year"
            else alt.X(f"{time}:T", timeUnit=unit, title=None,
                       axis=alt.Axis(format=form, labelOverlap=True, labelSeparation=12, grid=False,
                                     labelExpr=WITHIN))
        )
        when = (alt.Tooltip(f"{time}:O", title=" ") if unit == "year"
                else alt.Tooltip(f"{time}:T", timeUnit=unit, format=form, title=" "))
        if chart.colour or len(chart.values) > 1:
            named, value = chart.colour or NAME, chart.values[0] if chart.colour else VALUE
            base = data if chart.colour else _folded(data, chart)
            columns = base.mark_bar().encode(
                x=x,
                y=alt.Y(f"{value}:Q", title=chart.axis, axis=_axis(number)),
                color=_colour(chart),
                tooltip=[when, alt.Tooltip(f"{named}:N", title=" "),
                         alt.Tooltip(f"{value}:Q", format=number, title=chart.axis)],
            )
            if not chart.stacked:
                columns = columns.encode(xOffset=alt.XOffset(f"{NAME}:N", sort=_names(chart)))
        else:
            value = chart.values[0]
            columns = data.mark_bar().encode(
                x=x,
                y=alt.Y(f"{value}:Q", title=chart.axis, axis=_axis(number)),
                tooltip=[when, alt.Tooltip(f"{value}:Q", format=number, title=chart.axis)],
            )
        columns = columns.properties(height=HEIGHT)
        if chart.limit is None:
            return columns
        rule = data.mark_rule(strokeDash=[6, 4], strokeWidth=2).encode(
            y=alt.Y(f"{chart.limit}:Q", aggregate="max", title=chart.axis),
        )
        return alt.layer(columns, rule).properties(height=HEIGHT)

    return drawn


def _heat(data: alt.Chart, chart: Chart, shown: dict[str, Shown]) -> Any:
    _, time = chart.by
    (value,) = chart.values
    form = FORMATS[shown[value]]
    return (
        data.mark_rect()
        .encode(
            x=alt.X(f"{time}:O", timeUnit="yearmonth", title=None,
                    axis=alt.Axis(format="%b %y", labelAngle=0, labelOverlap=True)),
            y=alt.Y(f"{chart.by[0]}:N", sort=None, title=None),
            opacity=alt.Opacity(f"{value}:Q", title=chart.axis,
                                scale=alt.Scale(domainMin=0, range=[0.05, 1])),
            tooltip=[alt.Tooltip(f"{chart.by[0]}:N", title=" "),
                     alt.Tooltip(f"{time}:T", timeUnit="yearmonth", format="%b %Y", title=" "),
                     alt.Tooltip(f"{value}:Q", format=form, title=chart.axis)],
        )
        .properties(height=alt.Step(ROW))
    )


def _runs(data: alt.Chart, chart: Chart, shown: dict[str, Shown]) -> Any:
    (time,), (value,) = chart.by, chart.values
    return (
        data.mark_point()
        .encode(
            x=alt.X(f"{time}:T", title=None, axis=alt.Axis(
                format="%-d %b %H:%M", grid=False, labelOverlap=True, labelSeparation=12)),
            y=alt.Y(f"{value}:Q", title=chart.axis, axis=_axis(",")),
            color=_colour(chart),
            shape=alt.Shape(f"{chart.colour}:N", title=None),
            tooltip=[alt.Tooltip(f"{time}:T", format=FORMATS["moment"], title=" "),
                     alt.Tooltip(f"{chart.colour}:N", title=" "),
                     alt.Tooltip(f"{value}:Q", format=FORMATS["number"], title=chart.axis)],
        )
        .properties(height=HEIGHT)
    )


DRAWN: dict[str, Callable[[alt.Chart, Chart, dict[str, Shown]], Any]] = {
    "bars": _bars,
    "months": _over_time("yearmonth", "%b %Y"),
    "days": _over_time("yearmonthdate", "%-d %b"),
    "hours": _over_time("yearmonthdatehours", "%-d %b %H:00"),
    "years": _over_time("year", "%Y"),
    "heat": _heat,
    "runs": _runs,
}


def _axis(form: str) -> alt.Axis:
    """An axis of numbers, without the zeros at their ends. What its format would round has no
    label: or a short axis of whole numbers says 0, 1, 1, 2, 2."""
    scale = {FORMATS["percent"]: 10, FORMATS["number"]: 100}.get(form, 1)
    rounded = f"abs({scale} * datum.value - round({scale} * datum.value)) > 1e-6"
    return alt.Axis(format=form.replace("f", "~f"), tickCount=5,
                    labelExpr=f"{rounded} ? '' : datum.label")


def _colour(chart: Chart) -> alt.Color:
    if chart.colour:
        return alt.Color(f"{chart.colour}:N", title=None)
    names = _names(chart)
    colours = [f"var(--{'c' if len(names) < STEPS else 's'}{n})" for n in range(1, len(names) + 1)]
    return alt.Color(f"{NAME}:N", title=None, scale=alt.Scale(domain=names, range=colours))


def _folded(data: alt.Chart, chart: Chart) -> alt.Chart:
    """A row for each of the chart's columns, with its name in words."""
    named = {value: _words(value) for value in chart.values}
    return data.transform_fold([*chart.values], as_=["_column", VALUE]).transform_calculate(
        **{NAME: f"{named}[datum._column]", "_place": f"indexof({[*chart.values]}, datum._column)"}
    )


def _names(chart: Chart) -> list[str]:
    return [_words(value) for value in chart.values]


def _words(name: str) -> str:
    return name.replace("_percent", " %").replace("_", " ")
