"""What a server goes through: clients that leave, adapters that change, ids that lead elsewhere, and its end."""
import concurrent.futures
import json
import shutil
import signal
import socket
import threading
import time

import pytest

from serving import ADAPTERS, check_tokens, generate, rendered, rows, token_ids

ROW = rows("shout")[0]
HELLO = rendered([{"role": "user", "content": "Say hello."}])
ENDLESS = {"max_new_tokens": 400, "ignore_eos_token": True}


def answer(server, body):
    status, _, text = server.post("/generate", body)
    assert status == 200, text
    return json.loads(text)


def test_mixed_adapters_answer_alike_alone_and_together(server):
    """A batch of base and adapters gives each the tokens that it would get by itself."""
    bodies = []
    for row in [*rows("sentiment"), *rows("shout")]:
        bodies.append(generate(row, ignore_eos_token=True, max_new_tokens=24))
        base = generate(row, ignore_eos_token=True, max_new_tokens=24)
        del base["parameters"]["adapter_id"]
        bodies.append(base)
    alone = [token_ids(answer(server, body)) for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        together = list(pool.map(lambda body: token_ids(answer(server, body)), bodies))
    assert together == alone
    assert len({tuple(ids) for ids in alone}) > len(bodies) / 2


def test_a_thousand_clients_that_leave_hold_nothing(server):
    def leave(number):
        body = {"inputs": f"{number} {HELLO}", "parameters": ENDLESS}
        if number % 2:
            body["parameters"] = {**ENDLESS, "adapter_id": "shout", "adapter_source": "local"}
        with server.open_stream(body) as stream:
            if number % 3 == 0:
                stream.recv(256)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(leave, range(1000)))
    server.await_idle()
    assert answer(server, generate(ROW))["generated_text"] == ROW.text


def test_a_client_that_leaves_frees_its_place_at_once(server):
    stream = server.open_stream({"inputs": HELLO, "parameters": {"max_new_tokens": 2000, "ignore_eos_token": True}})
    assert stream.recv(256)
    # The head of the answer comes before the first step.
    for _ in range(200):
        if server.gauge("lorax_batch_current_size") >= 1:
            break
        time.sleep(0.02)
    else:
        pytest.fail("it never ran")
    stream.close()
    # 2,000 tokens would take many times as long.
    server.await_idle(seconds=3)


def test_a_client_that_does_not_read_holds_up_nobody(server):
    # Some 2 KB a token: more than the sockets between us hold.
    slow = server.open_stream({
        "model": "shout", "messages": ROW.messages, "max_tokens": 4000, "ignore_eos_token": True, "stream": True,
        "logprobs": True, "top_logprobs": 20}, "/v1/chat/completions")
    assert slow.recv(16).startswith(b"HTTP/1.1 200")
    for _ in range(5):
        for row in rows("shout")[:3]:
            check_tokens(row, token_ids(answer(server, generate(row))))
    slow.close()
    server.await_idle()


def test_ten_thousand_unknown_ids_leave_no_trace(server):
    def ask(numbers):
        connection = server.connection()
        for number in numbers:
            body = json.dumps({"inputs": "x", "parameters": {
                "adapter_id": f"nobody-{number}", "adapter_source": "local", "max_new_tokens": 1}})
            connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            assert response.status == 424, text
        connection.close()

    def burst(start, count, ways=4):
        with concurrent.futures.ThreadPoolExecutor(ways) as pool:
            list(pool.map(ask, [range(start + way, start + count, ways) for way in range(ways)]))

    burst(0, 1000)
    before = server.rss_bytes()
    burst(1000, 10_000)
    assert server.rss_bytes() - before < 32_000_000
    assert len(server.get("/metrics")[2]) < 1_000_000
    assert answer(server, generate(ROW))["generated_text"] == ROW.text


def test_changed_weights_under_one_id_are_seen(server):
    sentiment = rows("sentiment")[0]
    server.add("changing", "sentiment")
    assert answer(server, generate(sentiment, adapter_id="changing"))["generated_text"] == sentiment.text
    server.add("changing", "shout")
    assert answer(server, generate(ROW, adapter_id="changing"))["generated_text"] == ROW.text
    server.add("changing", "sentiment")
    assert answer(server, generate(sentiment, adapter_id="changing"))["generated_text"] == sentiment.text


def test_an_adapter_may_go_while_it_is_used(server):
    folder = server.add("doomed", "shout")
    body = generate(ROW, adapter_id="doomed", max_new_tokens=120, ignore_eos_token=True)
    expected = token_ids(answer(server, body))
    with server.stream(body) as replies:
        ids = [next(replies)["token"]["id"]]
        shutil.rmtree(folder)
        ids += [reply["token"]["id"] for reply in replies]
    assert ids == expected
    status, _, text = server.post("/generate", body)
    assert status == 424 and b"doomed" in text
    assert answer(server, generate(ROW))["generated_text"] == ROW.text


