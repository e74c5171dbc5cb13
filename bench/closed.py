#!/usr/bin/python3
"""Measures closed forms: test accuracy and seconds of the whole command, beside what is asked; controls; accuracy against time.

    bench/closed.py [--quick] [--seeds N] [--only NAME,NAME] [--mnist DIR] [--tables]

Writes bench/results/closed.csv (one row a run), and prints medians. Seconds are those that pass from the start of the process to its end,
reading the data and looking at test images included; the memory at its most is what the system counts. What is measured takes the place of
the old rows of its name, all others stay. --only: rows whose names are these or begin so (front-mnist). --quick: one seed and small
nets, nothing written. --tables prints the tables of docs/closed-form.md from what was measured before. A row whose task, method or
setting the program does not know is left out, which is said; all else that goes wrong counts as failed. Mnist comes from DIR, else
$ZEROTH_DATA; rgb from bench/rgb.py, which makes images in the layout of CIFAR. All rows take two hours with three seeds.
"""
import argparse, csv, io, json, os, re, shutil, statistics, subprocess, sys, tempfile, time

from spine import RESULTS, ROOT, ZEROTH, header, write

PATH = os.path.join(RESULTS, "closed.csv")
GENERATOR = os.path.join(ROOT, "bench/rgb.py")
RGB = ("50000", "10000")  # training and test images
UNKNOWN = r"(task|method) \".*\" is not known|there is no setting"  # in what the program says of a word that it does not know
TASKS = ("mnist", "fashion-mnist")
MORE = {"mnist": ["shift=1"], "fashion-mnist": ["shift=1", "flip=yes"]}  # what copies of rows are
FIELDS = ["name", "seed", "figure", "test_accuracy", "validation_accuracy", "seconds", "seconds_training", "memory_gb", "features", "lambda",
          "forwards", "parameters", "net", "uses", "threads", "kernels", "command", "commit"]


def net(units=6000, filters=64, patch=7, cells="cells4", whole=False):
    """The default net of conv-elm for 28 x 28 pixels, written out: rows do not change when defaults do. whole: units see all cells."""
    side = int(re.findall(r"\d+", cells)[0])
    tail = f"{{ image{side} conv{side - 1}x{units // 4} relu flatten }}cat " if units else ""
    if units and whole:
        tail = f"{{ dense{units} relu }}cat "
    return f"patch{patch}x{filters},pad{(patch - 1) // 3} twosided0.25 {cells} sqrt flatten scale {tail}dense10"


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def written(spec, *pairs):
    return ["--method", "conv-elm", "--net", spec, *settings(*pairs)]


# name, task, words, seeds, what is asked of the accuracy and of the seconds (None: nothing)
RUNS = [
    ("mnist-fast", "mnist", ["--method", "conv-elm"], 3, 0.992, 30),
    ("mnist-best", "mnist", ["--method", "conv-elm", *settings("preset=best", "copies=1", "shift=1", "rotate=10")], 3, 0.995, 300),
    ("fashion-fast", "fashion-mnist", ["--method", "conv-elm"], 3, 0.923, 30),
    ("fashion-best", "fashion-mnist", ["--method", "conv-elm", *settings("preset=best", "loss=logistic", "iterations=3")], 3, 0.937, 300),
    ("fashion-logistic", "fashion-mnist", ["--method", "conv-elm", *settings("loss=logistic", "iterations=3")], 3, None, None),
    ("mnist-elm", "mnist", ["--method", "elm", *settings("units=10000", "weights=class-sums", "fields=yes")], 3, 0.985, 25),
    ("mnist-elm-7000", "mnist", ["--method", "elm", *settings("units=7000", "weights=class-sums", "fields=yes")], 3, 0.985, 25),
    ("mnist-pcanet", "mnist", ["--method", "pcanet"], 3, 0.992, None),
    ("rgb", "cifar10", written("patch6x50,pad2 twosided0.25 cells4 sqrt flatten scale { dense2400 relu }cat dense10"), 3, None, None),
]
for task in TASKS:
    RUNS += [
        (f"control-{task}-pixels", task, ["--method", "elm", "--net", "dense10"], 3, None, None),
        (f"control-{task}-filters", task, written(net(0)), 3, None, None),
        (f"control-{task}-units", task, ["--method", "elm", "--net", "dense6000 relu dense10"], 3, None, None),
        (f"control-{task}-both", task, written(net()), 3, None, None),
    ]

