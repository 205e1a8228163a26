"""Runs pbctl and llama.cpp in turn and prints a table of medians; see scripts/bench-cpu."""
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

PBCTL, MODEL, THREADS = os.environ["PBCTL"], os.environ["MODEL"], os.environ["THREADS"]
ROUNDS, LLAMA = int(os.environ["ROUNDS"]), os.environ["LLAMA_BIN"]
STREAMS = [1, 8, 32]


def measured(command):
    """Output, wall seconds and peak memory (KiB) of one run."""
    started = time.monotonic()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.close(read)
        os.execv(command[0], command)
    os.close(write)
    with os.fdopen(read) as output:
        text = output.read()
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: ended with status {status}")
    return text, time.monotonic() - started, usage.ru_maxrss


def ours(prompt, output, streams):
    text, _, rss = measured(
        [PBCTL, "bench", "engine", "--model", MODEL, "--threads", THREADS, "--prompt-tokens", str(prompt),
         "--output-tokens", str(output), "--streams", str(streams), "--repeats", "1", "-o", "json"])
    result = json.loads(text)
    return result["prefill_tokens_per_second"], result["decode_tokens_per_second"], result["load_seconds"], rss


def our_start():
    """Milliseconds from starting the process to its end after one token; the prompt has 32 tokens."""
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " * 2
    command = [PBCTL, "prompt", "--model", MODEL, "--threads", THREADS, "--raw", "--max-tokens", "1", words.strip()]
    return 1000 * measured(command)[1]


def llama_start():
    command = [f"{LLAMA}/llama-bench", "-m", MODEL, "-t", THREADS, "-p", "32", "-n", "0", "-r", "1", "--no-warmup"]
    return 1000 * measured(command)[1]


def llama_bench(prompt, output):
    text, _, rss = measured(
        [f"{LLAMA}/llama-bench", "-m", MODEL, "-t", THREADS, "-p", str(prompt), "-n", str(output), "-r", "1",
         "-o", "jsonl"])
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [row["avg_ts"] for row in rows], rss


def llama_batched(prompt, output, streams):
    text, _, _ = measured(
        [f"{LLAMA}/llama-batched-bench", "-m", MODEL, "-t", THREADS, "-c", str(streams * (prompt + output) + 64),
         "-b", "2048", "-ub", "512", "-npp", str(prompt), "-ntg", str(output), "-npl", str(streams)])
    row = [cell.strip() for cell in [line for line in text.splitlines() if line.startswith("|")][-1].split("|")]
    return float(row[6]), float(row[8])


def main():
    figures = {}

    def note(name, who, value):
        figures.setdefault(name, {}).setdefault(who, []).append(value)

    for round_number in range(ROUNDS):
        print(f"round {round_number + 1} of {ROUNDS}", file=sys.stderr)
        prefill, _, load, rss = ours(512, 2, 1)
        note("prefill 512 tokens (tok/s)", "pbctl", prefill)
        note("load (ms)", "pbctl", 1000 * load)
        note("peak memory, 512 + 128 tokens (MiB)", "pbctl", ours(512, 128, 1)[3] / 1024)
        note("start, load, prefill of 32 tokens (ms)", "pbctl", our_start())
        if LLAMA:
            note("start, load, prefill of 32 tokens (ms)", "llama.cpp", llama_start())
            rates, rss = llama_bench(512, 128)
            note("prefill 512 tokens (tok/s)", "llama.cpp", rates[0])
            note("peak memory, 512 + 128 tokens (MiB)", "llama.cpp", rss / 1024)
            note("decode 128 tokens, 1 stream (tok/s)", "llama.cpp", rates[1])
        note("decode 128 tokens, 1 stream (tok/s)", "pbctl", ours(1, 128, 1)[1])
        for streams in STREAMS[1:]:
            name = f"decode 64 tokens after 128, {streams} streams (tok/s in all)"
            note(name, "pbctl", ours(128, 64, streams)[1])
            if LLAMA:
                note(name, "llama.cpp", llama_batched(128, 64, streams)[1])
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    device = json.loads(measured(
        [PBCTL, "bench", "engine", "--model", MODEL, "--threads", THREADS, "--prompt-tokens", "8", "--output-tokens",
         "2", "--repeats", "1", "-o", "json"])[0])["device"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"{cpu}, {platform.machine()}, {device}; {os.path.basename(MODEL)}; commit {commit}; medians of {ROUNDS}\n")
    print("| | pbctl | llama.cpp | ratio |\n|---|---|---|---|")
    for name, sides in figures.items():
        mine = statistics.median(sides["pbctl"])
        if "llama.cpp" in sides:
            theirs = statistics.median(sides["llama.cpp"])
            print(f"| {name} | {mine:.1f} | {theirs:.1f} | {mine / theirs:.2f} |")
        else:
            print(f"| {name} | {mine:.1f} | | |")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
