"""Runs loads against pbctl's server and llama.cpp's in turn and prints tables of medians; see scripts/bench-adapters."""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

PBCTL, MODEL, THREADS, LLAMA = (os.environ[name] for name in ("PBCTL", "MODEL", "THREADS", "LLAMA_BIN"))
ROUNDS, REQUESTS, ADAPTERS = (int(os.environ[name]) for name in ("ROUNDS", "REQUESTS", "ADAPTERS"))
CELLS = os.environ["CELLS"].split(",")
FOLDER = Path(os.environ["FOLDER"])
ROOT, GGUF = FOLDER / "adapters", FOLDER / "adapters-gguf"
IN_FLIGHT, PROMPT, OUTPUT, COLD = 32, 128, 64, 16
COUNTS = [count for count in (1, 8, 32) if str(count) in CELLS]


def say(text):
    print(text, file=sys.stderr, flush=True)


def make_adapters():
    """The adapters, made once for each count."""
    done = FOLDER / f"made-{ADAPTERS}"
    if not done.exists():
        say(f"making {ADAPTERS} adapters in {FOLDER}")
        subprocess.run([sys.executable, "scripts/make-adapters", ROOT, "--count", str(ADAPTERS), "--gguf", GGUF],
                       check=True)
        done.touch()


class Server:
    """A server process and its address."""

    def __init__(self, command, url=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if url else subprocess.PIPE, text=True)
        self.url = url or self._ready_line()
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5)
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{command[0]} ended with status {self.process.returncode}")
                time.sleep(0.05)

    def _ready_line(self):
        for line in self.process.stderr:
            if found := re.search(r"http://[\w.\[\]:-]+:\d+", line):
                # A pipe that nobody reads would stop a server that logs.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return found.group()
        sys.exit("pbctl engine serve ended without a ready line")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def our_server():
    return Server([PBCTL, "engine", "serve", "--model", MODEL, "--port", "0", "--threads", THREADS,
                   "--adapter-root", str(ROOT)])


def llama_server():
    files = ",".join(str(path) for path in sorted(GGUF.glob("*.gguf"))[:32])
    port = 18097
    return Server([f"{LLAMA}/llama-server", "-m", MODEL, "-t", THREADS, "-np", str(IN_FLIGHT), "-c",
                   str(IN_FLIGHT * (PROMPT + OUTPUT + 64)), "--host", "127.0.0.1", "--port", str(port),
                   "--no-cache-prompt", "--threads-http", "2", "--lora-init-without-apply", "--lora", files],
                  f"http://127.0.0.1:{port}")


def idle_share():
    """Share of all cores that was idle during half a second."""
    def times():
        values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return values[3] + values[4], sum(values)

    idle, total = times()
    time.sleep(0.5)
    later_idle, later_total = times()
    return (later_idle - idle) / max(1, later_total - total)


def load(server, seed, adapters, popularity="distinct", api="lorax", requests=None, in_flight=IN_FLIGHT,
         output=OUTPUT, warmup=None):
    """Figures of one `pbctl bench serve`, with the server's processor time."""
    command = [PBCTL, "bench", "serve", "--url", server.url, "--api", api, "--concurrency", str(in_flight),
               "--requests", str(requests or REQUESTS), "--adapters", str(adapters), "--popularity", popularity,
               "--prompt-tokens", str(PROMPT), "--output-tokens", str(output), "--seed", str(seed), "--timeout", "900",
               "--warmup", str(min(adapters, IN_FLIGHT) if warmup is None else warmup), "-o", "json"]
    if adapters and api != "llama":
        command += ["--adapter-root", str(ROOT)]
    idle = idle_share()
    before = server.cpu_seconds()
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    if result["requests_failed"] or result["requests_short"]:
        sys.exit(f"{' '.join(command)}: {result['requests_failed']} failed, {result['requests_short']} were short: "
                 f"{result['failures']}")
    result["server_cpu_seconds"] = server.cpu_seconds() - before
    result["idle_share_before"] = idle
    result["rss_mib"] = server.rss_mib()
    say(f"  {api} {adapters} {popularity}: {result['output_tokens_per_second']:.1f} tok/s, idle before {idle:.0%}")
    return result


def evict(count):
    """Drops the adapters' files from the page cache."""
    for folder in sorted(ROOT.iterdir())[:count]:
        for path in folder.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(seed, is_evicted):
    """Milliseconds that an adapter's first use adds to the first token: medians over adapters, cold less warm."""
    server = our_server()
    try:
        load(server, seed, 0, requests=2, in_flight=1, output=1, warmup=0)
        if is_evicted:
            evict(COLD)
        times = [load(server, seed + shift, COLD, requests=COLD, in_flight=1, output=1, warmup=0)
                 ["time_to_first_token_seconds"]["p50"] * 1000 for shift in (100, 200)]
        return times[0] - times[1], times[0], times[1]
    finally:
        server.stop()