# What is changed from the net above, one thing at a time; then small and large nets, which change several.
FRONT = [("base", net(), [])]
FRONT += [(f"units-{u}", net(units=u), []) for u in (0, 1000, 2000, 4000, 10000)]
FRONT += [(f"filters-{f}", net(filters=f), []) for f in (32, 128)]
FRONT += [(f"cells-{c.removeprefix('cells').replace(',', '-')}", net(cells=c), []) for c in ("cells3", "cells5", "cells6", "cells4,max")]
FRONT += [(f"whiten-{w}", net(), [f"whiten={w}"]) for w in (0.005, 0.5)]
FRONT += [(f"filters-{f}", net(), [f"filters={f}"]) for f in ("random", "patches")]  # random: the control
FRONT += [(f"whole-{w}", net(whole=True), [f"weights={w}"]) for w in ("normal", "class")] + [("patch-5", net(patch=5), [])]
FRONT += [(f"copies-{c}", net(), [f"copies={c}", "MORE"]) for c in (1, 2)]
FRONT += [(f"ensemble-{k}", net(), [f"ensemble={k}"]) for k in (2, 4)]
FRONT += [
    ("small", net(0, filters=32, cells="cells3"), []),
    ("small-units", net(1000, filters=32, cells="cells3"), []),
    ("large", net(10000, filters=150), []),
]
for task in TASKS:
    for what, spec, pairs in FRONT:
        pairs = [p for pair in pairs for p in (MORE[task] if pair == "MORE" else [pair])]
        RUNS.append((f"front-{task}-{what}", task, written(spec, *pairs), 1, None, None))


# ---- a run ----

class LeftOut(Exception):
    """The program, or something that a row needs, is not there yet."""


def small(words):
    """The same with few units: only to see that the words are good."""
    words = [re.sub(r"(dense|conv\dx)\d{3,}", r"\g<1>50", w) for w in words]
    if "--net" not in words and "pcanet" not in words:
        words = [w for pair in zip(words[::2], words[1::2]) if not pair[1].startswith("units=") for w in pair] + ["--set", "units=200"]
    return words + ["--seconds", "1"]


def generated(folder, quick):
    """The folder of images of the layout of CIFAR."""
    if not os.path.exists(GENERATOR):
        raise LeftOut("there is no bench/rgb.py to make images")
    out = os.path.join(folder, "rgb")
    if not os.path.exists(out):
        n, test = ("500", "100") if quick else RGB
        part = out + ".part"  # what was cut short is made again
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([sys.executable, GENERATOR, part, "--images", n, "--test", test, "--seed", "1"], check=True, stdout=subprocess.DEVNULL)
        os.rename(part, out)
    return out


def process(words, folder):
    """The result of a command, with seconds and memory of its process; and what its record says."""
    out = os.path.join(tempfile.mkdtemp(dir=folder), "run")
    errors = tempfile.TemporaryFile("w+")
    start = time.perf_counter()
    child = subprocess.Popen([ZEROTH, "train", *words, "--quiet", "--json", "--out", out], stdout=subprocess.PIPE, stderr=errors, text=True)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    errors.seek(0)
    said = (errors.read().strip().splitlines() or [""])[-1]
    if child.returncode == 2 and re.search(UNKNOWN, said):
        raise LeftOut(said)
    if child.returncode:
        raise RuntimeError(f"status {child.returncode}: {said}")
    result = json.loads(text.splitlines()[-1])
    plan = ""
    for name in ("config.json", "metrics.jsonl"):
        with open(os.path.join(out, name)) as f:
            plan += f.read()
    features, chosen = re.findall(r"for (\d+) features", plan), re.findall(r"lambda ([\d.e+-]+)", plan)
    result |= {"seconds": round(seconds, 3), "memory_gb": round(usage.ru_maxrss * 1024 / 1e9, 3),
               "features": features[-1] if features else "", "lambda": chosen[-1] if chosen else ""}
    return result


def measure(name, task, words, seed, folder, quick):
    shown = [task, *words]
    words = [task, *(small(words) if quick else words)]
    if task == "cifar10":
        words += ["--data", generated(folder, quick)]
        shown += ["--data", "RGB"]
    result = process([*words, "--seed", str(seed)], folder)
    figure = result["seconds"] if task == "cifar10" else result["test_accuracy"]
    print(f"  {name} seed {seed}: test accuracy {result['test_accuracy']:.4f}, {result['seconds']:.1f} s, {result['memory_gb']:.2f} GB", flush=True)
    command = "zeroth train " + " ".join(f'"{w}"' if " " in w else w for w in [*shown, "--seed", str(seed)])
    return {**{f: result.get(f, "") for f in FIELDS}, "name": name, "seed": seed, "figure": figure, "command": command}


# ---- what was measured ----

def read():
    if not os.path.exists(PATH):
        return []
    with open(PATH, newline="") as f:
        return list(csv.DictReader(line for line in f if line[0] != "#"))


