"""``roofline app``: questions and answers in a browser, on this machine."""

from __future__ import annotations

import webbrowser
from typing import Annotated

from cyclopts import Parameter

from roofline.app.server import HOST, PORT, server
from roofline.cli.console import note
from roofline.cli.flags import OUTPUT
from roofline.cli.numbers import to_whole

Port = Annotated[
    int,
    Parameter(
        group=OUTPUT,
        converter=to_whole,
        help=f"Where it listens on this machine (default: {PORT}); 0: any port that is free.",
    ),
]
NoBrowser = Annotated[bool, Parameter(negative="", group=OUTPUT, help="Print the address, and open no browser.")]


def app_(*, port: Port = PORT, no_browser: NoBrowser = False) -> None:
    """Compare systems in a browser, from a form with model, systems and limits; served on this machine only, until Ctrl-C."""
    serving = server(port)
    address = f"http://{HOST}:{serving.port}/"
    note(f"roofline: {address} (Ctrl-C ends it)")
    if not no_browser:
        webbrowser.open(address)
    serving.serve_forever()
