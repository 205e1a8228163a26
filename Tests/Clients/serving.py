"""Starts `pbctl engine serve` and knows what it should answer."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PBCTL = os.environ.get("PBCTL", "pbctl")
MODEL = os.environ.get("PBCTL_SAMPLE_MODEL", "")
ADAPTERS = Path(__file__).resolve().parent.parent / "Fixtures" / "smollm2-adapters"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def rendered(messages):
    """What the sample model's chat template makes of messages that lack a system message."""
    text = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    for message in messages:
        text += f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"


class Row:
    """A question, and the greedy answer of transformers and PEFT to it."""

    def __init__(self, adapter, fields):
        self.adapter = adapter
        self.messages = fields["messages"]
        self.prompt = rendered(self.messages)
        self.prompt_ids = fields["prompt_ids"]
        self.output_ids = fields["output_ids"]
        self.text = fields["output_text"]
        # Where the two likeliest tokens are close, quantisation decides: nothing is said about what comes after.
        close = [step for step, margin in enumerate(fields["margin"]) if margin < 0.3]
        self.sure_count = close[0] if close else len(self.output_ids)

    def __repr__(self):
        return f"{self.adapter}: {self.messages[-1]['content'][:40]!r}"


def rows(adapter):
    """Its rows, each question once."""
    lines = (ADAPTERS / adapter / "expected.jsonl").read_text().splitlines()
    by_prompt = {row.prompt: row for row in (Row(adapter, json.loads(line)) for line in lines)}
    return list(by_prompt.values())


class Server:
    """A server of its own, in a folder of its own. `root` is its adapter root; tests may change what is in it."""

    def __init__(self, folder, *arguments, threads=2):
        self.folder = Path(folder)
        self.root = self.folder / "adapters"
        self.root.mkdir(parents=True)
        for adapter in ("sentiment", "shout"):
            self.add(adapter, adapter)
        self.log = []
        environment = {**os.environ, "PBCTL_HOME": str(self.folder / "home")}
        self.process = subprocess.Popen(
            [PBCTL, "engine", "serve", "--model", MODEL, "--port", "0", "--adapter-root", str(self.root),
             "--threads", str(threads), *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment)
        self.url = self._await_ready()
        # Whoever does not read a pipe stops the writer once it is full.
        threading.Thread(target=self._drain, daemon=True).start()
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    def _await_ready(self):
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"http://[\w.\[\]:-]+:\d+", line):
                return found.group()
        raise AssertionError(f"the server ended without a ready line: {''.join(self.log)}")

    def _drain(self):
        for line in self.process.stderr:
            self.log.append(line)

    def add(self, name, of):
        """A copy of one of the trained adapters, under a name, put in place at once."""
        draft = self.folder / f"draft-{name}"
        shutil.copytree(ADAPTERS / of, draft, ignore=shutil.ignore_patterns("expected.jsonl"))
        place = self.root / name
        if place.exists():
            place.rename(self.folder / f"old-{name}-{time.monotonic_ns()}")
        draft.rename(place)
        return place

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def connection(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def post(self, path, body, headers=(), timeout=60):
        """Status, header fields and body of one POST; a body that is no bytes goes out as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connection(timeout)
        try:
            connection.request("POST", path, data, {"Content-Type": "application/json", **dict(headers)})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path, headers=()):
        connection = self.connection()
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    @contextlib.contextmanager
    def stream(self, body, path="/generate_stream"):
        """A generator of the events of a streamed answer, parsed, as they come."""
        connection = self.connection()
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield (json.loads(line[5:]) for line in response if line.startswith(b"data:"))
        finally:
            connection.close()

    def open_stream(self, body, path="/generate_stream"):
        """A socket that has sent a request; read the answer from it, or close it."""
        data = json.dumps(body).encode()
        stream = socket.create_connection((self.host, self.port), timeout=60)
        stream.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return stream

    def gauge(self, name):
        """A value of /metrics, over all labels."""
        text = self.get("/metrics")[2].decode()
        values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                  if re.match(rf"{name}(\{{[^}}]*\}})? ", line)]
        assert values, f"no {name} in /metrics"
        return sum(values)

    def await_idle(self, seconds=20):
        """Waits until nothing runs and nothing waits; fails after so long."""
        end = time.monotonic() + seconds
        while True:
            running, waiting = self.gauge("lorax_batch_current_size"), self.gauge("lorax_queue_length")
            if running == 0 and waiting == 0:
                return
            assert time.monotonic() < end, f"{running} still run and {waiting} wait after {seconds} s"
            time.sleep(0.05)

    def stop(self, seconds=60):
        """Tells it to end and gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end within {seconds} s of SIGTERM") from None


def generate(row, **parameters):
    """Body of /generate for a row's question to its adapter."""
    return {"inputs": row.prompt, "parameters": {
        "adapter_id": row.adapter, "adapter_source": "local", "max_new_tokens": len(row.output_ids) + 4,
        "details": True, **parameters}}


def token_ids(answer):
    return [token["id"] for token in answer["details"]["tokens"]]


def check_tokens(row, ids):
    assert ids[:row.sure_count] == row.output_ids[:row.sure_count]


def events(body):
    """The payloads of a stream of server-sent events; fails where it is framed wrongly."""
    text = body.decode()
    assert text.endswith("\n\n"), text[-80:]
    payloads = []
    for block in text[:-2].split("\n\n"):
        if block.startswith(":"):
            continue
        assert block.startswith("data:") and "\n" not in block, block
        payloads.append(block[5:].lstrip(" "))
    return payloads
