"""The openai package against our server."""
import asyncio
import base64
import struct
import time

import httpx
import openai
import pytest

from serving import rendered, rows

ROWS = [*rows("sentiment"), *rows("shout")]
MESSAGES = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def base(client):
    """The base model's name, as the server lists it."""
    return next(model.id for model in client.models.list() if model.owned_by != "adapter")


def test_models_are_listed(client, base):
    listed = {model.id: model for model in client.models.list()}
    assert {"sentiment", "shout"} <= set(listed)
    assert all(model.object == "model" for model in listed.values())
    assert client.models.retrieve("sentiment").id == "sentiment"
    assert client.models.retrieve(base).id == base
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_adapters_answer_chats(client, row):
    answer = client.chat.completions.create(
        model=row.adapter, messages=row.messages, temperature=0, max_completion_tokens=len(row.output_ids) + 4)
    assert answer.choices[0].message.content == row.text
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert abs(answer.created - time.time()) < 600
    assert answer.usage.prompt_tokens == len(row.prompt_ids)
    assert answer.usage.completion_tokens in (len(row.output_ids), len(row.output_ids) - 1)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_completions_take_texts_lists_and_ids(client):
    row = rows("shout")[0]
    one = client.completions.create(model="shout", prompt=row.prompt, temperature=0, max_tokens=20)
    assert one.choices[0].text == row.text and one.object == "text_completion"
    assert one.choices[0].finish_reason == "stop"
    ids = client.completions.create(model="shout", prompt=row.prompt_ids, temperature=0, max_tokens=20)
    assert ids.choices[0].text == row.text
    several = client.completions.create(
        model="shout", prompt=[row.prompt for row in rows("shout")[:3]], temperature=0, max_tokens=20)
    assert [choice.text for choice in sorted(several.choices, key=lambda choice: choice.index)] == [
        row.text for row in rows("shout")[:3]]
    both = client.completions.create(model="shout", prompt=[row.prompt_ids, row.prompt_ids], temperature=0,
                                     max_tokens=20)
    assert [choice.text for choice in both.choices] == [row.text] * 2


def test_length_is_told(client, base):
    answer = client.chat.completions.create(model=base, messages=MESSAGES, max_tokens=3, temperature=0)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3


def test_n_gives_so_many_choices(client, base):
    answer = client.chat.completions.create(
        model=base, messages=MESSAGES, n=3, max_tokens=8, temperature=1.5, seed=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage.completion_tokens > 8


def test_a_seed_repeats(client, base):
    texts = [client.chat.completions.create(
        model=base, messages=MESSAGES, max_tokens=12, temperature=1.5, seed=seed).choices[0].message.content
        for seed in (5, 5, 6, 7)]
    assert texts[0] == texts[1] and len(set(texts)) > 1


@pytest.mark.parametrize("as_list", [False, True])
def test_stop_ends_before_the_text(client, as_list):
    row = next(row for row in rows("shout") if row.text == "THE SKY IS BLUE!")
    stop = [" IS", "zzz"] if as_list else " IS"
    answer = client.chat.completions.create(
        model="shout", messages=row.messages, temperature=0, max_tokens=20, stop=stop)
    assert answer.choices[0].message.content == "THE SKY"
    assert answer.choices[0].finish_reason == "stop"


def test_logprobs_are_of_the_tokens(client):
    row = rows("shout")[0]
    chat = client.chat.completions.create(
        model="shout", messages=row.messages, temperature=0, max_tokens=20, logprobs=True, top_logprobs=3)
    content = chat.choices[0].logprobs.content
    assert "".join(item.token for item in content if not item.token.startswith("<|")) == row.text
    for item in content:
        assert len(item.top_logprobs) == 3 and item.logprob == item.top_logprobs[0].logprob <= 0
        assert item.top_logprobs[0].logprob >= item.top_logprobs[1].logprob >= item.top_logprobs[2].logprob
    text = client.completions.create(model="shout", prompt=row.prompt, temperature=0, max_tokens=20, logprobs=2)
    logprobs = text.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs)
    assert all(value <= 0 for value in logprobs.token_logprobs)
    assert logprobs.token_logprobs[0] == pytest.approx(content[0].logprob, abs=1e-3)


