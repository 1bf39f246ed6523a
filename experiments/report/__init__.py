"""One HTML page about a fit, which needs no network and no other file.

:mod:`.reporting` is the entrance. :mod:`.cell_pages` and :mod:`.topic_pages` gather the content of
a page, and :mod:`.page` writes it: a jinja2 template, a style sheet, scripts, plotly.js, and the
numbers that the scripts draw, packed by :mod:`.encoding`.
"""
