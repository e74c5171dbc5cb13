#!/usr/bin/python3
"""Measures the same work done by PyTorch, evosax and EvoTorch and by zeroth, in turn, on two cores: ratios of medians.

    bench/peers.py [--quick] [--only NAME] [--zeroth PATH]

Installs the peers into build/peers once (tools/peers.txt; about 5 GB, of which PyTorch's CUDA libraries, that it does not start
without, are most); where that fails, one line and status 77. Each peer does the work in every way it offers, its results are compared,
and the fastest way runs against `PATH --peer NAME`, build/release/bench/passes unless given. Writes bench/results/peers.csv and prints
a table. A round is the peer, then zeroth; round_ratio is the median of the rounds' ratios. Where other work had the processors (column
"others": most of a round) rounds are made again a few times; if that does not help the row is marked, and nothing is written, since
OpenMP's threads lose far more than their share. --only: the rows whose names hold NAME. --quick: two rounds of a second. Neither writes.
"""
import argparse, copy, csv, filecmp, io, json, math, os, shutil, signal, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spine

PLACE = os.path.join(spine.ROOT, "build/peers")
PACKAGES = os.path.join(spine.ROOT, "tools/peers.txt")
LOG = os.path.join(PLACE, "log")
SKIPPED = 77
LIMIT = 600  # seconds of a request
CALM = 0.15  # processors that other work may have in a round

# what, peers, unit, what is asked of the ratio
INFERENCE, OPENES = "samples/s", "evaluations/s"
WORK = [
    ("mlp256", ["torch"], INFERENCE, ">= 1.1"),
    ("mlp4096", ["torch"], INFERENCE, ">= 1.1"),
    ("cnn", ["torch"], INFERENCE, ">= 1.2"),
    ("resnet", ["torch"], INFERENCE, ">= 1.0"),
    ("openes", ["evosax", "evotorch"], OPENES, ">= 5"),
    ("openes-signs", ["evosax"], OPENES, ""),  # zeroth's default noise, which the peer does not have, against its normal numbers
]
FIELDS = ["what", "peer", "variant", "peer_rate", "zeroth_rate", "ratio", "round_ratio", "unit", "asked", "others"]

# As in bench/passes.c: examples of a pass; members of a step, each on the same EXAMPLES; layers.
BATCH = {"mlp256": 256, "mlp4096": 4096, "cnn": 1024, "resnet": 256}
MEMBERS, EXAMPLES, SIGMA, LAYERS = 1024, 256, 0.02, (784, 128, 128, 10)


# ---- installing ----

def install(place=PLACE, packages=PACKAGES, what="PyTorch, EvoTorch and evosax", size="about 5 GB"):
    """A Python with the packages listed, in its place; a line and status 77 where it cannot be had."""
    stamp = os.path.join(place, os.path.basename(packages))
    if os.path.exists(stamp) and filecmp.cmp(packages, stamp, shallow=False):
        return
    print(f"installing {what} into {os.path.relpath(place)} ({size}, once)", flush=True)
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    shutil.rmtree(place, ignore_errors=True)
    pip = [os.path.join(place, "bin/python"), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
           "--no-cache-dir", "--no-deps", "--retries", "1", "-r", packages]
    for command in ([python, "-m", "venv", place], pip):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            shutil.rmtree(place, ignore_errors=True)
            print(f"LEFT OUT: {what} are not installed ({(done.stdout.strip() or command[0]).splitlines()[-1]})", file=sys.stderr)
            sys.exit(SKIPPED)
    shutil.copy(packages, stamp)


def versions(names=("torch", "evotorch", "evosax", "jax"), packages=PACKAGES):
    with open(packages) as f:
        pinned = dict(line.strip().split("==") for line in f if "==" in line)
    return [f"{name}: {pinned[name]}" for name in names]


# ---- the worker: a process of the peers' Python, which builds its work once and answers requests ----

