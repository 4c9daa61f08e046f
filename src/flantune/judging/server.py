"""Serves the rating page on this machine only; the page contacts only this process."""

from __future__ import annotations

import json
import secrets
import sys
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from flantune.errors import EvaluationError
from flantune.judging.page import judging_page
from flantune.judging.ratings import CHOICES, Choice, Desk

LOCAL = "127.0.0.1"
_MOST_BYTES = 10_000
_MOST_SECONDS = 366 * 86_400.0


class JudgingServer:
    """Serves a desk under an unguessable address.

    Args:
        desk: The comparisons and the ratings file.
        title: Title of the page.
        port: The port; 0 takes a free one.

    Raises:
        EvaluationError: The port is in use.
    """

    def __init__(self, desk: Desk, *, title: str, port: int = 0) -> None:
        self.desk = desk
        self.token = secrets.token_urlsafe(24)
        handler = partial(_Handler, desk, self.token, judging_page(title=title))
        try:
            self._server = _Server((LOCAL, port), handler)
        except OSError as error:
            hint = "leave --port out to take a free one"
            raise EvaluationError(
                f"the port cannot be used: {error.strerror}", where=f"{LOCAL}:{port}", hint=hint
            ) from error

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOCAL}:{self._server.server_port}/{self.token}/"

    def run(self) -> None:
        """Serves until ``stop`` is called or Ctrl-C is pressed."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Ends ``run``."""
        self._server.shutdown()

    def close(self) -> None:
        """Frees the port and closes the ratings file."""
        self._server.server_close()
        self.desk.close()


class _Server(ThreadingHTTPServer):
    """Reports errors of requests in one line; a browser that disconnected is not an error."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Prints no traceback on the user's terminal."""
        error = sys.exception()
        if not isinstance(error, OSError):
            sys.stderr.write(f"a request could not be answered: {error!r}\n")


class _Handler(BaseHTTPRequestHandler):
    """GET the page or a pair, POST a rating. Models' names are never sent to the page."""

    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a request may take to arrive
    server_version, sys_version = "flantune", ""

    def __init__(self, desk: Desk, token: str, page: tuple[str, str], *arguments: Any) -> None:
        self._desk, self._token, self._page = desk, token, page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """The page, or a pair as JSON."""
        place = self._place()
        if place is None:
            self._send(HTTPStatus.NOT_FOUND, "not here", "text/plain")
        elif place == "":
            page, policy = self._page
            self._send(HTTPStatus.OK, page, "text/html", policy=policy)
        elif place == "pair":
            self._send_json(pair_at(self._desk, self._desk.first_open()))
        elif (at := _number(place.removeprefix("pair/"))) is not None and at <= len(self._desk.pairs):
            self._send_json(pair_at(self._desk, at))
        else:
            self._send(HTTPStatus.NOT_FOUND, "not here", "text/plain")

    def do_POST(self) -> None:
        """Stores a rating, then gives the next pair."""
        if self._place() != "rate" or self.headers.get("Content-Type") != "application/json":
            self._send(HTTPStatus.NOT_FOUND, "not here", "text/plain")
            return
        given = self._read()
        if given is None:
            self._send(HTTPStatus.BAD_REQUEST, "not a rating", "text/plain")
            return
        at, choice, seconds = given
        try:
            self._desk.rate(at, choice, seconds=seconds)
        except OSError as error:
            self._send(HTTPStatus.INSUFFICIENT_STORAGE, f"not stored: {error.strerror}", "text/plain")
            return
        self._send_json(pair_at(self._desk, self._desk.first_open(at)))

    def _place(self) -> str | None:
        """The path after the token; None without the token, or for another host name.

        The host name is checked because another site's name may point to this machine (DNS rebinding).
        """
        host, _, _ = (self.headers.get("Host") or "").partition(":")
        origin = self.headers.get("Origin")
        if host != LOCAL or origin not in (None, f"http://{self.headers.get('Host')}"):
            return None
        first, _, rest = self.path.lstrip("/").partition("/")
        return rest if secrets.compare_digest(first.encode(), self._token.encode()) else None

    def _read(self) -> tuple[int, Choice, float] | None:
        try:
            size = int(self.headers.get("Content-Length") or 0)
            given: Any = json.loads(self.rfile.read(size)) if 0 < size <= _MOST_BYTES else None
            at, key, choice, seconds = (given[name] for name in ("at", "key", "choice", "seconds"))
            is_valid = choice in CHOICES and type(at) is int and at >= 0 and self._desk.pairs[at].key == key
            # Not "is it too long", since comparisons with NaN are false.
            is_time = type(seconds) in (int, float) and abs(seconds) <= _MOST_SECONDS
            return (at, cast("Choice", choice), max(0.0, float(seconds))) if is_valid and is_time else None
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            return None

    def _send_json(self, value: object) -> None:
        self._send(HTTPStatus.OK, json.dumps(value, ensure_ascii=True), "application/json")

    def _send(self, status: HTTPStatus, content: str, kind: str, *, policy: str = "default-src 'none'") -> None:
        body = content.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ):  # fmt: skip
            self.send_header(name, value)
        if status is not HTTPStatus.OK:
            # The request's body may not have been read.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Prints nothing: the terminal belongs to the user."""


def _number(text: str) -> int | None:
    """A whole number in a few ASCII digits, as for numbers of pairs.

    >>> _number("12"), _number("²"), _number("9" * 5000), _number("")
    (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def pair_at(desk: Desk, at: int) -> dict[str, object]:
    """What the page gets of a comparison: the texts and an earlier choice, without the models' names.

    ``at`` beyond the last comparison means the end.
    """
    state: dict[str, object] = {"at": at, "total": len(desk.pairs), "done": desk.done, "is_end": at >= len(desk.pairs)}
    if at >= len(desk.pairs):
        return state
    pair = desk.pairs[at]
    texts = {"prompt": pair.left.prompt, "left": pair.left.answer, "right": pair.right.answer}
    return state | texts | {"key": pair.key, "choice": desk.choice(at)}
