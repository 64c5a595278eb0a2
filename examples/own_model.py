"""A model of another provider: subclass Model, write ``respond``, and ``stream`` if the answer is to come in pieces.

    python examples/own_model.py
    OLLAMA_HOST=http://localhost:11434 python examples/own_model.py llama3.2

Speaks the protocol of Ollama (https://github.com/ollama/ollama/blob/main/docs/api.md). Without OLLAMA_HOST a small stand-in of
a server is started here, so that it runs without one: it asks for a tool when it can, and repeats what it is told.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import TypeAdapter

from graphflow import Agent
from graphflow.db import InMemoryDb
from graphflow.errors import ModelError
from graphflow.messages import Message
from graphflow.models import Model, Reply, Request, Token, ToolCall, Usage


class Ollama(Model):
    """A model behind Ollama's /api/chat. Under asyncio it runs in a thread; an AsyncModel would also write ``arespond``."""

    def __init__(self, id: str, host: str, timeout: float = 120.0) -> None:
        self.id = id
        self._url = f"{host.rstrip('/')}/api/chat"
        self._timeout = timeout

    def respond(self, request: Request) -> Reply:
        """The whole answer: the last thing that ``stream`` gives."""
        *_, reply = self.stream(request)
        assert isinstance(reply, Reply)
        return reply

    def stream(self, request: Request) -> Iterator[Token | Reply]:
        """Tokens as they come and, last, the whole Reply. Raises ModelError when there is no answer to be had."""
        content, calls, usage, done = "", list[ToolCall](), Usage(), False
        try:
            with urllib.request.urlopen(self._asked(request), timeout=self._timeout) as answer:
                for line in answer:
                    piece = json.loads(line)
                    if "error" in piece:  # what goes wrong once it has begun to answer is told in the answer
                        raise ModelError(f"{self.id} at {self._url} broke off: {piece['error']}")
                    said = piece.get("message", {})
                    if text := said.get("content"):
                        content += text
                        yield Token(text)
                    for call in said.get("tool_calls", ()):  # they have no ids here; an id is good within its message
                        wish = call["function"]
                        calls.append(ToolCall(f"call-{len(calls)}", wish["name"], wish.get("arguments")))
                    if done := piece.get("done", False):
                        usage = Usage(piece.get("prompt_eval_count", 0), piece.get("eval_count", 0))
        except (urllib.error.URLError, TimeoutError, ValueError) as error:
            raise ModelError(f"{self.id} at {self._url} gave no answer: {error}; is the server running?") from error
        if not done:
            raise ModelError(f"{self.id} at {self._url} stopped in the middle of its answer: ask again")
        yield Reply(content, calls, usage)

    def _asked(self, request: Request) -> urllib.request.Request:
        body: dict[str, Any] = {"model": self.id, "stream": True, "messages": [_message(each) for each in request.messages]}
        if request.tools:
            shown = [{"name": t.name, "description": t.description, "parameters": dict(t.parameters)} for t in request.tools]
            body["tools"] = [{"type": "function", "function": each} for each in shown]
        if request.output_schema is not None:  # a type: the answer has to be JSON of that shape
            body["format"] = TypeAdapter(request.output_schema).json_schema()
        return urllib.request.Request(self._url, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.text}
    parts = [] if isinstance(message.content, str) else message.content
    if images := [part for part in parts if part.type == "image"]:
        said["images"] = [base64.b64encode(part.data).decode() for part in images if part.data]
    if any(part.type == "file" or (part.type == "image" and not part.data) for part in parts):
        raise ModelError("Ollama takes images as data, and nothing by its address: give ImagePart(data=…)")
    if message.tool_calls:
        said["tool_calls"] = [{"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls]
    if message.role == "tool":
        said["tool_name"] = message.name
    return said


class StandIn(BaseHTTPRequestHandler):
    """So much of a server as this example needs."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        last = asked["messages"][-1]
        if last["role"] == "user" and asked.get("tools"):
            name = asked["tools"][0]["function"]["name"]
            call = {"function": {"index": 0, "name": name, "arguments": {"city": "Oslo"}}}
            parts: list[dict[str, Any]] = [{"content": "", "tool_calls": [call]}]
        else:
            parts = [{"content": f"{word} "} for word in f"I was told: {last['content']}".split()]
        self.send_response(200)
        self.end_headers()
        for part in parts:
            self.wfile.write(json.dumps({"message": {"role": "assistant", **part}, "done": False}).encode() + b"\n")
        self.wfile.write(json.dumps({"done": True, "prompt_eval_count": 7, "eval_count": len(parts)}).encode() + b"\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"snow in {city}"


def main(model: Model) -> None:
    agent = Agent(model, tools=[get_weather], db=InMemoryDb(), session_id="weather")
    for event in agent.run("What is the weather in Oslo?", stream=True):
        if event.type == "tool_completed":
            print(f"{event.tool} -> {event.result}")
        elif event.type == "token":
            print(event.text, end="", flush=True)
    print()
    print("tokens:", event.output.metrics["input_tokens"], "in,", event.output.metrics["output_tokens"], "out")


if __name__ == "__main__":
    id = sys.argv[1] if len(sys.argv) > 1 else "llama3.2"
    if host := os.environ.get("OLLAMA_HOST"):
        main(Ollama(id, host))
    else:
        with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            main(Ollama(id, f"http://127.0.0.1:{server.server_port}"))
            server.shutdown()
