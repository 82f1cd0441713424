"""The explorer, ``roofline app``: questions in a form, answers as a page, on this machine alone.

``question`` reads a form or an address, ``answers`` asks the library, ``view`` says what a page shows, ``pages`` makes it HTML piece by
piece as answers come, and ``server`` hands it to a browser (Flask, the extra ``app``).
"""
