"""The wire itself: curl, framing, header fields, and bodies that no client would send."""
import json
import subprocess

import pytest

from serving import check_tokens, events, generate, rendered, rows, token_ids

ROW = rows("shout")[0]
HELLO = rendered([{"role": "user", "content": "Say hello."}])


def curl(*arguments, data=None):
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


JSON = ("-H", "Content-Type: application/json")


def test_curl_generates(server):
    answer = json.loads(curl(f"{server.url}/generate", *JSON, "-d", json.dumps(generate(ROW))))
    assert answer["generated_text"] == ROW.text
    check_tokens(ROW, token_ids(answer))
    for path in ("/", "/invocations"):
        (answer,) = json.loads(curl(f"{server.url}{path}", *JSON, "-d", json.dumps(generate(ROW))))
        assert answer["generated_text"] == ROW.text


def test_curl_streams(server):
    body = curl("-N", f"{server.url}/generate_stream", *JSON, "-d", json.dumps(generate(ROW)))
    payloads = [json.loads(payload) for payload in events(body)]
    check_tokens(ROW, [payload["token"]["id"] for payload in payloads])
    assert set(payloads[0]["token"]) >= {"id", "text", "logprob", "special", "skipped"}
    assert payloads[-1]["generated_text"] == ROW.text
    assert b"[DONE]" not in body
    body = curl("-N", f"{server.url}/", *JSON, "-d", json.dumps({**generate(ROW), "stream": True}))
    assert json.loads(events(body)[-1])["generated_text"] == ROW.text


def test_openai_streams_end_with_done(server):
    body = curl("-N", f"{server.url}/v1/completions", *JSON, "-d", json.dumps(
        {"model": "shout", "prompt": ROW.prompt, "max_tokens": 20, "temperature": 0, "stream": True}))
    payloads = events(body)
    assert payloads[-1] == "[DONE]"
    assert "".join(json.loads(payload)["choices"][0]["text"] for payload in payloads[:-1]) == ROW.text


def test_health_info_and_tokens(server):
    for path in ("/health", "/ping", "/startup"):
        assert server.get(path)[0] == 200
    info = json.loads(server.get("/info")[2])
    assert {"model_id", "max_concurrent_requests", "max_input_length", "max_total_tokens", "version"} <= set(info)
    status, _, body = server.post("/tokenize", {"inputs": ROW.prompt})
    tokens = json.loads(body)
    assert status == 200 and [token["id"] for token in tokens] == ROW.prompt_ids
    plain = json.loads(server.post("/tokenize", {"inputs": "a red house"})[2])
    # Half-open ranges of characters, in order.
    assert plain[0]["start"] == 0 and plain[-1]["stop"] == len("a red house")
    assert all(one["stop"] <= two["start"] or one["stop"] == two["start"] for one, two in zip(plain, plain[1:]))


def test_answers_carry_their_times(server):
    status, headers, body = server.post("/generate", generate(ROW))
    assert status == 200
    for name in ("x-compute-type", "x-compute-time", "x-total-time", "x-queue-time", "x-inference-time",
                 "x-validation-time", "x-time-per-token", "x-prompt-tokens", "x-generated-tokens", "x-model-id"):
        assert name in headers, name
    assert int(headers["x-prompt-tokens"]) == len(ROW.prompt_ids)
    assert int(headers["x-generated-tokens"]) == len(ROW.output_ids)
    assert int(headers["x-total-time"]) >= int(headers["x-inference-time"])
    assert headers["x-adapter-id"] == "shout"
    assert "x-adapter-id" not in server.post("/generate", {"inputs": HELLO, "parameters": {"max_new_tokens": 1}})[1]


def test_streams_are_event_streams(server):
    stream = server.connection()
    stream.request("POST", "/generate_stream", json.dumps(generate(ROW)),
                   {"Content-Type": "application/json"})
    response = stream.getresponse()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    response.read()
    # The connection stays good for the next request.
    stream.request("GET", "/health")
    assert stream.getresponse().status == 200
    stream.close()


def test_metrics_count_requests(server):
    server.post("/generate", {"inputs": HELLO, "parameters": {"max_new_tokens": 1}})
    before = server.gauge("lorax_request_success")
    server.post("/generate", {"inputs": HELLO, "parameters": {"max_new_tokens": 1}})
    assert server.gauge("lorax_request_success") == before + 1
    assert json.loads(server.get("/metrics", {"Accept": "application/json"})[2])