def networks(torch):
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1) for _ in "ab")

        def forward(self, x):
            return torch.relu(x + self.b(torch.relu(self.a(x))))

    def conv(inputs, outputs, size, padding=0):
        return [nn.Conv2d(inputs, outputs, size, padding=padding), nn.ReLU()]

    def dense(inputs, outputs):
        return [nn.Linear(inputs, outputs), nn.ReLU()]

    return {
        "mlp": lambda: nn.Sequential(*dense(784, 128), *dense(128, 128), nn.Linear(128, 10)),
        "cnn": lambda: nn.Sequential(*conv(1, 8, 5), nn.MaxPool2d(2), *conv(8, 16, 5), nn.MaxPool2d(2), nn.Flatten(), *dense(256, 64),
                                     nn.Linear(64, 10)),
        "resnet": lambda: nn.Sequential(*conv(1, 16, 3, 1), Residual(16), Residual(16), nn.MaxPool2d(2), *conv(16, 32, 3, 1),
                                        Residual(32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    }


def onednn_dense(torch, net, batch):
    """Dense layers as oneDNN has them: weights packed once, relu within the product."""
    ops = torch.ops.mkldnn
    layers = [(ops._reorder_linear_weight(m.weight.detach(), batch), m.bias.detach()) for m in net if isinstance(m, torch.nn.Linear)]

    def forward(x):
        for i, (weight, bias) in enumerate(layers):
            x = ops._linear_pointwise(x, weight, bias, "relu" if i + 1 < len(layers) else "none", [], "")
        return x
    return forward


def torch_inference(what):
    """Ways of a forward pass: name -> a function that runs one."""
    import torch
    from torch.utils import mkldnn
    torch.set_num_threads(2)
    torch.manual_seed(1)
    batch, dense = BATCH[what], what.startswith("mlp")
    net = networks(torch)["mlp" if dense else what]().eval()
    x = torch.randn(batch, 784) if dense else torch.randn(batch, 1, 28, 28)

    def compiled(net, x):
        import torch._inductor.config as config
        with config.patch(freezing=True):
            program = torch.compile(net, dynamic=False)
            program(x)
        return program

    def traced(net, x):
        return torch.jit.optimize_for_inference(torch.jit.trace(net, x))

    def blocked(net, x):
        inner = mkldnn.to_mkldnn(net)
        return lambda x: inner(x.to_mkldnn()).to_dense()

    ways = {"eager": lambda net, x: net, "jit": traced, "mkldnn": blocked, "compile": compiled}
    if dense:
        ways["onednn"] = lambda net, x: onednn_dense(torch, net, len(x))
    layouts = {"": torch.contiguous_format} if dense else {"": torch.contiguous_format, " channels_last": torch.channels_last}
    with torch.inference_mode():
        wanted = net(x)
    runs = {}
    for rows in [batch] if dense else sorted({64, 256, batch}):  # the same examples, fewer at a time: smaller activations
        for layout, memory in layouts.items():
            for name, make in ways.items():
                if layout and make is blocked:  # has its own layout
                    continue
                name += layout + (f", {rows} at a time" if rows < batch else "")
                try:
                    runs[name] = torch_runner(torch, make, copy.deepcopy(net).to(memory_format=memory), x.to(memory_format=memory), rows, wanted)
                except Exception as fault:
                    print(f"{what}: left out {name}: {fault!r}", file=sys.stderr, flush=True)
    return runs


def torch_runner(torch, make, net, x, rows, wanted):
    with torch.inference_mode():
        parts = x.split(rows)
        program = make(net, parts[0])
        assert torch.allclose(torch.cat([program(part) for part in parts]), wanted, rtol=1e-3, atol=1e-4), "other results"

    def run():
        with torch.inference_mode():
            for part in parts:
                program(part)
    return run


def evosax_openes(_):
    import jax, optax
    import jax.numpy as jnp
    from evosax.algorithms import Open_ES
    key = jax.random.key(1)
    x, label = jax.random.normal(key, (EXAMPLES, LAYERS[0])), jax.random.randint(key, (EXAMPLES,), 0, LAYERS[-1])
    centre = [(0.05 * jax.random.normal(key, (n, m)), jnp.zeros(m)) for n, m in zip(LAYERS, LAYERS[1:])]

    def loss(layers):
        h = x
        for weight, bias in layers[:-1]:
            h = jax.nn.relu(h @ weight + bias)
        return optax.softmax_cross_entropy_with_integer_labels(h @ layers[-1][0] + layers[-1][1], label).mean()

    searcher = Open_ES(MEMBERS, centre, optimizer=optax.sgd(0.01), std_schedule=optax.constant_schedule(SIGMA),
                       metrics_fn=lambda *_: {})

    def runner(evaluate, partitionable):
        @jax.jit
        def step(key, state):
            key, ask, tell = jax.random.split(key, 3)
            population, state = searcher.ask(ask, state, searcher.default_params)
            return key, searcher.tell(tell, population, evaluate(population), state, searcher.default_params)[0]

        now = [key, searcher.init(key, centre, searcher.default_params)]

        def run():
            with jax.threefry_partitionable(partitionable):
                now[:] = jax.block_until_ready(step(*now))
            assert math.isfinite(now[1].best_fitness)
        return run

    ways = {"vmap": jax.vmap(loss), "lax.map": lambda population: jax.lax.map(loss, population),
            "lax.map, 8 at a time": lambda population: jax.lax.map(loss, population, batch_size=8)}
    return {f"jit, {name}, {noise}": runner(evaluate, noise != "plain threefry") for name, evaluate in ways.items()
            for noise in ("threefry", "plain threefry")}  # the other generators are slower on processors


def evotorch_openes(_):
    """PGPE with a fixed standard deviation is OpenAI's method; pairs and centred ranks are its defaults."""
    import logging, torch
    from torch.nn import functional as F
    from evotorch import Problem
    from evotorch.algorithms import PGPE
    logging.disable(logging.INFO)
    torch.set_num_threads(2)
    torch.manual_seed(1)
    x, label = torch.randn(EXAMPLES, LAYERS[0]), torch.randint(0, LAYERS[-1], (EXAMPLES,))
    shapes = [s for n, m in zip(LAYERS, LAYERS[1:]) for s in ((m, n), (m,))]
    sizes = [math.prod(s) for s in shapes]

    def layers(vector):
        parts = [p.unflatten(-1, s) for p, s in zip(vector.split(sizes, -1), shapes)]
        return list(zip(parts[::2], parts[1::2]))

    def one(vector):
        h = x
        for i, (weight, bias) in enumerate(layers(vector)):
            h = F.linear(F.relu(h) if i else h, weight, bias)
        return F.cross_entropy(h, label)

    def by_hand(population):
        h, n = x.expand(len(population), -1, -1), len(population)
        for i, (weight, bias) in enumerate(layers(population)):
            h = torch.baddbmm(bias[:, None], h.relu_() if i else h, weight.mT)
        return F.cross_entropy(h.mT, label.expand(n, -1), reduction="none").mean(1)

    class Mean(Problem):
        def __init__(self, evaluate, rows):
            super().__init__("min", solution_length=sum(sizes), initial_bounds=(-0.05, 0.05), dtype=torch.float32)
            self.evaluate_rows, self.rows = evaluate, rows

        def _evaluate_batch(self, batch):
            with torch.inference_mode():
                losses = torch.cat([self.evaluate_rows(part) for part in batch.access_values().split(self.rows)])
            batch.set_evals(losses.clone())

    some = 0.05 * torch.randn(4, sum(sizes))
    ways = {"vmap": torch.func.vmap(one), "baddbmm": by_hand}
    for evaluate in ways.values():
        assert torch.allclose(evaluate(some), torch.stack([one(v) for v in some]), rtol=1e-4)
    return {f"PGPE, {name}, {rows} at a time": PGPE(Mean(evaluate, rows), popsize=MEMBERS, center_learning_rate=0.01,
                                                    stdev_learning_rate=0.0, stdev_init=SIGMA).step
            for name, evaluate in ways.items() for rows in (64, 256, MEMBERS)}


def rate(run, work, seconds, slices):
    """As bench/passes.c: the best slice of a tenth of a second, or all steps over all time."""
    best, done, start = 0.0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        n, begin = 0, time.perf_counter()
        while True:
            run()
            n += 1
            now = time.perf_counter()
            if now - begin >= 0.1:
                break
        best, done = max(best, n * work / (now - begin)), done + n
    return best if slices else done * work / (now - start)


def worker(peer, what):
    """Requests are lines of JSON: {"seconds": S, "variant": NAME}; with "turns" in place of a variant, the best of each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    signal.alarm(LIMIT)
    runs = {"torch": torch_inference, "evosax": evosax_openes, "evotorch": evotorch_openes}[peer](what)
    slices, work = what in BATCH, BATCH.get(what, MEMBERS)
    for run in runs.values():
        run()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        signal.alarm(LIMIT)
        asked = json.loads(line)
        if "variant" in asked:
            answer = {"rate": rate(runs[asked["variant"]], work, asked["seconds"], slices)}
        else:
            seen = {name: 0.0 for name in runs}
            for _ in range(asked["turns"]):
                for name, run in runs.items():
                    seen[name] = max(seen[name], rate(run, work, asked["seconds"], slices))
            answer = {"seen": seen}
        print(json.dumps(answer), file=answers, flush=True)
        signal.alarm(0)


# ---- the rounds ----

def two_cores():
    """All that runs from here on has two processors, of two cores where there are: evosax has no other limit of threads."""
    chosen = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as f:
                chosen.setdefault(f.read(), cpu)
        except OSError:
            chosen[cpu] = cpu
    if len(chosen) >= 2:
        os.sched_setaffinity(0, list(chosen.values())[:2])


class Peer:
    """A worker process, asked in turn."""

    def __init__(self, peer, what):
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        environment |= {"PYTHONWARNINGS": "ignore", "TORCHINDUCTOR_CACHE_DIR": os.path.join(PLACE, "compiled")}
        with open(LOG, "a") as log:
            self.process = subprocess.Popen([os.path.join(PLACE, "bin/python"), __file__, "--worker", peer, what], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True, env=environment)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"its worker ended with status {self.process.wait()}; see {os.path.relpath(LOG)}")
        return json.loads(line)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.kill()
        self.process.wait()


def zeroth(program, what):
    done = subprocess.run([program, "--peer", what], stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["name"] == what, answer
    return answer["rate"]


def busy(pid):
    """Processor seconds so far: of the machine, and of this process and process `pid` with their children that have ended."""
    with open("/proc/stat") as f:
        machine = [int(t) for t in f.readline().split()[1:9]]
    with open(f"/proc/{pid}/stat") as f:
        own = [int(t) for t in f.read().rpartition(")")[2].split()[11:15]]
    tick = os.sysconf("SC_CLK_TCK")
    return (sum(machine) - machine[3] - machine[4]) / tick, sum(own) / tick + sum(os.times()[:4])


def watched(worker, work):
    """What `work` gives, and the processors that other work had meanwhile."""
    start, before = time.perf_counter(), busy(worker.process.pid)
    result = work()
    machine, own = (b - a for a, b in zip(before, busy(worker.process.pid)))
    return result, max(0.0, machine - own) / (time.perf_counter() - start)


def undisturbed(worker, work, times):
    """The results of `times` calm turns of `work`, or the calmest of three times as many; and the most that other work had in one."""
    turns = []
    while len(turns) < 3 * times and sum(others < CALM for _, others in turns) < times:
        turns.append(watched(worker, work))
    turns = sorted(turns, key=lambda turn: turn[1])[:times]
    return [result for result, _ in turns], turns[-1][1]


def measure(what, peer, unit, asked, args):
    """A row: the peer's fastest variant against zeroth."""
    rounds, seconds, turns = (2, 1, 1) if args.quick else (5, 2, 3)
    worker = Peer(peer, what.removesuffix("-signs"))
    try:
        worker.answer()
        (seen,), most = undisturbed(worker, lambda: worker.ask(seconds=0.3, turns=turns)["seen"], 1)
        variant = max(seen, key=seen.get)
        for name in sorted(seen, key=seen.get, reverse=True):
            print(f"  {what} {peer}: {name}: {seen[name]:.0f} {unit}", flush=True)
        pairs, others = undisturbed(worker, lambda: (worker.ask(seconds=seconds, variant=variant)["rate"], zeroth(args.zeroth, what)), rounds)
    finally:
        worker.end()
    theirs, ours = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    return {"what": what, "peer": peer, "variant": variant, "peer_rate": f"{theirs:.0f}", "zeroth_rate": f"{ours:.0f}",
            "ratio": f"{ours / theirs:.3f}", "round_ratio": f"{statistics.median(b / a for a, b in pairs):.3f}",
            "unit": unit, "asked": asked, "others": f"{max(most, others):.2f}"}


def disturbed(row):
    return float(row["others"]) >= CALM


def show(rows):
    print(f"{'what':12s} {'peer':9s} {'peer rate':>10s} {'zeroth':>10s} {'ratio':>6s} {'rounds':>6s}  asked  variant")
    for r in rows:
        mark = f"   DISTURBED: other work had {r['others']} processors" if disturbed(r) else ""
        print(f"{r['what']:12s} {r['peer']:9s} {r['peer_rate']:>10s} {r['zeroth_rate']:>10s} {r['ratio']:>6s} {r['round_ratio']:>6s}  "
              f"{r['asked']:5s}  {r['variant']}{mark}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--zeroth", default=os.path.join(spine.ROOT, "build/release/bench/passes"))
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker)
    if not os.access(args.zeroth, os.X_OK):
        parser.error(f"no program {os.path.relpath(args.zeroth)}: build it (make with-tests), or name one by --zeroth PATH")
    install()
    writes = not args.quick and not args.only
    commit, head = spine.header() if writes else ("", [])
    two_cores()
    rows, failed = [], False
    for what, peers, unit, asked in WORK:
        for peer in peers if args.only in what else []:
            try:
                rows.append(measure(what, peer, unit, asked, args))
            except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
                print(f"FAILED: {what} {peer}: {fault}", flush=True)
                failed = True
    show(rows)
    if writes and any(map(disturbed, rows)):
        print("peers.csv is not written: other work disturbed the rounds")
        failed = True
    if writes and not failed:
        text = io.StringIO()
        table = csv.DictWriter(text, FIELDS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        os.makedirs(spine.RESULTS, exist_ok=True)
        spine.write(os.path.join(spine.RESULTS, "peers.csv"), [f"commit: {commit}", *head, *versions()], text.getvalue())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
