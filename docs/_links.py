"""Lets pages link to what lies outside docs/ and is a page of the site all the same."""

PAGES = {"../benchmarks/RESULTS.md": "results.md", "../CONTRIBUTING.md": "contributing.md"}


def on_page_markdown(markdown, **_):
    """Lead such links to those pages (a hook of mkdocs)."""
    for link, page in PAGES.items():
        markdown = markdown.replace(f"]({link}", f"]({page}")
    return markdown
