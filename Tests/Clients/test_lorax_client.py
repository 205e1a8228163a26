"""lorax-client against our server."""
import asyncio
import threading
import time

import lorax
import pytest
from lorax.errors import GenerationError, OverloadedError, ValidationError

from serving import check_tokens, rendered, rows

ROWS = [*rows("sentiment"), *rows("shout")]
HELLO = rendered([{"role": "user", "content": "Say hello."}])


@pytest.fixture
def client(server):
    return lorax.Client(server.url, timeout=60)


def ask(client, row, **options):
    return client.generate(row.prompt, adapter_id=row.adapter, adapter_source="local",
                           max_new_tokens=len(row.output_ids) + 4, **options)


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_adapters_answer_as_they_were_trained(client, row):
    answer = ask(client, row)
    check_tokens(row, [token.id for token in answer.details.tokens])
    assert answer.generated_text == row.text
    assert answer.details.finish_reason == lorax.types.FinishReason.EndOfSequenceToken
    assert answer.details.prompt_tokens == len(row.prompt_ids)
    assert answer.details.generated_tokens == len(row.output_ids)


def test_the_base_model_answers_otherwise(client):
    row = rows("shout")[0]
    answer = client.generate(row.prompt, max_new_tokens=12)
    assert [token.id for token in answer.details.tokens][:3] != row.output_ids[:3]
    assert len(answer.details.tokens) <= 12


def test_details_hold_what_was_generated(client):
    answer = client.generate(HELLO, max_new_tokens=6, decoder_input_details=True, return_k_alternatives=3)
    details = answer.details
    assert details.generated_tokens == len(details.tokens) <= 6
    assert "".join(token.text for token in details.tokens if not token.special) == answer.generated_text
    assert all(token.logprob <= 0 for token in details.tokens)
    assert [token.text for token in details.prefill][:2] == ["<|im_start|>", "system"]
    assert len(details.prefill) == details.prompt_tokens
    for token in details.tokens:
        assert len(token.alternative_tokens) == 3
        # Greedy: no alternative is likelier than the token.
        assert max(other.logprob for other in token.alternative_tokens) <= token.logprob + 1e-4


def test_answers_without_details_have_none(client):
    assert client.generate(HELLO, max_new_tokens=2, details=False).details is None


def test_stop_sequences_end_an_answer(client):
    row = next(row for row in rows("shout") if row.text == "THE SKY IS BLUE!")
    answer = ask(client, row, stop_sequences=[" IS"])
    assert answer.details.finish_reason == lorax.types.FinishReason.StopSequence
    # LoRAX keeps the stop sequence in the text.
    assert answer.generated_text in ("THE SKY IS", "THE SKY")


def test_a_seed_repeats_a_sampled_answer(client):
    answers = [client.generate(HELLO, max_new_tokens=16, do_sample=True, temperature=1.5, seed=seed).generated_text
               for seed in (1, 1, 2, 3, 4)]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


def test_full_text_begins_with_the_prompt(client):
    answer = client.generate("Once upon a time", max_new_tokens=4, return_full_text=True)
    assert answer.generated_text.startswith("Once upon a time")


def test_best_of_gives_all_candidates(client):
    answer = client.generate(HELLO, max_new_tokens=4, best_of=2, do_sample=True, temperature=1.0)
    assert len(answer.details.best_of_sequences) == 1

    def mean(tokens):
        return sum(token.logprob for token in tokens) / len(tokens)

    assert mean(answer.details.tokens) >= mean(answer.details.best_of_sequences[0].tokens)


@pytest.mark.parametrize("row", [rows("sentiment")[0], rows("shout")[0]], ids=repr)
def test_streams_bring_the_same_tokens(client, row):
    replies = list(client.generate_stream(row.prompt, adapter_id=row.adapter, adapter_source="local",
                                          max_new_tokens=len(row.output_ids) + 4))
    check_tokens(row, [reply.token.id for reply in replies])
    assert [reply.generated_text for reply in replies[:-1]] == [None] * (len(replies) - 1)
    assert replies[-1].generated_text == row.text
    assert replies[-1].details.generated_tokens == len(replies)
    assert replies[-1].details.prompt_tokens == len(row.prompt_ids)
    assert "".join(reply.token.text for reply in replies if not reply.token.special) == row.text


