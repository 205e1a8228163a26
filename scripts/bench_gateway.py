"""Called by scripts/bench-gateway, which documents the environment."""
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PBCTL, MODEL, TINY = os.environ["PBCTL"], os.environ["MODEL"], os.environ["TINY"]
ROUNDS, CELLS, SVG = int(os.environ["ROUNDS"]), os.environ["CELLS"].split(","), os.environ["SVG"]
BODY = {"model": "", "prompt": "a", "max_tokens": 1, "temperature": 0}


class Server:
    """A server on a scratch folder, ended with its replicas."""

    def __init__(self, *arguments):
        self.home = tempfile.mkdtemp(prefix="pbctl-bench-")
        self.environment = dict(os.environ, PBCTL_HOME=self.home)
        self.log = open(self.home + "/log", "w+")
        self.process = subprocess.Popen(
            [PBCTL, "server", "run", "--port", "0", *arguments], env=self.environment, stderr=self.log,
            stdout=subprocess.DEVNULL)
        self.port = self._port()

    def _port(self):
        end = time.time() + 30
        while time.time() < end:
            text = open(self.home + "/log").read()
            if "http://127.0.0.1:" in text:
                return int(text.split("http://127.0.0.1:")[1].split()[0])
            time.sleep(0.02)
        raise SystemExit("bench-gateway: the server did not start: " + open(self.home + "/log").read())

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 400:
            raise SystemExit(f"bench-gateway: {method} {path}: {answer.status} {data[:300]}")
        return json.loads(data or b"null")

    def deploy(self, name, model, **config):
        self.call("POST", "/v2/deployments", {"name": name, "config": {"baseModel": model, **config}})

    def view(self, name):
        return self.call("GET", f"/v2/deployments/{name}")["data"]

    def wait(self, name, holds, seconds=120):
        end = time.time() + seconds
        while time.time() < end:
            view = self.view(name)
            if holds(view):
                return view
            time.sleep(0.02)
        raise SystemExit(f"bench-gateway: {name} did not get there: {view['status']} {view['statusMessage']}")

    def memory(self):
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * 4096

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


