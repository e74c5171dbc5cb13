#!/usr/bin/python3
"""Measures what the settings of node perturbation are worth: validation accuracy after the same forward-equivalents.

    bench/settings.py [--seeds N] [--only QUESTION,QUESTION] [--mnist DIR]

Writes bench/results/settings.csv (one row a run), and prints a table for each question. --only: rows of these questions, put in place of the
old ones. Mnist comes from DIR, else $ZEROTH_DATA. Budgets are counted and not timed, so that what else the machine does has no part in
the figures. All rows take half an hour with two seeds.
"""
import argparse, csv, io, os, statistics, sys, tempfile

from spine import RESULTS, header, run, write

MLP = "dense128 relu dense128 relu dense10"
STEP = "dense128 step dense128 step dense10"
CNN = "conv5x8 relu pool2 conv5x16 relu pool2 dense64 relu dense10"
QUANT = "conv5x8 quant4 pool2 conv5x16 quant4 pool2 dense64 quant4 dense10"
DRAWS = ["set=random", "place=outputs"]


def each(key, values, *more):
    return [(f"{key}={v}", [*more, f"{key}={v}"]) for v in values]


# question, net, method, forward-equivalents, variants: name and settings
QUESTIONS = [
    ("draws", MLP, "nodes", 2e6, [(f"batch={b} draws={k}", [*DRAWS, f"batch={b}", f"draws={k}"]) for b in (64, 256, 1024) for k in (1, 4, 16, 64)]),
    ("noise", MLP, "nodes", 2e6, each("noise", ("rademacher", "gaussian", "hadamard"), *DRAWS)),
    ("sides", MLP, "nodes", 2e6, [("sides=one draws=16", [*DRAWS, "sides=one"]), ("sides=two draws=8", [*DRAWS, "sides=two", "draws=8"])]),
    ("sides-step", STEP, "nodes", 1e6, each("sides", ("one", "two"))),
    ("shaping", MLP, "nodes", 2e6, each("shaping", ("raw", "z-score", "centred-rank", "sign"), *DRAWS)),
    ("sigma", MLP, "nodes", 1e6, each("sigma", (0.0001, 0.001, 0.01, 0.1, 1))),
    ("sigma-draws", MLP, "nodes", 2e6, each("sigma", (0.001, 0.01, 0.1, 1), *DRAWS)),
    ("sigma-step", STEP, "nodes", 1e6, each("sigma_jump", (0.1, 0.3, 1, 3))),
    ("sigma-quant", QUANT, "nodes", 5e5, each("sigma_jump", (0.03, 0.1, 0.3, 1))),
    ("sigma-zero-one", MLP, "nodes", 1e6, each("sigma_jump", (0.3, 1, 3), "loss=zero-one")),
    ("scale", MLP, "nodes", 1e6, each("scale", ("absolute", "relative"))),
    ("spending-mlp", MLP, "nodes", 2e6, each("limit", (0.03, 0.1, 0.3, 1, 3))),
    ("spending-mlp", MLP, "auto", 2e6, each("tolerance", (0.05, 0.25, 1, 4))),
    ("spending-cnn", CNN, "nodes", 1e6, each("limit", (0.1, 0.3, 1), "shift=1")),
    ("spending-cnn", CNN, "auto", 1e6, each("tolerance", (0.05, 0.25, 1, 4), "shift=1")),
    ("rules", MLP, "nodes", 1e6, each("rule", ("sgd", "momentum", "nesterov", "adam", "adamw", "sign", "coolmomentum", "langevin", "clipup"))),
    ("average", MLP, "nodes", 2e6, each("average", (0, 0.1, 0.3))),
    ("output", MLP, "nodes", 1e6, [("sides@4=two", ["sides@4=two"]), ("sides@4=one", ["sides@4=one"])]),
    ("frozen", MLP, "nodes", 1e6, [("none", []), ("freeze=0", ["freeze=0"]), ("freeze=body", ["freeze=body"])]),
]
FIELDS = ["question", "variant", "method", "seed", "validation_accuracy", "validation_loss", "steps", "forwards", "net", "command", "commit"]


def measure(question, variant, seed, folder):
    name, net, method, forwards, _ = question
    words = ["mnist", "--net", net, "--method", method, "--forwards", f"{forwards:g}", "--seed", str(seed)]
    for setting in variant[1]:
        words += ["--set", setting]
    result = run(words, folder)
    shown = "zeroth train " + " ".join(f'"{w}"' if " " in w else w for w in words)
    return {**{f: result.get(f, "") for f in FIELDS}, "question": name, "variant": variant[0], "method": method, "seed": seed, "command": shown}


def show(rows):
    for question in dict.fromkeys(r["question"] for r in rows):
        print(f"\n{question}")
        of = [r for r in rows if r["question"] == question]
        for key in dict.fromkeys((r["method"], r["variant"]) for r in of):
            found = [float(r["validation_accuracy"]) for r in of if (r["method"], r["variant"]) == key]
            print(f"  {key[0]:5} {key[1]:28} {100 * statistics.mean(found):6.2f} %   {100 * min(found):6.2f} to {100 * max(found):6.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="questions, with commas between")
    parser.add_argument("--mnist")
    args = parser.parse_args()
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
    wanted = set(args.only.split(",")) - {""}
    if unknown := wanted - {q[0] for q in QUESTIONS}:
        sys.exit(f"settings: no question {', '.join(sorted(unknown))}; there are {', '.join(dict.fromkeys(q[0] for q in QUESTIONS))}")
    path, rows = os.path.join(RESULTS, "settings.csv"), []
    if wanted and os.path.exists(path):
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(line for line in f if line[0] != "#") if r["question"] not in wanted]
    commit, head = header()
    order = {q[0]: i for i, q in enumerate(QUESTIONS)}
    with tempfile.TemporaryDirectory() as folder:
        for question in QUESTIONS:
            if wanted and question[0] not in wanted:
                continue
            for variant in question[4]:
                for seed in range(1, args.seeds + 1):
                    rows.append({**measure(question, variant, seed, folder), "commit": commit})
                    print(f"  {question[0]}: {question[2]} {variant[0]} seed {seed}: {rows[-1]['validation_accuracy']:.4f}", flush=True)
            text = io.StringIO()
            table = csv.DictWriter(text, FIELDS, lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(rows, key=lambda r: order[r["question"]]))
            write(path, head, text.getvalue())
    show(rows)


if __name__ == "__main__":
    main()
