#!/usr/bin/python3
"""Measures the time to a test accuracy: conv-elm, the whole command, and a small CNN with Adam in PyTorch, in turn on two cores.

    bench/closed_cnn.py [--quick] [--only TASK] [--variant NAME] [--mnist DIR]

Asked: 99 % on mnist in at most 0.8, 92 % on fashion-mnist in at most 0.5 of PyTorch's time. Time is that of the whole process from its start,
with Python, imports and data. PyTorch's ends with the first epoch after which the test accuracy is reached; looks at the test images are not
counted, and the user who knows when to stop is taken for granted, which is in PyTorch's favour. zeroth's time is that of the whole command,
with its own look at validation and test; what does not reach the accuracy is marked.

The peer is as good as we could make it: two threads, gzip and numpy read the images, fused Adam, one-cycle schedules that end with
the last epoch, cross-entropy; on mnist the net conv5x8 pool conv5x16 pool dense64 dense10 and shifts of a pixel, on fashion-mnist nets of
our choice. Every variant in the lists below is tried with one seed, and stopped where it is slower than the best; the fastest that reaches
the accuracy with all three seeds runs against zeroth. Lists vary the batch, the step size, the number of epochs, channels_last, bfloat16,
batch norm, dropout, label smoothing, widths; --variant leaves the choice out.

Writes bench/results/closed_cnn.csv (one row a process), and prints medians and ratios. --only: one task. What is measured
takes the place of the old rows of its task, all others stay.
--quick: two variants, two epochs of few images, small nets, one pair, nothing written. PyTorch is that of bench/peers.py. Mnist comes from DIR, else $ZEROTH_DATA.
"""
import argparse, csv, io, json, os, statistics, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import closed
import peers
from spine import RESULTS, ROOT, ZEROTH, header, write

PATH = os.path.join(RESULTS, "closed_cnn.csv")
SEEDS = (1, 2, 3)
FASHION = "/usr/share/datasets/fashion-mnist"
LIMIT = 400  # seconds, after which a process of PyTorch is ended: it has not reached the accuracy

# What zeroth runs: any net that reaches the accuracy with all seeds, chosen on validation.
NETS = {
    "mnist": "patch7x40,pad2 twosided0.25 cells4 sqrt flatten scale { image4 conv3x750 relu flatten }cat dense10",
    "fashion-mnist": "patch7x64,pad2 twosided0.25 cells4 sqrt flatten scale { image4 conv3x750 relu flatten }cat dense10",
}
MORE = {"mnist": [], "fashion-mnist": []}  # more words
# task, accuracy, most of PyTorch's time
ASKED = [("mnist", 0.99, 0.8), ("fashion-mnist", 0.92, 0.5)]

MNIST = {"net": "lenet", "batch": 128, "lr": 0.004, "epochs": 8, "shift": 1, "flip": False, "dropout": 0, "smooth": 0, "bf16": False,
         "last": True, "warm": 0.25}
CLOTHES = {"net": "small", "batch": 128, "lr": 0.003, "epochs": 8, "shift": 0, "flip": True, "dropout": 0.3, "smooth": 0, "bf16": False,
           "last": True, "warm": 0.25}
