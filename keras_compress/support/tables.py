"""Tables for people: aligned text for terminals, HTML for notebooks."""

import html
from collections.abc import Iterable, Sequence

_GAP = "  "


def text_table(rows: Iterable[Sequence[object]], alignment: str = "<>", indent: str = "") -> str:
    """Return rows as text in aligned columns.

    Args:
        rows: Cells row by row, starting with the headings if there are any. All rows have the same
            length.
        alignment: One sign for each column, `"<"` for left and `">"` for right. The last one
            applies to all further columns. Default: the first column left, the others right.
        indent: Text at the start of each line.

    Returns:
        One line for each row, without trailing spaces and without a newline at the end.

    Example:
        >>> print(text_table([("layer", "bytes"), ("dense", 1_000), ("out", 40)]))
        layer  bytes
        dense   1000
        out       40
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    signs = alignment.ljust(len(widths), alignment[-1])
    columns = list(zip(signs, widths, strict=False))
    return "\n".join(indent + _line(cells, columns) for cells in texts)


def html_table(
    headings: Iterable[object], rows: Iterable[Iterable[object]], caption: str = ""
) -> str:
    """Return rows as an HTML table, with escaped cells.

    Args:
        headings: Cells of the first row.
        rows: Cells row by row.
        caption: Title of the table.

    Returns:
        A `<table>`.

    Example:
        >>> html_table(["a<b"], [[1]])
        '<table><tr><th>a&lt;b</th></tr><tr><td>1</td></tr></table>'
    """
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(_html_row("td", cells) for cells in rows)
    return f"<table>{title}{_html_row('th', headings)}{body}</table>"


def _line(cells, columns):
    padded = [
        cell.ljust(width) if sign == "<" else cell.rjust(width)
        for cell, (sign, width) in zip(cells, columns, strict=True)
    ]
    return _GAP.join(padded).rstrip()


def _html_row(tag, cells):
    return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
