#!/usr/bin/python3
"""Measures the command: accuracy, seconds, forward-equivalents; threads; start-up.

    bench/spine.py [--quick] [--seeds N] [--only NAME] [--mnist DIR]

Writes bench/results/spine.csv (one row a run), and prints the medians. --only measures the rows
whose names hold NAME ("threads", "start" too) and puts them in place of the old ones. --quick: one seed, short runs,
nothing written. Mnist comes from DIR, else $ZEROTH_DATA, else it is left out, which is said.
"""
import argparse, csv, json, os, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ZEROTH = os.path.join(ROOT, "build/release/zeroth")
RESULTS = os.path.join(ROOT, "bench/results")
MLP = "dense128 relu dense128 relu dense10"
STEP = "dense128 step dense128 step dense10"

# name, command, seconds in quick form, the figure, what is asked of its median
RUNS = [
    ("fashion-nodes", ["fashion-mnist", "--net", MLP, "--estimator", "nodes", "--seconds", "60"], "test_accuracy", ">= 0.87"),
    ("mnist-nodes", ["mnist", "--net", MLP, "--estimator", "nodes", "--seconds", "60"], "test_accuracy", ">= 0.978"),
    ("mnist-to-97", ["mnist", "--net", MLP, "--estimator", "nodes", "--seconds", "60", "--target", "0.97"], "seconds", "<= 8"),
    ("mnist-backprop", ["mnist", "--net", MLP, "--estimator", "backprop", "--rule", "adam", "--seconds", "15"], "test_accuracy", ">= 0.98"),
    ("mnist-step", ["mnist", "--net", STEP, "--estimator", "nodes", "--seconds", "60"], "test_accuracy", ">= 0.955"),
]
FIELDS = ["name", "seed", "figure", "test_accuracy", "validation_accuracy", "train_loss", "seconds", "seconds_training", "seconds_target",
          "forwards", "epochs", "uses_gradients", "threads", "kernels", "command", "commit"]


def run(arguments, folder):
    out = tempfile.mkdtemp(dir=folder)
    done = subprocess.run([ZEROTH, "train", *arguments, "--quiet", "--json", "--out", os.path.join(out, "run")],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def tasks(rows, seeds, folder, quick):
    for name, command, figure, asked in RUNS:
        for seed in range(1, seeds + 1):
            arguments = list(command)
            if quick:
                arguments[arguments.index("--seconds") + 1] = "5"
            result = run(arguments + ["--seed", str(seed)], folder)
            shown = "zeroth train " + " ".join(f'"{a}"' if " " in a else a for a in arguments + ["--seed", str(seed)])
            rows.append({**{f: result.get(f, "") for f in FIELDS}, "name": name, "seed": seed, "figure": result[figure], "command": shown})
            print(f"  {name} seed {seed}: {figure} {result[figure]:.4f}", flush=True)


def threads(rows, folder, quick, times=5):
    """Seconds of the same 2,000 steps on one thread and on two, in turn."""
    for estimator in ("nodes", "weights", "backprop"):
        budget = {"nodes": 1500000, "weights": 3000000, "backprop": 1000000}[estimator] // (10 if quick else 1)
        for turn in range(1 if quick else times):
            pair = [run(["fashion-mnist", "--net", MLP, "--estimator", estimator, "--forwards", str(budget), "--threads", str(t)], folder) for t in (1, 2)]
            speed = [r["steps"] / r["seconds_training"] for r in pair]
            rows.append({"name": f"threads-{estimator}", "seed": turn + 1, "figure": speed[1] / speed[0], "seconds_training": pair[1]["seconds_training"],
                         "forwards": pair[1]["forwards"], "threads": 2, "kernels": pair[1]["kernels"],
                         "command": f"zeroth train fashion-mnist --estimator {estimator} --forwards {budget} --threads 1, then 2"})
            print(f"  threads-{estimator}: {speed[1] / speed[0]:.2f} x", flush=True)


def start_up(rows, folder, task, times=5):
    """Seconds from the start of the process to the first line of training progress, data loaded."""
    for turn in range(times):
        out = os.path.join(tempfile.mkdtemp(dir=folder), "run")
        begin = time.perf_counter()
        process = subprocess.Popen([ZEROTH, "train", task, "--seconds", "0.2", "--out", out], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        first = None
        for line in process.stderr:
            if first is None and "%" in line and " s " in line:
                first = time.perf_counter() - begin
        process.wait()
        rows.append({"name": f"start-{task}", "seed": turn + 1, "figure": first, "command": f"zeroth train {task}"})
    print(f"  start-{task}: {statistics.median(r['figure'] for r in rows if r['name'] == f'start-{task}'):.2f} s", flush=True)


def header():
    doctor = json.loads(subprocess.run([ZEROTH, "doctor", "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    peak = doctor.get("peak_gflops", doctor.get("peak", ""))
    return commit, [f"compiler: {compiler}", f"cpu: {doctor.get('cpu', '')}", f"threads: {doctor.get('threads', '')}",
            f"kernels: {doctor.get('kernels', '')}", f"peak: {peak} GFLOP/s a core"]


def write(path, head, text):
    with open(path, "w", newline="") as f:
        f.write("".join(f"# {line}\n" for line in head) + text)
    print(f"wrote {os.path.relpath(path, ROOT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mnist", default=os.environ.get("ZEROTH_DATA"))
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
    else:
        print("LEFT OUT: mnist (give --mnist DIR or set ZEROTH_DATA)")
        RUNS[:] = [r for r in RUNS if not r[0].startswith("mnist")]
    RUNS[:] = [r for r in RUNS if args.only in r[0]]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tasks(rows, 1 if args.quick else args.seeds, folder, args.quick)
        if args.only in "threads":
            threads(rows, folder, args.quick)
        if args.only in "start-fashion-mnist":
            start_up(rows, folder, "fashion-mnist")
    asked = {name: text for name, _, _, text in RUNS} | {"threads-nodes": ">= 1.7", "start-fashion-mnist": "<= 1.5"}
    print(f"{'median':24s} {'figure':>10s}   asked")
    for name in dict.fromkeys(r["name"] for r in rows):
        print(f"{name:24s} {statistics.median(r['figure'] for r in rows if r['name'] == name):10.4f}   {asked.get(name, '')}")
    if args.quick:
        return 0
    os.makedirs(RESULTS, exist_ok=True)
    commit, head = header()
    for row in rows:
        row["commit"] = commit
    path = os.path.join(RESULTS, "spine.csv")
    if args.only and os.path.exists(path):
        fresh = {r["name"] for r in rows}
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(line for line in f if line[0] != "#") if r["name"] not in fresh] + rows
    lines = tempfile.SpooledTemporaryFile(mode="w+", newline="")
    table = csv.DictWriter(lines, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    lines.seek(0)
    if rows:
        write(path, head, lines.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