def test_asynchronous_clients_are_served_together(server):
    async def run():
        client = lorax.AsyncClient(server.url, timeout=1)

        async def whole(row):
            return (await client.generate(row.prompt, adapter_id=row.adapter, adapter_source="local",
                                          max_new_tokens=len(row.output_ids) + 4)).generated_text

        async def streamed(row):
            replies = [reply async for reply in client.generate_stream(
                row.prompt, adapter_id=row.adapter, adapter_source="local",
                max_new_tokens=len(row.output_ids) + 4)]
            return replies[-1].generated_text

        return await asyncio.gather(*[whole(row) for row in ROWS], *[streamed(row) for row in ROWS])

    assert asyncio.run(run()) == [row.text for row in ROWS] * 2


def merged(ids, weights, strategy="linear", density=1.0):
    return lorax.MergedAdapters(ids=ids, weights=weights, merge_strategy=strategy, density=density)


def test_a_merge_of_halves_is_the_whole(server, client):
    """PEFT scales both factors by the root of the weight: two quarters of one adapter add up to it."""
    server.add("sentiment-twin", "sentiment")
    for row in rows("sentiment")[:3]:
        answer = client.generate(row.prompt, adapter_source="local", max_new_tokens=6,
                                 merged_adapters=merged(["sentiment", "sentiment-twin"], [0.25, 0.25]))
        assert answer.generated_text == row.text


def test_a_merge_of_different_ranks_is_refused(client):
    with pytest.raises((GenerationError, ValidationError), match="rank"):
        client.generate(HELLO, adapter_source="local", max_new_tokens=2,
                        merged_adapters=merged(["sentiment", "shout"], [0.5, 0.5]))


def test_requests_that_cannot_be_are_validation_errors(client):
    with pytest.raises(ValidationError, match="must be <="):
        client.generate(HELLO, max_new_tokens=1_000_000)
    with pytest.raises(ValidationError, match="strictly positive"):
        client.generate(HELLO, max_new_tokens=0)
    with pytest.raises(ValidationError, match="tokens"):
        client.generate("word " * 20_000, max_new_tokens=1)


def test_streams_bring_validation_errors_too(client):
    with pytest.raises(ValidationError, match="must be <="):
        list(client.generate_stream(HELLO, max_new_tokens=1_000_000))


def test_unknown_adapters_are_generation_errors(client):
    with pytest.raises(GenerationError, match="no-such-adapter"):
        client.generate(HELLO, adapter_id="no-such-adapter", adapter_source="local", max_new_tokens=1)
    with pytest.raises(GenerationError, match="no-such-adapter"):
        list(client.generate_stream(HELLO, adapter_id="no-such-adapter", adapter_source="local", max_new_tokens=1))


def test_a_full_server_says_so(own_server):
    server = own_server("--max-concurrent-requests", "2")
    busy = [server.open_stream({"inputs": HELLO, "parameters": {"max_new_tokens": 600, "ignore_eos_token": True}})
            for _ in range(2)]
    for stream in busy:
        assert stream.recv(64).startswith(b"HTTP/1.1 200")
    client = lorax.Client(server.url, timeout=60)
    with pytest.raises(OverloadedError):
        client.generate(HELLO, max_new_tokens=1)
    status, headers, _ = server.post("/v1/completions", {"model": "", "prompt": "x", "max_tokens": 1})
    assert status == 429 and int(headers["Retry-After"]) >= 1
    for stream in busy:
        stream.close()
    server.await_idle()
    # The engine is idle a moment before the places of those who left are free.
    for _ in range(50):
        status, _, _ = server.post("/generate", {"inputs": HELLO, "parameters": {"max_new_tokens": 1}})
        if status == 200:
            break
        time.sleep(0.1)
    assert status == 200


def test_embeddings_have_the_models_width(client):
    first, same, other = (client.embed(text).embeddings for text in ("a cat", "a cat", "quantum physics"))
    assert len(first) == 576
    assert first == same and first != other


def test_threads_may_share_a_server(server):
    texts = {}

    def work(row):
        texts[row.prompt] = ask(lorax.Client(server.url, timeout=60), row).generated_text

    threads = [threading.Thread(target=work, args=(row,)) for row in ROWS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {row.prompt: row.text for row in ROWS}
