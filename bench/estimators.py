#!/usr/bin/python3
"""Measures what estimators reach: test accuracy in given seconds, forward-equivalents to given accuracies.

    bench/estimators.py [--seeds N | --seed S] [--only NAME,NAME] [--mnist DIR]

Writes bench/results/estimators.csv (one row a run), and prints medians beside what is asked. --only: rows of these names,
put in place of the old ones; with --seed of that seed alone. Mnist comes from DIR, else $ZEROTH_DATA; digits from Debian's python3-sklearn, whose package is fetched
where it is not installed. All rows take hours with three seeds.
"""
import argparse, csv, glob, io, math, os, statistics, subprocess, sys, tempfile

from spine import RESULTS, ROOT, header, run, write

MLP = "dense128 relu dense128 relu dense10"
STEP = "dense128 step dense128 step dense10"
CNN = "conv5x8 relu pool2 conv5x16 relu pool2 dense64 relu dense10"
QUANT = "conv5x8 quant4 pool2 conv5x16 quant4 pool2 dense64 quant4 dense10"
WIDE = "conv5x32 relu pool2 conv5x64 relu pool2 dense128 relu dense10"
SHIFT = ["--set", "shift=1"]
CLOTHES = ["--set", "shift=1", "--set", "flip=yes"]
DIGITS = ["--set", "label=65", "--set", "shape=8x8", "--set", "batch=128"]
DEPTHS = (2, 4, 8, 16)


def deep(layers):
    return "dense128 norm relu " + "{ dense128 norm relu }+ " * (layers - 1) + "dense10"



# name, task, net, method, seconds (or a text: forward-equivalents), more words, the figure, what is asked of its median
RUNS = [
    ("mlp-to-97", "mnist", MLP, "auto", 60, ["--target", "0.97"], "seconds", "<= 4"),
    ("mlp", "mnist", MLP, "auto", 60, [], "test_accuracy", ">= 0.982"),
    ("mlp-shift", "mnist", MLP, "auto", 60, SHIFT, "test_accuracy", ">= 0.988 in 300 s"),
    ("cnn", "mnist", CNN, "auto", 30, [], "test_accuracy", ">= 0.98"),
    ("cnn-shift", "mnist", CNN, "auto", 60, SHIFT, "test_accuracy", ">= 0.99 in 120 s"),
    ("cnn-shift-long", "mnist", CNN, "auto", 240, SHIFT, "test_accuracy", ">= 0.994 in 600 s"),
    ("cnn-first-frozen", "mnist", CNN, "auto", 60, SHIFT + ["--set", "freeze=0"], "test_accuracy", "a control of cnn-shift"),
    ("cnn-readout", "mnist", CNN, "auto", 60, SHIFT + ["--set", "freeze=body"], "test_accuracy", "a control of cnn-shift"),
    ("fashion-cnn", "fashion-mnist", WIDE, "auto", 120, CLOTHES, "test_accuracy", ">= 0.88"),
    ("fashion-cnn-long", "fashion-mnist", WIDE, "auto", 480, CLOTHES, "test_accuracy", ">= 0.905 in 900 s"),
    ("step", "mnist", STEP, "auto", 30, [], "test_accuracy", ">= 0.965 in 120 s"),
    ("step-straight-through", "mnist", STEP, "straight-through", 30, [], "test_accuracy", "the reference, beside it"),
    ("zero-one", "mnist", MLP, "auto", 120, ["--set", "loss=zero-one"], "test_accuracy", ">= 0.97 in 120 s"),
    ("zero-one-shift", "mnist", MLP, "auto", 120, ["--set", "loss=zero-one", *SHIFT], "test_accuracy", ">= 0.97 in 120 s"),
    ("quant", "mnist", QUANT, "auto", 60, [], "test_accuracy", ">= 0.985 in 300 s"),
    ("lowrank", "mnist", MLP, "lowrank", "1.74e8", ["--set", "population=4096"], "test_accuracy", "the best in 300 s, which so many take on a machine that is quiet"),
    ("weights", "mnist", CNN, "weights", 900, ["--set", "batch=64", "--set", "population=128", "--set", "sigma=0.03"], "test_accuracy", "the best in 900 s; asked: in 20 min"),
    ("digits", "digits", "conv3x8 relu pool2 dense10", "coordinate", 20, DIGITS, "test_accuracy", ">= 0.97"),
    ("mlp-forwards-97", "mnist", MLP, "auto", 60, ["--target", "0.97"], "forwards", "<= 4 x backprop's"),
    ("mlp-forwards-97-backprop", "mnist", MLP, "backprop", 60, ["--target", "0.97"], "forwards", "the reference"),
    ("mlp-forwards-98", "mnist", MLP, "auto", 60, ["--target", "0.98"], "forwards", "<= 5 x backprop's"),
    ("mlp-forwards-98-backprop", "mnist", MLP, "backprop", 60, ["--target", "0.98"], "forwards", "the reference"),
    ("cnn-forwards-985", "mnist", CNN, "auto", 120, ["--target", "0.985"], "forwards", "<= 15 x backprop's"),
    ("cnn-forwards-985-backprop", "mnist", CNN, "backprop", 120, ["--target", "0.985"], "forwards", "the reference"),
]
for layers in DEPTHS:
    for method in ("auto", "backprop"):
        RUNS.append((f"depth-{layers}-{method}", "mnist", deep(layers), method, "3e7", ["--target", "0.97"], "forwards", f"{layers} hidden layers"))