def timed(connection, path, body):
    payload = json.dumps(body)
    start = time.perf_counter()
    connection.request("POST", path, payload, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    took = time.perf_counter() - start
    if answer.status != 200:
        raise SystemExit(f"bench-gateway: {path}: {answer.status} {data[:300]}")
    return took


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latency():
    server = Server()
    server.deploy("tiny", TINY, minReplicas=1, maxTotalTokens=256)
    replica = server.wait("tiny", lambda v: v["status"] == "ready")["replicas"][0]["endpoint"]
    direct = http.client.HTTPConnection(replica, timeout=30)
    through = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    rows = {}
    for kind, body in (("in one piece", BODY), ("as a stream", dict(BODY, stream=True))):
        for _ in range(100):
            timed(direct, "/v1/completions", body)
            timed(through, "/deployments/tiny/v1/completions", body)
        a, b = [], []
        for _ in range(ROUNDS * 200):
            a.append(timed(direct, "/v1/completions", body))
            b.append(timed(through, "/deployments/tiny/v1/completions", body))
        rows[kind] = (a, b)
    server.end()
    print("\n| one request at a time | replica p50 (ms) | through the gateway p50 | added p50 | added p99 |")
    print("|---|---|---|---|---|")
    for kind, (a, b) in rows.items():
        added = [y - x for x, y in zip(a, b)]
        cells = [percentile(a, .5), percentile(b, .5), percentile(added, .5), percentile(added, .99)]
        print(f"| {kind} | " + " | ".join(f"{1000 * cell:.2f}" for cell in cells) + " |")


def rate(port, path, clients, seconds):
    count, end = [0] * clients, time.time() + seconds

    def work(index):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.time() < end:
            timed(connection, path, BODY)
            count[index] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(count) / seconds


def throughput():
    server = Server()
    server.deploy("tiny", TINY, minReplicas=1, maxTotalTokens=256)
    replica = int(server.wait("tiny", lambda v: v["status"] == "ready")["replicas"][0]["endpoint"].rsplit(":", 1)[1])
    direct, through = [], []
    for _ in range(ROUNDS):
        direct.append(rate(replica, "/v1/completions", 16, 3))
        through.append(rate(server.port, "/deployments/tiny/v1/completions", 16, 3))
    server.end()
    print("\n| 16 clients, one token each | requests/s |\n|---|---|")
    print(f"| at the replica | {statistics.median(direct):.0f} |")
    print(f"| through the gateway | {statistics.median(through):.0f} |")


def cold():
    server = Server()
    server.deploy("cold", MODEL, maxTotalTokens=1024)
    server.wait("cold", lambda v: v["status"] == "ready")
    first, launches = [], []
    for _ in range(ROUNDS):
        server.call("POST", "/api/v1/deployments/cold/scale", {"replicas": 0})
        server.wait("cold", lambda v: v["status"] == "standby" and not v["replicas"])
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = dict(BODY, prompt="Once upon a time", max_tokens=8, stream=True)
        start = time.perf_counter()
        connection.request(
            "POST", "/deployments/cold/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        while not answer.readline().startswith(b"data:"):
            pass
        first.append(time.perf_counter() - start)
        answer.read()
        connection.close()
    server.end()
    print("\n| from zero replicas | s |\n|---|---|")
    print(f"| request to first token, median | {statistics.median(first):.2f} |")
    print(f"| slowest of {ROUNDS} | {max(first):.2f} |")


def memory():
    count = 10_000
    server = Server("--pretend-replicas")
    before = server.memory()
    local = threading.local()

    def make(index):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"name": f"d-{index}", "config": {"baseModel": "m", "cooldownTime": 1}}
        local.connection.request("POST", "/v2/deployments", json.dumps(body), {"Content-Type": "application/json"})
        answer = local.connection.getresponse()
        answer.read()
        return answer.status

    start = time.time()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(make, range(count)))
    made = time.time() - start
    assert all(status == 201 for status in statuses), statuses[:10]
    end = time.time() + 120
    while time.time() < end:
        views = server.call("GET", "/v2/deployments")["data"]
        resting = sum(view["status"] == "standby" for view in views)
        if resting == count:
            break
        time.sleep(5)
    while time.time() < end:
        # What happened is still being written.
        before_rest = server.cpu()
        time.sleep(2)
        if server.cpu() - before_rest < 0.05:
            break
    cpu, at = server.cpu(), time.time()
    time.sleep(10)
    used = (server.cpu() - cpu) / (time.time() - at)
    rest = server.memory()
    server.process.kill()
    server.process.wait()
    start = time.time()
    server.process = subprocess.Popen(
        [PBCTL, "server", "run", "--port", str(server.port), "--pretend-replicas"], env=server.environment,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while True:
        try:
            server.call("GET", "/health")
            break
        except OSError:
            time.sleep(0.02)
    restart = time.time() - start
    time.sleep(2)
    again = server.memory()
    server.end()
    print(f"\n| {count} deployments at rest | |\n|---|---|")
    print(f"| made one by one, each on disk before its answer | {count / made:.0f} a second |")
    print(f"| in standby | {resting} |")
    print(f"| memory before, with them, after a restart (MiB) | "
          f"{before >> 20}, {rest >> 20}, {again >> 20} |")
    print(f"| CPU at rest | {100 * used:.2f} % of a core |")
    print(f"| killed and started again, until it answers | {restart:.2f} s |")


def ramp():
    """From 0 to 7 replicas and back to 0 under real requests."""
    server = Server()
    server.deploy(
        "ramp", MODEL, maxReplicas=7, scaleUpRequestThreshold=2, cooldownTime=6, maxTotalTokens=256,
        customArgs=["--max-batch-size", "4", "--threads", "1"])
    server.wait("ramp", lambda v: v["status"] == "standby", 60)
    stop, wanted, failures, done = threading.Event(), [0], [], [0]
    points, start = [], time.time()

    def client(index):
        while not stop.is_set():
            if index >= wanted[0]:
                time.sleep(0.05)
                continue
            try:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
                timed(connection, "/deployments/ramp/v1/completions", dict(BODY, prompt="Once", max_tokens=24))
                connection.close()
                done[0] += 1
            except BaseException as error:
                failures.append(repr(error))

    def watch():
        while not stop.is_set():
            view = server.view("ramp")
            points.append((
                time.time() - start, view["load"]["running"], view["load"]["queued"], view["currentReplicas"],
                view["desiredReplicas"]))
            time.sleep(0.1)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(14)] + [threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    for count in (2, 4, 6, 8, 10, 12, 14):
        wanted[0] = count
        time.sleep(3)
    server.wait("ramp", lambda v: v["currentReplicas"] == 7, 60)
    time.sleep(2)
    for count in (10, 6, 2, 0):
        wanted[0] = count
        time.sleep(3)
    server.wait("ramp", lambda v: v["status"] == "standby", 60)
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    server.end()
    peak = max(point[3] for point in points)
    print(f"\nRamp: {done[0]} requests, {len(failures)} failed {failures[:3]}, replicas 0 -> {peak} -> {points[-1][3]} "
          f"in {points[-1][0]:.0f} s.")
    if SVG:
        lines = ["time_s,running,queued,ready_replicas,desired_replicas"]
        lines += [f"{p[0]:.2f},{p[1]},{p[2]},{p[3]},{p[4]}" for p in points]
        with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as file:
            file.write("\n".join(lines) + "\n")
        subprocess.run([PBCTL, "autoscale", "plot", file.name, "--svg", SVG], check=True)
        os.unlink(file.name)


def main():
    version = subprocess.run([PBCTL, "version"], capture_output=True, text=True).stdout.split("\n")[0]
    print(f"- {os.cpu_count()} CPUs; {version}; medians of {ROUNDS} rounds")
    for name, cell in (("latency", latency), ("throughput", throughput), ("cold", cold), ("memory", memory),
                       ("ramp", ramp)):
        if name in CELLS:
            cell()
            sys.stdout.flush()


main()
