"""A language model on this machine: OpenAI's chat completions and Bedrock's Converse, saying what a test tells it to say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = "sk-of-a-test-0123456789"
AWS_ID, AWS_SECRET, REGION = "AKIDEXAMPLEEXAMPLE00", "secret-of-a-test-9876543210", "eu-central-1"
TOKENS = (1000, 100)
"""In and out, of each answer."""
DRAFT = "final_result"
"""The tool by which pydantic-ai is handed a structured answer."""


class Calls(NamedTuple):
    """Call a tool; `final_result` hands in the answer."""

    tool: str
    given: dict[str, Any]


class Says(NamedTuple):
    """Say something in plain text."""

    text: str


class Answers(NamedTuple):
    """Answer these bytes with this status, all at once or `pause_s` after each."""

    body: bytes
    status: int = 200
    pause_s: float = 0.0


class Hangs(NamedTuple):
    """Answer nothing until the server ends."""


Behaviour = Calls | Says | Answers | Hangs
Part = Behaviour | Callable[[dict[str, Any]], Behaviour]
"""Or what makes it of the request's body."""


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ModelServer:
    """Serves on a port of its own, in threads of its own.

    Parameters
    ----------
    *script
        What is done with each request in turn; the last again and again.

    Attributes
    ----------
    asked : list of Asked
    url : str
    """

    def __init__(self, *script: Part) -> None:
        self.script: Sequence[Part] = script
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, asked: Asked) -> Behaviour:
        """Return what is done with a request."""
        with self._lock:
            part = self.script[min(len(self.asked), len(self.script) - 1)]
            self.asked.append(asked)
        return part(asked.body) if callable(part) else part


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that had enough has left."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            is_openai = self.path == "/v1/chat/completions"
            is_known = is_openai or (self.path.startswith("/model/") and self.path.endswith("/converse"))
            may = self.headers["Authorization"] == f"Bearer {KEY}" if is_openai else _is_signed(self, content)
            if not (is_known and may):
                self._send(
                    Answers(json.dumps({"message": f"no {self.headers['Authorization']}"}).encode(), 403 if is_known else 404)
                )
                return
            done = server.take(Asked(self.path, dict(self.headers), json.loads(content)))
            if isinstance(done, Hangs):
                server.ended.wait(600)
                self.close_connection = True
                return
            self._send(
                done if isinstance(done, Answers) else Answers(json.dumps((_openai if is_openai else _bedrock)(done)).encode())
            )

        def _send(self, answer: Answers) -> None:
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                for piece in _pieces(answer):
                    self.wfile.write(piece)
                    self.wfile.flush()
                    if answer.pause_s and server.ended.wait(answer.pause_s):
                        break
            except OSError:
                self.close_connection = True  # the client has left

    return Handler


def _pieces(answer: Answers) -> Iterator[bytes]:
    step = 1 if answer.pause_s else len(answer.body) or 1
    yield from (answer.body[k : k + step] for k in range(0, len(answer.body), step))


def _is_signed(handler: BaseHTTPRequestHandler, content: bytes) -> bool:
    """Whether the request bears the signature that AWS would make of it."""
    said = handler.headers["Authorization"] or ""
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    url = f"http://{handler.headers['Host']}{handler.path}"
    request = AWSRequest(handler.command, url, {name: handler.headers[name] for name in names if name != "host"}, content)
    request.context["timestamp"] = handler.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(AWS_ID, AWS_SECRET), "bedrock", REGION)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return bool(said.endswith(f"Signature={signature}") and f"Credential={AWS_ID}/" in said)


def _openai(done: Calls | Says) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": done.text if isinstance(done, Says) else None}
    if isinstance(done, Calls):
        function = {"name": done.tool, "arguments": json.dumps(done.given)}
        message["tool_calls"] = [{"id": f"call_{time.monotonic_ns()}", "type": "function", "function": function}]
    choice = {"index": 0, "finish_reason": "stop" if isinstance(done, Says) else "tool_calls", "message": message}
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _bedrock(done: Calls | Says) -> dict[str, Any]:
    if isinstance(done, Says):
        content: dict[str, Any] = {"text": done.text}
    else:
        content = {"toolUse": {"toolUseId": f"call_{time.monotonic_ns()}", "name": done.tool, "input": done.given}}
    usage = {"inputTokens": TOKENS[0], "outputTokens": TOKENS[1], "totalTokens": sum(TOKENS)}
    message = {"message": {"role": "assistant", "content": [content]}}
    stop = "end_turn" if isinstance(done, Says) else "tool_use"
    return {"output": message, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}
