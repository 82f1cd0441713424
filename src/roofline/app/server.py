"""The explorer's server: Flask on 127.0.0.1, reachable from this machine only."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from roofline import catalog
from roofline.app.answers import Remembered
from roofline.app.pages import pages, refusal, reported
from roofline.app.question import typed_fields
from roofline.app.view import REPORT
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.serving import BaseWSGIServer

HOST: Final = "127.0.0.1"
PORT: Final = 8060
_PORTS: Final = 65535
_NAMES: Final = (HOST, "localhost")
"""Hosts that a request may name: a page of another site that has this address by its own name is refused."""
_POLICY: Final = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_FRAMED: Final = "frame-ancestors 'none'"
"""A report states its own policy, with the hashes of its scripts."""
_WIDEST: Final = 1200
"""Parts of a bar in tenths of a per cent."""
_MISSING: Final = "app: Flask serves its pages and is not installed; install the extra, pip install 'roofline[app]'"


def application() -> Flask:
    """Return the explorer as a WSGI application.

    Raises:
        QuestionError: the extra is not installed.
    """
    try:
        from flask import Flask, Response, redirect, request
    except ImportError:
        raise QuestionError(_MISSING) from None
    made, known = Flask("roofline", static_folder=None), Remembered()
    made.config["TRUSTED_HOSTS"] = list(_NAMES)
    style = "".join([
        catalog.asset("style.css"), catalog.asset("app.css"), *(f".w{n} {{ flex-grow: {n}; }}\n" for n in range(1, _WIDEST + 1)),
    ])  # fmt: skip
    assets = {
        "style.css": (style, "text/css"),
        "draw.js": (catalog.asset("draw.js"), "text/javascript"),
        "script.js": (catalog.asset("script.js"), "text/javascript"),
        "app.js": (catalog.asset("app.js"), "text/javascript"),
    }

    @made.get("/")
    def page() -> Any:
        pairs = list(request.args.items(multi=True))
        text = typed_fields(pairs)
        if not text.strange and pairs != text.pairs:
            return redirect(text.address)
        wrong = refusal(text)
        return Response(started(pages(text, known)), status=400 if wrong else 200, mimetype="text/html")

    @made.get("/report")
    def report() -> Any:
        pairs = list(request.args.items(multi=True))
        number = next((value for name, value in pairs if name == REPORT and value.isdecimal()), "0")
        text = typed_fields(pair for pair in pairs if pair[0] != REPORT)
        html, status = reported(text, int(number), known)
        return Response(html, status=status, mimetype="text/html", headers={"Content-Security-Policy": _FRAMED})

    @made.get("/<name>")
    def asset(name: str) -> Any:
        if name not in assets:
            return Response("no such page; the explorer is at /\n", status=404, mimetype="text/plain")
        text, kind = assets[name]
        return Response(text, mimetype=kind, headers={"Cache-Control": "max-age=3600"})

    @made.after_request
    def guarded(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return made


def started(parts: Iterator[str]) -> Iterator[str]:
    """Return the parts of a page, with the first already made."""
    return chain([next(parts)], parts)


def server(port: int = PORT) -> BaseWSGIServer:
    """Return a server of the explorer that listens on this machine alone; ``serve_forever`` of it answers until it is interrupted.

    Args:
        port: where it listens; 0 for any that is free.

    Raises:
        QuestionError: the extra is not installed, or the port is taken.
    """
    made = application()
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """Say nothing of requests."""

    refuse("port", port, 0, _PORTS, whole=True)
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        rule = f"cannot be listened on ({error.strerror})"
        raise QuestionError(fault("port", port, rule, "choose another, or 0 for any that is free")) from None
    with listening:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        return make_server(
            HOST, listening.getsockname()[1], made, threaded=True, request_handler=Quiet, fd=listening.fileno()
        )