def measure():
    runs = {}

    def note(name, value):
        runs.setdefault(name, []).append(value)

    ours = our_server()
    theirs = llama_server() if LLAMA and "llama" in CELLS else None
    try:
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            seed = 1000 * (number + 1)
            for count in ([0] if "base" in CELLS else []) + COUNTS:
                note(("pbctl", count), load(ours, seed, count))
                if theirs:
                    note(("llama.cpp", count), load(theirs, seed, count, api="llama"))
            if "zipf" in CELLS:
                note(("pbctl", "zipf"), load(ours, seed, ADAPTERS, "zipf", warmup=0))
            if "cold" in CELLS:
                for is_evicted in (False, True):
                    note(("cold", is_evicted), cold(seed, is_evicted))
    finally:
        ours.stop()
        if theirs:
            theirs.stop()
    return runs


def first_line(command):
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "?"
    return next((line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()), "?")


def machine():
    def field(name):
        found = re.search(rf"^{name}:\s+(.*)$", text, re.M)
        return found.group(1) if found else "?"

    text = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    flags = [flag for flag in ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "asimd", "asimddp")
             if re.search(rf"\b{flag}\b", text)]
    commit = first_line(["git", "describe", "--always", "--dirty"])
    lines = [f"- {field('Model name')}, {field('CPU.s.')} CPUs, {' '.join(flags)}; L2 {field('L2 cache')}, "
             f"L3 {field('L3 cache')}; {THREADS} threads for each server",
             f"- pbctl {first_line([PBCTL, '--version'])}, commit {commit}"]
    if LLAMA:
        lines.append(f"- llama.cpp {first_line([f'{LLAMA}/llama-server', '--version'])}")
    lines.append(f"- {os.path.basename(MODEL)}; random adapters of rank 8 and 16 in turn on all seven linear modules, "
                 f"float16; {IN_FLIGHT} requests in flight, {REQUESTS} in all, {PROMPT} tokens in, {OUTPUT} out; "
                 f"medians of {ROUNDS} rounds")
    return "\n".join(lines)


def median(runs, value):
    return statistics.median(value(run) for run in runs)


def rate(run):
    return run["output_tokens_per_second"]


def ratio(runs, others):
    """Median over rounds of the ratio of the two in one round: neighbours on the machine hit both."""
    return statistics.median(rate(run) / rate(other) for run, other in zip(runs, others))


def milliseconds(name, quantile):
    return lambda run: run[name][quantile] * 1000


def print_tables(runs):
    print(machine() + "\n")
    base = runs.get(("pbctl", 0))
    print("| adapters | output tok/s | of base | tok per CPU s | first token p50 (ms) | p99 | between tokens p50 (ms) "
          "| p99 | memory (MiB) | idle before |\n|---|---|---|---|---|---|---|---|---|---|")
    for (who, count), cell in runs.items():
        if who != "pbctl":
            continue
        label = {0: "none", "zipf": f"{ADAPTERS}, Zipf, none loaded before"}.get(count, f"{count}, in turn")
        share = f"{ratio(cell, base):.1%}" if base else ""
        figures = [median(cell, lambda run: run["output_tokens"] / max(run["server_cpu_seconds"], 0.01)),
                   median(cell, milliseconds("time_to_first_token_seconds", "p50")),
                   median(cell, milliseconds("time_to_first_token_seconds", "p99")),
                   median(cell, milliseconds("inter_token_latency_seconds", "p50")),
                   median(cell, milliseconds("inter_token_latency_seconds", "p99")),
                   median(cell, lambda run: run["rss_mib"])]
        print(f"| {label} | {median(cell, rate):.1f} | {share} | " + " | ".join(f"{x:.1f}" for x in figures)
              + f" | {median(cell, lambda run: run['idle_share_before']):.0%} |")
    if any(who == "llama.cpp" for who, _ in runs):
        print("\n| adapters | pbctl (tok/s) | llama.cpp (tok/s) | ratio | pbctl first token p50 (ms) | llama.cpp |"
              "\n|---|---|---|---|---|---|")
        for (who, count), cell in runs.items():
            if who == "llama.cpp":
                mine = runs[("pbctl", count)]
                first = milliseconds("time_to_first_token_seconds", "p50")
                print(f"| {count or 'none'} | {median(mine, rate):.1f} | {median(cell, rate):.1f} | "
                      f"{ratio(mine, cell):.2f} | {median(mine, first):.0f} | {median(cell, first):.0f} |")
    if any(who == "cold" for who, _ in runs):
        print(f"\n| first use of an adapter ({COLD} of them, one request at a time) | first token (ms) | used before "
              "(ms) | added (ms) |\n|---|---|---|---|")
        for (who, is_evicted), cell in runs.items():
            if who == "cold":
                label = "files not in the page cache" if is_evicted else "files in the page cache"
                added, first, later = (statistics.median(row[place] for row in cell) for place in range(3))
                print(f"| {label} | {first:.1f} | {later:.1f} | {added:.1f} |")


def main():
    make_adapters()
    runs = measure()
    if os.environ["RAW"]:
        Path(os.environ["RAW"]).write_text(json.dumps(
            [{"who": who, "cell": cell, "runs": values} for (who, cell), values in runs.items()], indent=1))
    print_tables(runs)


if __name__ == "__main__":
    main()