FIELDS = ["name", "seed", "figure", "test_accuracy", "validation_accuracy", "train_loss", "seconds", "seconds_training", "seconds_target",
          "forwards", "epochs", "uses", "uses_gradients", "threads", "kernels", "command", "commit"]


def digits():
    """The path of the 1,797 digits of 8 x 8 pixels, unpacked."""
    out = os.path.join(ROOT, "build/peers/digits")
    path = os.path.join(out, "digits.csv")
    if os.path.exists(path):
        return path
    os.makedirs(out, exist_ok=True)
    inside = "usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz"
    packed = os.path.join("/", inside)
    if not os.path.exists(packed):
        subprocess.run(["apt-get", "download", "python3-sklearn"], cwd=out, check=True)
        subprocess.run(["dpkg-deb", "-x", *glob.glob(os.path.join(out, "python3-sklearn_*.deb")), out], check=True)
        packed = os.path.join(out, inside)
    with open(path + ".part", "wb") as f:
        subprocess.run(["gzip", "-dc", packed], stdout=f, check=True)
    os.replace(path + ".part", path)
    return path


def measure(wanted, seed, folder):
    name, task, net, method, seconds, more, figure, _ = wanted
    if task == "digits":
        task = os.path.relpath(digits())
    words = [task, "--net", net, "--method", method, "--seconds" if isinstance(seconds, int) else "--forwards", str(seconds), *more, "--seed", str(seed)]
    result = run(words, folder)
    if "--target" in more and not result.get("seconds_target"):
        result[figure] = float("inf")
    shown = "zeroth train " + " ".join(f'"{w}"' if " " in w else w for w in words)
    print(f"  {name} seed {seed}: {figure} {result[figure]:.5g}, test accuracy {result['test_accuracy']:.4f}", flush=True)
    return {**{f: result.get(f, "") for f in FIELDS}, "name": name, "seed": seed, "figure": result[figure], "command": shown}


def save(path, rows):
    order = [r[0] for r in RUNS]
    rows.sort(key=lambda r: (order.index(r["name"]), int(r["seed"])))
    text = io.StringIO()
    table = csv.DictWriter(text, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    _, head = header()
    write(path, head, text.getvalue())


def exponents(rows):
    """Forward-equivalents to the target go as depth to the power printed: least squares on logarithms of medians."""
    for method in ("auto", "backprop"):
        points = []
        for layers in DEPTHS:
            figures = [float(r["figure"]) for r in rows if r["name"] == f"depth-{layers}-{method}"]
            if figures and statistics.median(figures) < math.inf:
                points.append((math.log(layers), math.log(statistics.median(figures))))
        if len(points) > 1:
            mx, my = (statistics.mean(p[i] for p in points) for i in (0, 1))
            slope = sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)
            print(f"depth-{method}: forward-equivalents to 97 % ~ depth ^ {slope:.2f} ({len(points)} depths)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--only", default="", help="names of rows, with commas between")
    parser.add_argument("--mnist")
    args = parser.parse_args()
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
    wanted = args.only.split(",")
    chosen = [r for r in RUNS if r[0] in wanted or args.only == ""]
    if unknown := set(wanted) - {r[0] for r in RUNS} - {""}:
        sys.exit(f"estimators: no row {', '.join(sorted(unknown))}; there are {', '.join(r[0] for r in RUNS)}")
    names = {r[0] for r in chosen}
    seeds = [args.seed] if args.seed is not None else range(1, args.seeds + 1)
    path, rows = os.path.join(RESULTS, "estimators.csv"), []
    if args.only and os.path.exists(path):
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(line for line in f if line[0] != "#") if r["name"] not in names or int(r["seed"]) not in seeds and args.seed is not None]
    commit, _ = header()
    with tempfile.TemporaryDirectory() as folder:
        for wanted in chosen:
            for seed in seeds:
                rows.append({**measure(wanted, seed, folder), "commit": commit})
            save(path, rows)
    exponents(rows)
    for name, *_, asked in RUNS:
        figures = [float(r["figure"]) for r in rows if r["name"] == name]
        if figures:
            print(f"{name:28} {statistics.median(figures):12.5g}  {asked}")


if __name__ == "__main__":
    main()
