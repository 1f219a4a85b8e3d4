"""Bring the figures of README.md's tables to those of RESULTS.md.

    python benchmarks/readme_tables.py

README.md chooses which rows to show; a row is the one of RESULTS.md that stands under the same
columns and begins with the same words.
"""

import re

from results import RESULTS

from keras_compress.support.files import write_atomically

README = RESULTS.parents[1] / "README.md"
FIGURE = re.compile(r"[-\d.]*")


def key(header, row):
    """Return what a row is known by: its columns, and its cells before the first figure."""
    cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    words = [*cells, ""]
    return header, tuple(words[: next(i for i, w in enumerate(words) if FIGURE.fullmatch(w))])


def with_headers(lines):
    """Yield (line, header of the table it is a row of, or None)."""
    header = None
    for line in lines:
        if not line.startswith("|"):
            header = None
        if header is None and line.startswith("|"):
            header = line
            yield line, None
        else:
            yield line, None if line.startswith("| ---") else header


def brought_up(readme, results):
    """Return the text of README.md with each row of figures as RESULTS.md has it.

    Args:
        readme: Text of README.md; its tables that RESULTS.md does not have stay as they are.
        results: Text of RESULTS.md; of rows that are known by the same words the last counts.
    """
    known = {key(header, row): row for row, header in with_headers(results.splitlines()) if header}
    rows = with_headers(readme.splitlines())
    return "".join(f"{known.get(key(header, row), row)}\n" for row, header in rows)


def main():
    write_atomically(README, brought_up(README.read_text(), RESULTS.read_text()))


if __name__ == "__main__":
    main()
