"""The supported forms of data: each module recognizes and reads one form.

`recognizes(data, inputs)` returns a bool, `read(data, inputs)` a `Source`. Recognizing a form
imports no library that users may not have.
"""