VARIANTS = {
    "mnist": {
        "8 epochs, batch 128, lr 0.004": {},
        "6 epochs": {"epochs": 6},
        "5 epochs, lr 0.006": {"epochs": 5, "lr": 0.006},
        "4 epochs, lr 0.006": {"epochs": 4, "lr": 0.006},
        "6 epochs, batch 256, lr 0.008": {"epochs": 6, "batch": 256, "lr": 0.008},
        "6 epochs, batch 64, lr 0.003": {"epochs": 6, "batch": 64, "lr": 0.003},
        "6 epochs, contiguous": {"epochs": 6, "last": False},
        "6 epochs, bfloat16": {"epochs": 6, "bf16": True},
        "12 epochs, batch 256, lr 0.006": {"epochs": 12, "batch": 256, "lr": 0.006},
        "12 epochs, batch 128, lr 0.002, steady": {"epochs": 12, "lr": 0.002, "warm": None},
    },
    "fashion-mnist": {
        "small, 8 epochs": {},
        "small, 6 epochs, lr 0.004": {"epochs": 6, "lr": 0.004},
        "small with batch norm, 6 epochs": {"net": "small-norm", "epochs": 6, "lr": 0.006},
        "small with batch norm, 8 epochs": {"net": "small-norm", "lr": 0.006},
        "small with batch norm, 5 epochs, bfloat16": {"net": "small-norm", "epochs": 5, "lr": 0.006, "bf16": True},
        "narrow with batch norm, 8 epochs": {"net": "narrow-norm", "lr": 0.008},
        "narrow with batch norm, 12 epochs": {"net": "narrow-norm", "epochs": 12, "lr": 0.008},
        "deep with batch norm, 5 epochs": {"net": "deep-norm", "epochs": 5, "lr": 0.006},
        "deep with batch norm, 6 epochs, batch 256": {"net": "deep-norm", "epochs": 6, "lr": 0.008, "batch": 256},
        "small with batch norm, 6 epochs, shifts, label smoothing": {"net": "small-norm", "epochs": 6, "lr": 0.006, "shift": 1, "smooth": 0.05},
    },
}
BASE = {"mnist": MNIST, "fashion-mnist": CLOTHES}
FIELDS = ["task", "accuracy_asked", "who", "variant", "seed", "reached", "test_accuracy", "seconds", "epochs", "command", "commit"]


# ---- the peer: a process of PyTorch, from its start to the epoch that reaches the accuracy ----

def images(numpy, folder, part):
    """Images [n][28][28] as bytes, and labels; IDX files, packed or not."""
    import gzip
    arrays = []
    for kind, offset in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8)):
        path = os.path.join(folder, f"{part}-{kind}")
        if os.path.exists(path + ".gz"):
            with gzip.open(path + ".gz") as f:
                data = f.read()
        else:
            with open(path, "rb") as f:
                data = f.read()
        arrays.append(numpy.frombuffer(data, numpy.uint8, offset=offset).copy())
    return arrays[0].reshape(-1, 28, 28), arrays[1]


def network(torch, name, dropout):
    nn = torch.nn

    def conv(n, m, size=3, norm=False, pad=1):
        return [nn.Conv2d(n, m, size, padding=pad, bias=not norm), *([nn.BatchNorm2d(m)] if norm else []), nn.ReLU()]

    def head(n, m):
        return [nn.Flatten(), nn.Dropout(dropout), nn.Linear(n, m), nn.ReLU(), nn.Dropout(dropout), nn.Linear(m, 10)]

    pool = nn.MaxPool2d(2)
    if name == "lenet":
        layers = [*conv(1, 8, 5, pad=0), pool, *conv(8, 16, 5, pad=0), pool, *head(256, 64)]
    elif name == "small":
        layers = [*conv(1, 32), pool, *conv(32, 64), pool, *head(3136, 128)]
    elif name == "small-norm":
        layers = [*conv(1, 32, norm=True), pool, *conv(32, 64, norm=True), pool, *head(3136, 128)]
    elif name == "narrow-norm":
        layers = [*conv(1, 16, norm=True), pool, *conv(16, 32, norm=True), pool, *head(1568, 128)]
    else:
        layers = [*conv(1, 24, norm=True), pool, *conv(24, 48, norm=True), pool, *conv(48, 96, norm=True), pool, *head(864, 128)]
    return nn.Sequential(*layers)


def batches(torch, x, seed_of, v):
    """Index and changed images of one epoch; x [n][1][28 + 2 shift][28 + 2 shift]."""
    order, shift = torch.randperm(len(x), generator=seed_of), v["shift"]
    windows = x.unfold(2, 28, 1).unfold(3, 28, 1)  # a view: [n][1][2 shift + 1][2 shift + 1][28][28]
    for index in order.split(v["batch"]):
        if shift:
            down, right = (torch.randint(0, 2 * shift + 1, (len(index),), generator=seed_of) for _ in "yx")
            some = windows[index, 0, down, right][:, None]
        else:
            some = x[index]
        if v["flip"]:
            flipped = torch.rand(len(index), generator=seed_of) < 0.5
            some = torch.where(flipped[:, None, None, None], some.flip(3), some)
        yield index, some.contiguous(memory_format=torch.channels_last) if v["last"] else some


