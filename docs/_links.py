"""Lets pages link to `../benchmarks/RESULTS.md`, which the site shows as a page of its own."""


def on_page_markdown(markdown, **_):
    """Lead the link to that page (a hook of mkdocs)."""
    return markdown.replace("](../benchmarks/RESULTS.md", "](results.md")