def save(rows, head):
    order = [r[0] for r in RUNS]
    rows.sort(key=lambda r: (order.index(r["name"]) if r["name"] in order else len(order), r["name"], int(r["seed"])))
    text = io.StringIO()
    table = csv.DictWriter(text, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write(PATH, head, text.getvalue())


def median(rows, name, field):
    return statistics.median(float(r[field]) for r in rows if r["name"] == name)


def show(rows):
    there = {r["name"] for r in rows}
    print(f"\n{'median':36} {'accuracy':>9} {'seconds':>8} {'GB':>6}   asked")
    for name, _, _, _, accuracy, seconds in RUNS:
        if name not in there:
            continue
        seen = [median(rows, name, field) for field in ("test_accuracy", "seconds", "memory_gb")]
        asked = " ".join([f">= {accuracy}"] * (accuracy is not None) + [f"in <= {seconds} s"] * (seconds is not None))
        missed = (accuracy is not None and seen[0] < accuracy) or (seconds is not None and seen[1] > seconds)
        print(f"{name:36} {seen[0]:9.4f} {seen[1]:8.1f} {seen[2]:6.2f}   {asked}{'   MISSED' if missed else ''}")


# ---- tables for docs/closed-form.md ----

def markdown_asked(rows):
    print("| command | test accuracy | seconds | memory | asked |\n|---|---|---|---|---|")
    for name, task, words, _, accuracy, seconds in RUNS:
        if accuracy is not None and any(r["name"] == name for r in rows):
            asked = f"{100 * accuracy:g} %" + (f" in {seconds} s" if seconds else "")
            print(f"| `zeroth train {' '.join([task, *words])}` | {100 * median(rows, name, 'test_accuracy'):.2f} % | "
                  f"{median(rows, name, 'seconds'):.1f} | {median(rows, name, 'memory_gb'):.2f} GB | {asked} |")


def markdown_controls(rows):
    parts = {"pixels": "pixels", "filters": "fixed filters", "units": "random units on pixels", "both": "filters and units on them"}
    print("| what the solve sees | " + " | ".join(f"{t} | seconds" for t in TASKS) + " |\n|---" + "|---" * 2 * len(TASKS) + "|")
    for part, text in parts.items():
        names = [f"control-{t}-{part}" for t in TASKS]
        if all(any(r["name"] == n for r in rows) for n in names):
            print(f"| {text} | " + " | ".join(f"{100 * median(rows, n, 'test_accuracy'):.2f} % | {median(rows, n, 'seconds'):.1f}" for n in names) + " |")


def front(rows):
    """Of (seconds, accuracy, ...), those that nothing else beats in both."""
    best, kept = -1.0, []
    for row in sorted(rows, key=lambda r: (r[0], -r[1])):
        if row[1] > best:
            best = row[1]
            kept.append(row)
    return kept


def markdown_front(rows, task):
    of = [r for r in rows if r["name"].startswith(f"front-{task}-")]
    points = sorted((median(rows, n, "seconds"), median(rows, n, "test_accuracy"), n.removeprefix(f"front-{task}-"),
                     next(r["features"] for r in of if r["name"] == n)) for n in dict.fromkeys(r["name"] for r in of))
    kept = front(points)
    print(f"| {task} | features | seconds | test accuracy | on the front |\n|---|---|---|---|---|")
    for point in points:
        seconds, accuracy, what, features = point
        print(f"| {what.replace('-', ' ')} | {features} | {seconds:.1f} | {100 * accuracy:.2f} % | {'yes' if point in kept else ''} |")


def tables(rows):
    markdown_asked(rows)
    print()
    markdown_controls(rows)
    for task in TASKS:
        print()
        markdown_front(rows, task)


def chosen(only):
    runs = [r for r in RUNS if not only or any(r[0] == w or r[0].startswith(w + "-") for w in only)]
    if unknown := [w for w in only if not any(r[0] == w or r[0].startswith(w + "-") for r in RUNS)]:
        sys.exit(f"closed: no row {', '.join(unknown)}; there are {', '.join(r[0] for r in RUNS)}")
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, help="instead of three, and of one on the front")
    parser.add_argument("--only", default="", help="names of rows, or how they begin, with commas between")
    parser.add_argument("--mnist")
    parser.add_argument("--tables", action="store_true")
    args = parser.parse_args()
    if args.tables:
        return tables(read())
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
    runs = chosen([w for w in args.only.split(",") if w])
    if not os.environ.get("ZEROTH_DATA"):
        print("LEFT OUT: mnist (give --mnist DIR or set ZEROTH_DATA)")
        runs = [r for r in runs if r[1] != "mnist"]
    rows, failed = [] if args.quick else read(), False
    commit, head = ("", []) if args.quick else header()
    with tempfile.TemporaryDirectory() as folder:
        for name, task, words, seeds, *_ in runs:
            try:
                found = [measure(name, task, words, seed, folder, args.quick) for seed in range(1, (1 if args.quick else args.seeds or seeds) + 1)]
            except LeftOut as why:
                print(f"LEFT OUT: {name}: {why}", flush=True)
                continue
            except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
                print(f"FAILED: {name}: {fault}", flush=True)
                failed = True
                continue
            rows = [r for r in rows if r["name"] != name] + [{**r, "commit": commit} for r in found]
            if not args.quick:
                save(rows, head)
    show(rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