def still_serves(server):
    status, _, body = server.post("/generate", generate(ROW))
    assert status == 200 and json.loads(body)["generated_text"] == ROW.text


def test_a_body_of_100_megabytes_is_turned_away(server, tmp_path):
    body = tmp_path / "body.json"
    with open(body, "wb") as file:
        file.write(b'{"inputs": "')
        file.truncate(100_000_000)
    code = ("-o", str(tmp_path / "answer"), "-w", "%{http_code}", "--data-binary", f"@{body}")
    before = server.rss_bytes()
    for more in ((), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked", "-H", "Expect:")):
        # Whoever does not wait for leave may see the connection end under its feet; the status comes first.
        result = subprocess.run(["curl", "-s", "--max-time", "60", *code, *JSON, *more, f"{server.url}/generate"],
                                capture_output=True, text=True)
        assert result.stdout == "413", (more, result)
    assert server.rss_bytes() - before < 50_000_000
    still_serves(server)


DEEP = 200_000
BOMBS = [
    b'{"inputs":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b"[" * 1_900_000,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"inputs":"x","parameters":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    b'{"inputs":"x","parameters":{"max_new_tokens":' + b"9" * 1_000_000 + b"}}",
    b'{"inputs":"x","parameters":{"temperature":1e999999}}',
    b'{"inputs":"\\ud800","parameters":{"max_new_tokens":"1"}}',
    b'{"inputs":"x"',
    b'{"inputs":"x"} trailing',
    b"\xff\xfe\x00",
    b"",
    b"null",
    b"[]",
]


@pytest.mark.parametrize("body", BOMBS, ids=lambda body: repr(body[:24]))
@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/chat/completions"])
def test_what_is_no_request_is_refused(server, path, body):
    status, _, answer = server.post(path, body)
    # LoRAX checks values inside the stream, when its status has been sent.
    in_stream = path == "/generate_stream" and status == 200 and b'"error_type":"validation"' in answer
    assert 400 <= status < 500 or in_stream, answer[:200]
    assert answer


def test_bodies_need_their_content_type(server):
    assert server.post("/generate", {"inputs": "x"}, {"Content-Type": "text/plain"})[0] == 415


NATIVE_TYPES = {
    "adapter_id": [5, [], {}], "adapter_source": [5, "elsewhere"], "merged_adapters": ["x", [], {"ids": "x"}],
    "api_token": [5], "do_sample": ["yes", 1], "max_new_tokens": ["5", -1, 1.5, [], True],
    "ignore_eos_token": ["true"], "best_of": ["2", -1], "repetition_penalty": ["1", 0, -1], "temperature": ["hot", -1],
    "frequency_penalty": [9, "1"], "presence_penalty": [-9, "1"], "top_k": ["4", 0, 1.5], "top_p": [0, 2, "1"],
    "typical_p": [0, 1, "x"], "seed": ["1", -1, 1.5], "stop": ["text", [1], {}], "truncate": [0, "1"],
    "return_full_text": ["no"], "watermark": ["no"], "details": ["yes"], "decoder_input_details": [3],
    "return_k_alternatives": [0, "3"], "response_format": [5, "json"],
}


@pytest.mark.parametrize("field", NATIVE_TYPES)
def test_wrong_values_in_native_parameters_are_refused(server, field):
    for value in NATIVE_TYPES[field]:
        body = {"inputs": HELLO, "parameters": {"max_new_tokens": 1, field: value}}
        if value == "elsewhere":
            # A source matters where there is an adapter to find.
            body["parameters"]["adapter_id"] = "shout"
        status, _, answer = server.post("/generate", body)
        expected = (424,) if value == "elsewhere" else (422,)
        assert status in expected, (value, status, answer[:200])


@pytest.mark.parametrize("body", [{}, {"inputs": 5}, {"inputs": ""}, {"inputs": None}, {"inputs": ["a"]},
                                  {"inputs": "x", "parameters": "x"}, {"inputs": "x", "parameters": [1]}], ids=repr)
def test_wrong_native_bodies_are_refused(server, body):
    assert server.post("/generate", body)[0] == 422


OPENAI_TYPES = {
    "model": [5, []], "messages": ["x", [], [5], [{"role": "user"}], [{"role": 5, "content": "x"}],
                                   [{"content": "x"}], [{"role": "user", "content": 5}]],
    "max_tokens": ["5", 0, -1, 1.5], "max_completion_tokens": ["5", 0], "temperature": ["hot", -1, 3],
    "top_p": ["1", -1, 2], "n": ["1", 0, -1, 1.5, 100_000], "stop": [5, [5], {}], "stream": ["yes", 1],
    "stream_options": [5], "logprobs": ["yes"], "top_logprobs": ["3", -1, 1000], "logit_bias": [5, {"x": 1}, {"1": "x"}],
    "seed": ["1", 1.5], "presence_penalty": ["1", 9], "frequency_penalty": ["1", -9],
}


@pytest.mark.parametrize("field", OPENAI_TYPES)
def test_wrong_values_in_openai_fields_are_refused(server, field):
    for value in OPENAI_TYPES[field]:
        body = {"model": "shout", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1, field: value}
        if field == "top_logprobs":
            body["logprobs"] = True
        status, _, answer = server.post("/v1/chat/completions", body)
        assert status in (400, 422), (value, status, answer[:200])
        error = json.loads(answer)["error"]
        assert error["message"] and error["type"] == "invalid_request_error", value


def test_null_is_unset_everywhere(server):
    body = generate(ROW, **{field: None for field in NATIVE_TYPES if field not in (
        "adapter_id", "adapter_source", "max_new_tokens", "details")})
    status, _, answer = server.post("/generate", body)
    assert status == 200 and json.loads(answer)["generated_text"] == ROW.text


def test_an_adapter_and_a_merge_exclude_each_other(server):
    status, _, answer = server.post("/generate", generate(
        ROW, merged_adapters={"ids": ["shout"], "weights": [1.0], "density": 1.0}))
    assert status == 422
    assert json.loads(answer) == {
        "error": "Input validation error: at most one of `adapter_id` or `adapters` may be provided",
        "error_type": "validation"}


@pytest.mark.parametrize("merge", [
    {"ids": ["shout"], "weights": [1.0], "merge_strategy": "average"},
    {"ids": ["shout"], "weights": [1.0], "merge_strategy": "ties", "majority_sign_method": "loudest"},
    {"ids": ["shout"], "weights": [1.0, 2.0]}, {"ids": [], "weights": []},
    {"ids": ["shout", "nobody"], "weights": [1.0, 1.0]},
    {"ids": ["shout"], "weights": [1.0], "merge_strategy": "ties", "density": -1.0},
], ids=repr)
def test_merges_that_cannot_be_are_refused_and_harm_nobody(server, merge):
    status, _, answer = server.post("/generate", {
        "inputs": HELLO, "parameters": {"max_new_tokens": 1, "adapter_source": "local", "merged_adapters": merge}})
    assert status in (422, 424), answer
    # In LoRAX an unknown strategy ended the task that loads adapters, and with it all loads after it.
    server.add("after-a-bad-merge", "shout")
    status, _, answer = server.post("/generate", {**generate(ROW, adapter_id="after-a-bad-merge")})
    assert status == 200 and json.loads(answer)["generated_text"] == ROW.text


def test_cat_merges_adapters_of_different_ranks(server):
    """A weight of 0 leaves the other adapter as it is."""
    status, _, answer = server.post("/generate", {"inputs": ROW.prompt, "parameters": {
        "max_new_tokens": 24, "adapter_source": "local",
        "merged_adapters": {"ids": ["shout", "sentiment"], "weights": [1.0, 0.0], "merge_strategy": "cat"}}})
    assert status == 200 and json.loads(answer)["generated_text"] == ROW.text


def test_pipelined_rubbish_is_no_request(server):
    with server.open_stream({"inputs": HELLO, "parameters": {"max_new_tokens": 1}}, "/generate") as stream:
        stream.sendall(b"\x00\x01\x02 rubbish\r\n\r\n")
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
    # It may be seen before the answer is out.
    assert answer.startswith(b"HTTP/1.") and answer[9:12] in (b"200", b"400")
    still_serves(server)


def test_unknown_paths_and_methods_are_told(server):
    assert server.get("/nothing")[0] == 404
    assert server.post("/health", {})[0] in (404, 405)
    assert server.get("/generate")[0] in (404, 405)