@pytest.fixture
def outside(server):
    """A good adapter beside the root, and ways to it."""
    place = server.folder / "outside"
    if not place.exists():
        shutil.copytree(ADAPTERS / "shout", place)
        (server.root / "link").symlink_to(place)
        (server.root / "inner").mkdir()
        (server.root / "inner" / "link").symlink_to(server.folder)
    return place


@pytest.mark.parametrize("form", [
    "../outside", "sentiment/../../outside", "./../outside", "inner/link/outside", "link", "{place}", "//{place}",
    "..", ".", "", "/", "../adapters/../outside", "sentiment\x00/../../outside", "..%2foutside", "a" * 5000,
    "~root", "file://{place}", "sentiment/adapter_config.json", "..\\outside",
], ids=repr)
def test_ids_stay_in_their_root(server, outside, form):
    identity = form.format(place=outside) if "{place}" in form else form
    for path in ("/generate", "/v1/completions"):
        if path == "/generate":
            body = generate(ROW, adapter_id=identity)
        else:
            body = {"model": identity, "prompt": ROW.prompt, "max_tokens": 24, "temperature": 0}
        status, _, text = server.post(path, body)
        if identity == "":
            # No id is the base model.
            assert status == 200
        else:
            assert 400 <= status < 500, text
        assert ROW.text not in text.decode()


def broken_adapters():
    """Names, and what is done to a copy of an adapter."""
    def truncate(folder):
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100_000])

    def edit(**fields):
        def change(folder):
            path = folder / "adapter_config.json"
            config = {**json.loads(path.read_text()), **fields}
            path.write_text(json.dumps({name: value for name, value in config.items() if value != "gone"}))
        return change

    def poison(folder):
        weights = folder / "adapter_model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-4:] = b"\x00\x00\xc0\x7f"
        weights.write_bytes(data)

    return {
        "truncated": truncate, "no-r": edit(r="gone"), "rank-0": edit(r=0), "rank-text": edit(r="8"),
        "not-json": lambda folder: (folder / "adapter_config.json").write_text("{"),
        "no-weights": lambda folder: (folder / "adapter_model.safetensors").unlink(),
        "no-config": lambda folder: (folder / "adapter_config.json").unlink(),
        "nan": poison, "other-type": edit(peft_type="IA3"),
    }


@pytest.mark.parametrize("name", broken_adapters())
def test_broken_adapters_are_named_and_harm_nobody(server, name):
    broken_adapters()[name](server.add(f"broken-{name}", "shout"))
    status, _, text = server.post("/generate", generate(ROW, adapter_id=f"broken-{name}"))
    assert status == 424, text
    assert json.loads(text)["error_type"] == "generation"
    assert answer(server, generate(ROW))["generated_text"] == ROW.text
    # Mended under the same id, it works.
    server.add(f"broken-{name}", "shout")
    assert answer(server, generate(ROW, adapter_id=f"broken-{name}"))["generated_text"] == ROW.text


def test_one_signal_drains(own_server):
    server = own_server()
    refused = threading.Event()

    def ask_until_refused():
        while not refused.is_set():
            try:
                status, _, _ = server.post("/generate", {"inputs": HELLO, "parameters": {"max_new_tokens": 1}})
                if status == 503:
                    refused.set()
            except OSError:
                refused.set()

    asking = threading.Thread(target=ask_until_refused, daemon=True)
    with server.stream({"inputs": HELLO, "parameters": {**ENDLESS, "max_new_tokens": 600}}) as replies:
        assert next(replies)["token"]
        server.process.send_signal(signal.SIGTERM)
        asking.start()
        # The rest of the answer comes whole, and new requests are refused before its end.
        rest = list(replies)
        assert refused.is_set()
    assert len(rest) == 599
    assert rest[-1]["generated_text"]
    assert server.process.wait(30) == 0
    asking.join(5)


def test_a_second_signal_ends_it(own_server):
    server = own_server()
    with server.stream({"inputs": HELLO, "parameters": {**ENDLESS, "max_new_tokens": 6000}}) as replies:
        assert next(replies)["token"]
        server.process.send_signal(signal.SIGTERM)
        # It goes on after the first.
        for _ in range(20):
            assert next(replies)["token"]
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(10)


def test_clients_that_say_nothing_hold_up_nobody(server):
    silent = [socket.create_connection((server.host, server.port)) for _ in range(50)]
    for one in silent[:25]:
        one.sendall(b"POST /generate HTTP/1.1\r\nContent-Length: 100\r\n")
    assert answer(server, generate(ROW))["generated_text"] == ROW.text
    for one in silent:
        one.close()


def test_header_bombs_are_refused(server):
    with socket.create_connection((server.host, server.port), timeout=30) as bomb:
        received = b""
        try:
            bomb.sendall(b"GET /health HTTP/1.1\r\n" + b"".join(
                b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(5000)) + b"\r\n")
            received = bomb.recv(4096)
        except OSError:
            pass  # It may close the connection while we still send.
    assert not received or received[9:12] in (b"431", b"400", b"413")
    assert server.get("/health")[0] == 200
