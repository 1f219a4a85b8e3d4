import html.parser

import pytest

from keras_compress.support.tables import html_table, text_table

ROWS = [("layer", "bytes", "note"), ("a", 1_000, "short"), ("second", 5, "")]


def test_first_column_is_left_and_others_are_right():
    assert text_table(ROWS).splitlines() == [
        "layer   bytes   note",
        "a        1000  short",
        "second      5",
    ]


@pytest.mark.parametrize(
    ("alignment", "line"),
    [
        ("<", "a       1000   short"),
        ("><", "     a  1000   short"),
        ("<><", "a        1000  short"),
    ],
)
def test_the_last_sign_holds_for_all_further_columns(alignment, line):
    assert text_table(ROWS, alignment).splitlines()[1] == line


def test_indent_and_empty_columns():
    assert text_table([("a", ""), ("b", "")], indent="  ") == "  a\n  b"


def test_no_rows():
    assert text_table([]) == ""


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        text_table([("a", "b"), ("c",)])


class Cells(html.parser.HTMLParser):
    """The text of each cell, by tag, as a browser would show it."""

    def __init__(self, page):
        super().__init__()
        self.found, self.tag = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tag = tag

    def handle_data(self, data):
        self.found.append((self.tag, data))


def test_html_shows_cells_as_they_are():
    page = html_table(("name", "a & b"), [("<script>", 1)], caption="Two < three")
    assert Cells(page).found == [
        ("caption", "Two < three"),
        ("th", "name"),
        ("th", "a & b"),
        ("td", "<script>"),
        ("td", "1"),
    ]


def test_html_without_a_caption():
    assert "caption" not in html_table(("name",), [])
