"""Lets the site show our `Example:` sections as code: griffe knows the word in the plural."""

import re

import griffe


class ExampleSections(griffe.Extension):
    """Renames the heading before docstrings are parsed."""

    def on_object(self, *, obj, **kwargs):
        """Rename it in one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^Example:$", "Examples:", obj.docstring.value)