def test_bias_forbids_a_token(client):
    row = rows("sentiment")[0]
    answer = client.chat.completions.create(
        model="sentiment", messages=row.messages, temperature=0, max_tokens=4,
        logit_bias={str(row.output_ids[0]): -100})
    assert answer.choices[0].message.content != row.text


def test_chat_streams_are_right(client):
    row = rows("shout")[0]
    chunks = list(client.chat.completions.create(
        model="shout", messages=row.messages, temperature=0, max_tokens=20, stream=True,
        stream_options={"include_usage": True}))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens == len(row.prompt_ids)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    deltas = [chunk.choices[0] for chunk in chunks[:-1]]
    assert deltas[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in deltas) == row.text
    assert [choice.finish_reason for choice in deltas if choice.finish_reason] == ["stop"]
    assert deltas[-1].finish_reason == "stop"


def test_completion_streams_without_usage(client):
    row = rows("shout")[0]
    chunks = list(client.completions.create(
        model="shout", prompt=row.prompt, temperature=0, max_tokens=20, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == row.text
    assert all(chunk.usage is None for chunk in chunks)


def test_streams_of_several_choices_keep_them_apart(client, base):
    texts = {}
    for chunk in client.chat.completions.create(
            model=base, messages=MESSAGES, n=2, max_tokens=8, temperature=1.2, seed=1, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert set(texts) == {0, 1} and all(texts.values())


def test_asynchronous_clients_are_served_together(server):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
            async def whole(row):
                answer = await client.chat.completions.create(
                    model=row.adapter, messages=row.messages, temperature=0, max_tokens=24)
                return answer.choices[0].message.content

            async def streamed(row):
                stream = await client.completions.create(
                    model=row.adapter, prompt=row.prompt, temperature=0, max_tokens=24, stream=True)
                return "".join([chunk.choices[0].text async for chunk in stream if chunk.choices])

            return await asyncio.gather(*[whole(row) for row in ROWS], *[streamed(row) for row in ROWS])

    assert asyncio.run(run()) == [row.text for row in ROWS] * 2


def test_embeddings_are_the_same_in_both_forms(client, base):
    plain = client.embeddings.create(model=base, input=["a cat", "a dog"], encoding_format="float")
    packed = client.embeddings.create(model=base, input=["a cat", "a dog"], encoding_format="base64")
    assert [item.index for item in plain.data] == [0, 1]
    assert plain.usage.prompt_tokens > 0
    for float_item, text_item in zip(plain.data, packed.data):
        values = struct.unpack("<576f", base64.b64decode(text_item.embedding))
        assert len(float_item.embedding) == 576
        assert list(values) == pytest.approx(float_item.embedding, abs=1e-5)
    # Without a format the package asks for base64 and unpacks it.
    assert client.embeddings.create(model=base, input="a cat").data[0].embedding == pytest.approx(
        plain.data[0].embedding, abs=1e-5)


def test_mistakes_are_the_packages_errors(client, base):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert caught.value.code == "model_not_found" and "no-such-model" in caught.value.message
    for wrong in ({"temperature": -1}, {"top_p": 2}, {"n": 0}, {"max_tokens": -5}, {"logprobs": False,
                  "top_logprobs": 2}, {"frequency_penalty": 9}):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=base, messages=MESSAGES, **wrong)
        assert caught.value.type == "invalid_request_error", wrong
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=base, messages=[])
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=base, prompt="word " * 20_000)
    with pytest.raises(openai.NotFoundError):
        client.get("/nothing", cast_to=httpx.Response)


def test_what_is_not_there_yet_is_told(client, base):
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(
            model=base, messages=MESSAGES, response_format={"type": "json_object"})
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(
            model=base, messages=MESSAGES,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])


def test_chat_and_completion_are_the_same_prompt(client, base):
    chat = client.chat.completions.create(model=base, messages=MESSAGES, temperature=0, max_tokens=12)
    text = client.completions.create(model=base, prompt=rendered(MESSAGES), temperature=0, max_tokens=12)
    assert chat.choices[0].message.content == text.choices[0].text
    assert chat.usage.prompt_tokens == text.usage.prompt_tokens
