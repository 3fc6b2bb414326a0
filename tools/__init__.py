"""What makes the documentation site; not part of the package, and not installed with it.

=========== ===============================================================
module      what it does
=========== ===============================================================
rst         docstrings in Sphinx's manner as Markdown
docstrings  hands docstrings to that, for the API reference
pages       pages that are made when the site is: API, notebooks, changelog
notebooks   runs the tutorials, and shows a notebook as Markdown
links       checks the site that was built
wheel       tries a wheel in an empty environment
=========== ===============================================================
"""