def cnn(task, folder, seed, start, v):
    """Prints a line of JSON for each epoch: accuracy, and seconds since `start` without those of looking at test images."""
    import numpy
    import torch
    from torch.nn import functional as F
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    seed_of = torch.Generator().manual_seed(seed)
    (x, y), (test, want) = images(numpy, folder, "train"), images(numpy, folder, "t10k")
    mean, deviation = float(x[::10].mean()), float(x[::10].std())
    x, test = (((torch.from_numpy(part).float() - mean) / deviation)[:, None] for part in (x, test))
    y, want = torch.from_numpy(y).long(), torch.from_numpy(want).long()
    if "rows" in v:
        x, y = x[:v["rows"]], y[:v["rows"]]
    x = F.pad(x, [v["shift"]] * 4, value=-mean / deviation)
    layout = torch.channels_last if v["last"] else torch.contiguous_format
    net = network(torch, v["net"], v["dropout"]).to(memory_format=layout)
    rule = torch.optim.Adam(net.parameters(), lr=v["lr"], fused=True)
    steps = v["epochs"] * -(-len(x) // v["batch"])
    cycle = torch.optim.lr_scheduler.OneCycleLR(rule, v["lr"], steps, pct_start=v["warm"]) if v["warm"] else None
    looking = 0.0
    for epoch in range(1, v["epochs"] + 1):
        net.train()
        for index, some in batches(torch, x, seed_of, v):
            with torch.autocast("cpu", torch.bfloat16, enabled=v["bf16"]):
                loss = F.cross_entropy(net(some).float(), y[index], label_smoothing=v["smooth"])
            rule.zero_grad(set_to_none=True)
            loss.backward()
            rule.step()
            if cycle:
                cycle.step()
        now = time.monotonic()
        net.eval()
        with torch.inference_mode():
            found = torch.cat([net(part.contiguous(memory_format=layout)).argmax(1) for part in test.split(1000)])
        print(json.dumps({"epoch": epoch, "accuracy": float((found == want).float().mean()), "seconds": now - start - looking}), flush=True)
        looking += time.monotonic() - now


# ---- turns ----

def data_of(task):
    if task != "mnist":
        return FASHION
    folder = os.environ["ZEROTH_DATA"]
    return os.path.join(folder, "mnist") if os.path.isdir(os.path.join(folder, "mnist")) else folder


def torch_turn(task, asked, name, seed, quick, most=LIMIT):
    """The epochs up to the one that reaches the accuracy, or is slower than `most`."""
    v = BASE[task] | VARIANTS[task][name] | ({"epochs": 2, "rows": 2000} if quick else {})
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen([os.path.join(peers.PLACE, "bin/python"), __file__, "--cnn", task, data_of(task), str(seed), repr(time.monotonic()),
                                json.dumps(v)], stdout=subprocess.PIPE, text=True, env=environment)
    line, stopped = {"accuracy": 0.0, "seconds": LIMIT, "epoch": 0}, False
    late = threading.Timer(LIMIT, process.kill)
    late.start()
    start = time.monotonic()
    for text in process.stdout:
        line = json.loads(text)
        stopped = line["accuracy"] >= asked or line["seconds"] > most
        if stopped:
            process.kill()
            break
    status = process.wait()
    late.cancel()
    if not stopped and status and time.monotonic() - start < LIMIT:
        raise RuntimeError(f"PyTorch ended with status {status} after {line['epoch']} epochs")
    return {"who": "torch", "variant": name, "seed": seed, "reached": line["accuracy"] >= asked, "test_accuracy": round(line["accuracy"], 4),
            "seconds": round(line["seconds"], 3), "epochs": line["epoch"], "command": json.dumps(v)}


def zeroth_turn(task, asked, seed, quick):
    words = ["--method", "conv-elm", "--net", NETS[task], *MORE[task], "--seed", str(seed)]
    words = [task, *(closed.small(words) if quick else words)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run([ZEROTH, "train", *words, "--quiet", "--json", "--out", os.path.join(folder, "run")],
                              stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - start
    result = json.loads(done.stdout.splitlines()[-1])
    return {"who": "zeroth", "variant": NETS[task], "seed": seed, "reached": result["test_accuracy"] >= asked,
            "test_accuracy": result["test_accuracy"], "seconds": round(seconds, 3), "epochs": 1,
            "command": "zeroth train " + " ".join(f'"{w}"' if " " in w else w for w in words)}


def said(turn):
    print(f"  {turn['who']}, {turn['variant']}, seed {turn['seed']}: {turn['test_accuracy']:.4f} in {turn['seconds']:.1f} s"
          f"{'' if turn['reached'] else ', not reached'}", flush=True)
    return turn


def fastest(task, asked, quick):
    """The variant that reaches the accuracy soonest, with all seeds."""
    names, best, seen = list(VARIANTS[task])[:2 if quick else None], LIMIT, []
    for name in names:
        turn = said(torch_turn(task, asked, name, SEEDS[0], quick, most=1.1 * best))
        if turn["reached"]:
            seen.append(turn)
            best = min(best, turn["seconds"])
    for turn in sorted(seen, key=lambda t: t["seconds"]):
        if quick or all(said(torch_turn(task, asked, turn["variant"], seed, quick))["reached"] for seed in SEEDS[1:]):
            return turn["variant"]
    if quick:
        return names[0]
    raise RuntimeError(f"no variant of PyTorch's reaches {asked} on {task} with all seeds")


def compare(task, asked, variant, quick):
    print(f"{task}:", flush=True)
    variant = variant or fastest(task, asked, quick)
    rows = []
    for seed in SEEDS[:1 if quick else None]:
        for turn in (zeroth_turn(task, asked, seed, quick), torch_turn(task, asked, variant, seed, quick)):
            rows.append({"task": task, "accuracy_asked": asked, **said(turn)})
    return rows


def show(rows):
    for task, asked, most in ASKED:
        seconds = {who: [float(r["seconds"]) for r in rows if r["task"] == task and r["who"] == who] for who in ("zeroth", "torch")}
        if not seconds["zeroth"] or not seconds["torch"]:
            continue
        missed = [f"{r['who']} seed {r['seed']}" for r in rows if r["task"] == task and str(r["reached"]) != "True"]
        ours, theirs = (statistics.median(seconds[who]) for who in ("zeroth", "torch"))
        ratio = f"NOT REACHED by {', '.join(missed)}, so no ratio" if missed else f"ratio {ours / theirs:.2f}"
        print(f"{task} to {100 * asked:g} %: zeroth {ours:.1f} s, torch {theirs:.1f} s, {ratio} (asked: <= {most})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=[task for task, *_ in ASKED])
    parser.add_argument("--variant", help="of PyTorch's, with --only")
    parser.add_argument("--mnist")
    parser.add_argument("--cnn", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cnn:
        task, folder, seed, start, v = args.cnn
        return cnn(task, folder, int(seed), float(start), json.loads(v))
    if args.variant and (not args.only or args.variant not in VARIANTS[args.only]):
        parser.error(f"--variant takes, with --only TASK, one of: {'; '.join(v for t in VARIANTS for v in VARIANTS[t] if args.only in (None, t))}")
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
    peers.install()
    tasks = [a for a in ASKED if args.only in (None, a[0])]
    if not os.environ.get("ZEROTH_DATA"):
        print("LEFT OUT: mnist (give --mnist DIR or set ZEROTH_DATA)")
        tasks = [a for a in tasks if a[0] != "mnist"]
    rows = []
    if not args.quick and os.path.exists(PATH):
        with open(PATH, newline="") as f:
            rows = list(csv.DictReader(line for line in f if line[0] != "#"))
    commit, head, failed = *(("", []) if args.quick else header()), False
    peers.two_cores()
    for task, asked, _ in tasks:
        try:
            found = compare(task, asked, args.variant, args.quick)
        except (RuntimeError, subprocess.SubprocessError) as fault:
            print(f"FAILED: {task}: {fault}", flush=True)
            failed = True
            continue
        rows = [r for r in rows if r["task"] != task] + [{**r, "commit": commit} for r in found]
        if not args.quick:
            text = io.StringIO()
            table = csv.DictWriter(text, FIELDS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
            write(PATH, [*head, *peers.versions(["torch"])], text.getvalue())
    show(rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
