# SPDX-License-Identifier: GPL-2.0
"""What was measured: medians, the ratio of both drivers, and how far it spreads."""

import json
from statistics import median


class Series:
    """The values of one metric of one case, by driver, in the order in which they were taken."""

    def __init__(self):
        self._values = {}

    def add(self, driver, value):
        """Takes one more."""
        self._values.setdefault(driver, []).append(value)

    def row(self, case, metric):
        """What the table has of it. The ratio is the median of those of neighbours in time, so that a trend of the
        machine's speed does not count; the spread is the range that the middle half of them, or more, lies in."""
        row = {"case": case, "metric": metric, "c": None, "ours": None, "ratio": None, "spread": None}
        # What belongs to no driver is ours.
        for name, driver in (("ours", "none"), ("c", "c"), ("ours", "rust")):
            if driver in self._values:
                row[name] = median(self._values[driver])
        ratios = sorted(ours / theirs for ours, theirs in zip(self._values.get("rust", ()), self._values.get("c", ()))
                        if theirs)
        if ratios:
            cut = len(ratios) // 4
            row["ratio"] = median(ratios)
            row["spread"] = [ratios[cut], ratios[-1 - cut]]
        return row


class Table:
    """All rows, printed as they come."""

    def __init__(self, file):
        self.rows = []
        self._file = file
        self._series, self._case = {}, None

    @staticmethod
    def head():
        """The line above the table."""
        print(f"{'case':26} {'metric':34} {'C':>11} {'ours':>11} {'ratio':>6}  spread", flush=True)

    def add(self, case, driver, figures):
        """Takes the figures of one measurement; those of a case come together."""
        if case != self._case:
            self.finish()
            self._case = case
        for metric, value in figures.items():
            self._series.setdefault(metric, Series()).add(driver, value)

    def finish(self):
        """Prints and keeps what there is of the current case."""
        for metric, series in self._series.items():
            row = series.row(self._case, metric)
            self.rows.append(row)
            _show(row)
        self._series = {}
        self._file.write_text(json.dumps(self.rows, indent=1) + "\n")

    def shares(self, shape):
        """Adds how much of the bare copies' rate bulk traffic reaches."""
        def rate(case, metric):
            found = [row for row in self.rows if row["case"] == f"{case}/{shape}" and row["metric"] == metric]
            return found[0] if found else None

        for path, what in (("from-guest", "from a guest, pages"), ("to-guest", "to a guest, pages")):
            bulk, loop = rate(f"{path}/bulk", "Mbit/s"), rate("ceiling/copy", f"{what}, Mbit/s")
            if bulk and loop:
                series = Series()
                series.add("c", bulk["c"] / loop["ours"])
                series.add("rust", bulk["ours"] / loop["ours"])
                self._series["share of the ceiling"] = series
                self._case = f"{path}/bulk/{shape}"
                self.finish()


def _number(value):
    return "" if value is None else f"{value:.5g}"


def _show(row):
    ratio, spread = "", ""
    if row["ratio"] is not None:
        ratio, spread = f"{row['ratio']:.2f}", "{:.2f} - {:.2f}".format(*row["spread"])
    print(f"{row['case']:26} {row['metric']:34} {_number(row['c']):>11} {_number(row['ours']):>11} {ratio:>6}  {spread}",
          flush=True)
