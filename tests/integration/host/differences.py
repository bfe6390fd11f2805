# SPDX-License-Identifier: GPL-2.0
"""The differences between the two drivers: which are intended, and which are not.

Documentation/conformance.rst lists those that are intended, in a table whose rows have four cells:
a pattern of keys (`RECORD KEY`), our value, the C driver's, the reason. A star stands for any text, and
`absent` for a key that the driver has not."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "Documentation/conformance.rst"
TABLE = "Intended differences"
ABSENT = "absent"
_SHOWN = 40  # Differences that are shown at most, of those which are not intended.


def table(text, title):
    """The rows of the list-table with a title, without its heading: each a list of its cells."""
    rows = []
    inside = False
    for line in text.splitlines():
        if line.startswith(".. list-table::"):
            inside = line.partition("::")[2].strip() == title
        elif inside and line.startswith("   * - "):
            rows.append([line[7:].strip()])
        elif inside and line.startswith("     - "):
            rows[-1].append(line[7:].strip())
        elif inside and line.startswith("       "):
            rows[-1][-1] += " " + line.strip()
        elif line and not line.startswith(" "):
            inside = False
    return rows[1:]


def _matcher(pattern):
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.compile(".*".join(parts), re.S).fullmatch


class Row:
    """One intended difference."""

    def __init__(self, cells):
        pattern, ours, theirs, self.reason = (cell.replace("``", "") for cell in cells)
        self.record, _, self.key = pattern.partition(" ")
        self.texts = ours, theirs
        self._key, self._ours, self._theirs = _matcher(self.key), _matcher(ours), _matcher(theirs)

    def covers(self, key, ours, theirs):
        """Whether this difference is the one that the row is about."""
        return bool(self._key(key) and self._ours(ours) and self._theirs(theirs))


class Differences:
    """What the documentation says about differences."""

    def __init__(self, text=None):
        rows = table(DOCUMENT.read_text() if text is None else text, TABLE)
        self._rows = [Row(cells) for cells in rows]

    def judge(self, record, facts):
        """Compares the facts of a record, {driver: {key: value}}. Returns (lines about what differs as
        intended, lines about what is wrong)."""
        ours, theirs = facts["rust"], facts["c"]
        rows = [row for row in self._rows if row.record == record]
        covered = {row: [] for row in rows}
        wrong = []
        for key in sorted(ours.keys() | theirs.keys()):
            mine, other = ours.get(key, ABSENT), theirs.get(key, ABSENT)
            if mine == other:
                continue
            covering = [row for row in rows if row.covers(key, mine, other)]
            for row in covering:
                covered[row].append((key, mine, other))
            if not covering:
                wrong.append(f"not listed: {key}: {mine} instead of {other}")
        if len(wrong) > _SHOWN:
            wrong[_SHOWN:] = [f"and {len(wrong) - _SHOWN} more"]
        intended = []
        for row, found in covered.items():
            if found:
                key, mine, other = found[0]
                more = f" (and {len(found) - 1} more)" if found[1:] else ""
                intended.append(f"differs: {key}: {mine} instead of {other}{more}: {row.reason}")
            else:
                wrong.append(f"listed, but does not occur: {row.key}: {row.texts[0]} instead of {row.texts[1]}")
        return intended, wrong
