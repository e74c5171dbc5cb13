#!/usr/bin/python3
"""Measures how near the machine's limit passes and solves run: kernels, perturbed passes, scaling, closed forms, and others beside them.

    bench/speed.py [--quick] [--only NAME]

Runs build/release/bench/{kernels,passes,scaling,linear} and bench/peers.py, and prints a table of what is asked and what was seen. Writes
bench/results/{kernels,passes,scaling,linear,peers}.csv. --quick: a few rounds of each, nothing written. --only: one of the five.
"""
import argparse, csv, os, re, statistics, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from spine import RESULTS, ROOT, header, write

PROGRAMS = os.path.join(ROOT, "build/release/bench")
PARTS = ["kernels", "passes", "scaling", "linear", "peers"]


def program(name, quick):
    """The CSV text of one of the C programs, shown as it comes."""
    text = ""
    process = subprocess.Popen([os.path.join(PROGRAMS, name), *(["--quick"] if quick else [])], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        text += line
        print("  " + line, end="", flush=True)
    if process.wait():
        sys.exit(f"speed: {name} failed with status {process.returncode}")
    return text


def rows_of(text):
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def notes_of(text):
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


# ---- what is asked: (what, asked, figures) from the rows ----

def least(rows, **wanted):
    """The least and the median share among rows whose fields match."""
    shares = [float(r["share"]) for r in rows if all(re.fullmatch(v, r[k]) for k, v in wanted.items())]
    return f"{min(shares):.2f} to {max(shares):.2f}, median {statistics.median(shares):.2f}" if shares else "not measured"


def of_passes(text):
    rows = rows_of(text)
    table = []
    for kind, asked in (("nodes", ">= 0.92"), ("lowrank", ">= 0.92"), ("weights", ">= 0.80")):
        for row in (r for r in rows if r["passes"] == kind):
            table.append((f"{kind}, {row['net']}: passes against plain inference of the same layers and rows", asked,
                          f"{float(row['time_ratio']):.2f} in time; {float(row['rate_ratio']):.2f} by multiply-adds done"))
    for row in rows:
        table.append((f"{row['passes']}, {row['net']}: share of a step outside passes", "<= 0.12", row["outside"]))
    return table + [(note, "", "") for note in notes_of(text)]


def of_scaling(text):
    table = []
    for row in rows_of(text):
        if row["what"].endswith("-exponent"):
            asked = "0.95 to 1.05" if row["what"].split("-")[0] in ("population", "batch") else ""
            table.append((f"time against {row['what'].split('-')[0]}, {row['method']}, {row['net'][:40]}: exponent", asked, row["figure"]))
        if row["what"] == "threads-speed":
            table.append((f"2 threads against 1, {row['method']}, {row['net'][:40]}", ">= 1.85", row["figure"]))
    return table


def of_kernels(text):
    rows = [r for r in rows_of(text) if r["share"]]
    wide = r"\d+ x (1[3-9]\d|12[89]|[2-9]\d\d|\d{4}) -> (1[3-9]\d|12[89]|[2-9]\d\d|\d{4})"
    table = []
    for name, asked in (("avx512", ">= 0.82"), ("avx2", ">= 0.80")):
        for what, kernel, shape, want in (
                ("dense product, 128 wide and more, against the core's peak", "dense", wide, asked),
                ("convolution, 16 channels and more", "conv", ".*", ">= 0.60"),
                ("first convolution, 1 to 3 channels", "conv-first", ".*", ">= 0.35"),
                ("column updates and what follows, 128 to 1024 wide", "column-update", ".*", ">= 0.35")):
            found = least(rows, kernels=name, kernel=kernel, shape=shape)
            if found != "not measured":
                table.append((f"{name}: {what}", want, found))
    return table


def of_linear(text):
    rows = rows_of(text)
    large = [r for r in rows if int(r["p"]) >= 4000]
    return [(what, asked, least(of, operation=operation)) for what, operation, of, asked in (
        ("features of conv-elm's default net, against the peak", "features", rows, ">= 0.45"),
        ("its patch layer alone", "features-patch", rows, ""),
        ("its filters, up to what its units see", "features-filters", rows, ""),
        ("its units alone", "features-units", rows, ""),
        ("sums of products, lower triangle, 4,000 features and more", "gram", large, ">= 0.75"),
        ("the same from numbers in bfloat16", "gram-bfloat16", large, ""),
        ("Cholesky factor, 4,000 features and more", "cholesky", large, ">= 0.65"))]


def peers(quick):
    """What bench/peers.py says; it installs 5 GB, so the quick form takes them only where they are."""
    if quick and not os.path.exists(os.path.join(ROOT, "build/peers/peers.txt")):
        print("LEFT OUT: peers (bench/peers.py installs PyTorch, EvoTorch and evosax, about 5 GB, and measures them)")
        return
    subprocess.run([os.path.join(ROOT, "bench/peers.py"), *(["--quick"] if quick else [])], check=False)


def show(table):
    width = max(len(what) for what, _, _ in table)
    print(f"\n{'':{width}}  {'asked':14} seen")
    for what, asked, seen in table:
        print(f"{what:{width}}  {asked:14} {seen}" if asked or seen else what)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    args = parser.parse_args()
    table, texts = [], {}
    for name, read in (("kernels", of_kernels), ("passes", of_passes), ("scaling", of_scaling), ("linear", of_linear)):
        if args.only in (None, name):
            print(f"{name}:")
            texts[name] = program(name, args.quick)
            table += read(texts[name])
    if texts:
        show(table)
    if args.only in (None, "peers"):
        print("\npeers:", flush=True)
        peers(args.quick)
    if args.quick or not texts:
        return 0
    os.makedirs(RESULTS, exist_ok=True)
    commit, head = header()
    for name, text in texts.items():
        write(os.path.join(RESULTS, name + ".csv"), [f"commit: {commit}", *head, *notes_of(text)],
              "".join(line + "\n" for line in text.splitlines() if not line.startswith("# ")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
