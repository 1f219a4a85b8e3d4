"""The forms of data: each module says whether data are of its form, and reads them.

`recognizes(data, inputs)` returns a bool, `read(data, inputs)` a `Source`. No library
that users may lack is imported to tell a form.
"""
