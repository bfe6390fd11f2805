# SPDX-License-Identifier: GPL-2.0
"""The rows of a table as a plot (SVG) and as the table of Documentation/performance.rst."""

from math import log2

# What a case is there for, and whether more of it is better.
_MAIN = {"Mbit/s": True, "packets/s": True, "rr/s": True, "rtt p99 us": False}
# What else the document shows of it: the heading, and how the metric's name begins and ends.
_COSTS = (("CPU time", "", " CPU us/"), ("Instructions", "instructions/", ""), ("Hypercalls", "hypercalls/", ""))

_BAR, _GAP, _LEFT, _WIDTH, _TOP = 14, 6, 230, 420, 56
_LOWEST, _HIGHEST = -1, 3  # Powers of two on the axis.
_STYLE = """text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .axis { fill: #666 }
.better { fill: #2a78b0 } .worse { fill: #c4622d } .grid { stroke: #ddd } .one { stroke: #444 } .range { stroke: #111 }"""


def main_rows(rows):
    """The rows of the metrics for which the cases are there. Of a loaded path that is the late answers."""
    return [row for row in rows if row["ratio"] and row["metric"] in _MAIN
            and ("/loaded/" in row["case"]) == (row["metric"] == "rtt p99 us")]


def _advantage(row):
    """How many times better we are, with its range."""
    values = [row["ratio"], *row["spread"]]
    if not _MAIN[row["metric"]]:
        values = [1 / value for value in values]
    return values[0], *sorted(values[1:])


def _x(value):
    power = min(max(log2(value), _LOWEST), _HIGHEST)
    return round(_LEFT + (power - _LOWEST) / (_HIGHEST - _LOWEST) * _WIDTH, 1)


def svg(rows):
    """A bar for each case: how many times the C driver's rate ours is, or its late answers ours."""
    rows = main_rows(rows)
    height = _TOP + len(rows) * (_BAR + _GAP) + 30
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}">',
             "<!-- SPDX-License-Identifier: GPL-2.0 -->", f"<style>{_STYLE}</style>",
             '<rect width="100%" height="100%" fill="#fff"/>',
             '<text class="title" x="10" y="20">Times the C driver: rates; of loaded paths, C\'s p99 round trip by ours'
             '</text>']
    for power in range(_LOWEST, _HIGHEST + 1):
        x = _x(2 ** power)
        kind = "one" if power == 0 else "grid"
        lines += [f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height - 20}"/>',
                  f'<text class="axis" x="{x}" y="{_TOP - 14}" text-anchor="middle">{2.0 ** power:g}</text>']
    for number, row in enumerate(rows):
        y = _TOP + number * (_BAR + _GAP)
        value, low, high = _advantage(row)
        one, at = _x(1), _x(value)
        middle = y + _BAR / 2
        lines += [f'<text x="{_LEFT - 8}" y="{y + _BAR - 3}" text-anchor="end">{row["case"]}</text>',
                  f'<rect class="{"better" if value >= 1 else "worse"}" x="{min(one, at)}" y="{y}" '
                  f'width="{abs(at - one):.1f}" height="{_BAR}"/>',
                  f'<line class="range" x1="{_x(low)}" x2="{_x(high)}" y1="{middle}" y2="{middle}"/>',
                  f'<text x="{max(_x(high), at, one) + 6}" y="{y + _BAR - 3}">{value:.2f}</text>']
    return "\n".join([*lines, "</svg>"]) + "\n"


def _cell(value):
    return "" if value is None else format(float(f"{value:.4g}"), ",.10g")


def _table(title, widths, rows):
    lines = [f".. list-table:: {title}", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in rows:
        lines += [f"   {'*' if number == 0 else ' '} - {cell}".rstrip() for number, cell in enumerate(row)]
    return lines + [""]


def rst(rows):
    """The tables of the document."""
    found = {(row["case"], row["metric"]): row for row in rows}

    def cost(case, begin, middle):
        for (one, metric), row in found.items():
            if one == case and metric.startswith(begin) and middle in metric and row["ratio"]:
                return f"{row['ratio']:.2f}"
        return ""

    # In instruction time there are fewer.
    costs = [one for one in _COSTS if any(cost(row["case"], *one[1:]) for row in rows)]
    cases = [["Case", "Metric", "C", "Ours", "Ratio", "Range", *(name for name, _, _ in costs)]]
    for row in main_rows(rows):
        cases.append([f"``{row['case']}``", row["metric"], _cell(row["c"]), _cell(row["ours"]), f"{row['ratio']:.2f}",
                      "{:.2f} - {:.2f}".format(*row["spread"]),
                      *(cost(row["case"], begin, middle) for _, begin, middle in costs)])
    others = [["Case", "Metric", "C", "Ours"]]
    for row in rows:
        if row["metric"].startswith("KiB") or "ceiling" in row["metric"]:
            others.append([f"``{row['case']}``", row["metric"], _cell(row["c"]), _cell(row["ours"])])
        elif row["case"].startswith("ceiling/"):
            others.append([f"``{row['case']}``", row["metric"], "", _cell(row["ours"])])
    lines = _table("Both drivers; the columns on the right are ours divided by C's for the same work",
                   " ".join(["28 12 10 10 8 14", *("8" for _ in costs)]), cases)
    if len(others) > 1:
        lines += _table("Memory, and the bare copies", "24 40 10 10", others)
    return "\n".join([".. SPDX-License-Identifier: GPL-2.0", "", *lines])
