#!/usr/bin/python3
"""Measures what durable runs cost and give: the record's share of training time, journal bytes a step, verifying, seeds, resuming.

    bench/durable.py [--quick] [--mnist DIR]

Writes bench/results/durable.csv and prints the medians. --quick: short runs, nothing written. Mnist comes from DIR, else
$ZEROTH_DATA, else it is left out, which is said.
"""
import argparse, csv, io, json, os, signal, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spine

DURABLE = os.path.join(spine.ROOT, "build/release/bench/durable")
SHARE = "<= 0.02"
FIELDS = ["name", "turn", "figure", "steps", "seconds", "command", "commit"]


def zeroth(*arguments):
    done = subprocess.run([spine.ZEROTH, *arguments, "--quiet" if arguments[0] in ("train", "resume") else "--json", "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def shares(rows, folder, quick):
    """The same work with and without a run directory."""
    command = [DURABLE, folder] + (["1", "3"] if quick else ["3", "7"])
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    print(out, flush=True)
    for row in csv.DictReader(io.StringIO(out)):
        name = {"entry": "entry-seconds", "state": "state-seconds"}.get(row["pair"], f"share-{row['name']}")
        figure = float(row["share"] or row["seconds_a_step"])
        rows.append({"name": name, "turn": row["pair"] if row["share"] else 1, "figure": figure, "steps": row["steps"],
                     "seconds": row["seconds"], "command": "build/release/bench/durable FOLDER"})


def rebuilding(rows, folder, task, quick):
    """A run of `weights`, verified from its losses; its seeds."""
    seconds = "5" if quick else "20"
    for seed in ("1", "2", "3")[:1 if quick else 3]:
        run = os.path.join(folder, f"{task}-weights-{seed}")
        result = zeroth("train", task, "--net", spine.MLP, "--method", "weights", "--seconds", seconds, "--seed", seed, "--out", run)
        command = f"zeroth train {task} --method weights --seconds {seconds} --seed {seed} --out RUN; zeroth verify RUN"
        begin = time.perf_counter()
        found = zeroth("verify", run)
        whole = time.perf_counter() - begin
        assert found["same"], found
        rows.append({"name": f"verify-{task}-weights", "turn": seed, "figure": result["seconds_training"] / whole,
                     "steps": result["steps"], "seconds": whole, "command": command})
        seeds = os.path.join(run, "model.seeds")
        subprocess.run([spine.ZEROTH, "export", run, "--to", "seeds"], stdout=subprocess.DEVNULL, check=True)
        rows.append({"name": f"seeds-{task}-weights", "turn": seed, "steps": result["steps"], "command": "zeroth export RUN --to seeds",
                     "figure": os.path.getsize(os.path.join(run, "model.safetensors")) / os.path.getsize(seeds)})


def journal(rows, folder):
    """Bytes a step of 1,024 members: from two runs of different length."""
    sizes = {}
    for epochs in ("4", "8"):
        run = os.path.join(folder, f"journal-{epochs}")
        steps = zeroth("train", "blobs", "--method", "weights", "--set", "population=512", "--epochs", epochs, "--out", run)["steps"]
        sizes[steps] = os.path.getsize(os.path.join(run, "journal"))
    (few, small), (many, large) = sorted(sizes.items())
    rows.append({"name": "journal-bytes-1024-members", "turn": 1, "figure": (large - small) / (many - few), "steps": many,
                 "command": "zeroth train blobs --method weights --set population=512"})


def resuming(rows, folder, quick):
    """Seconds from `zeroth resume` to the first new step's report, after kill -9."""
    for turn in range(1 if quick else 3):
        run = os.path.join(folder, f"killed-{turn}")
        process = subprocess.Popen([spine.ZEROTH, "train", "fashion-mnist", "--net", spine.MLP, "--seconds", "15", "--quiet", "--out", run])
        time.sleep(3 if quick else 6)
        process.send_signal(signal.SIGKILL)
        process.wait()
        begin = time.perf_counter()
        process = subprocess.Popen([spine.ZEROTH, "resume", run, "--quiet"], stdout=subprocess.DEVNULL)
        while not any('"resumed"' in line for line in open(os.path.join(run, "metrics.jsonl"))):
            time.sleep(0.01)
        rows.append({"name": "resume-seconds", "turn": turn + 1, "figure": time.perf_counter() - begin, "command": "zeroth resume RUN"})
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mnist", default=os.environ.get("ZEROTH_DATA"))
    args = parser.parse_args()
    tasks = ["fashion-mnist"]
    if args.mnist:
        os.environ["ZEROTH_DATA"] = args.mnist
        tasks.append("mnist")
    else:
        print("LEFT OUT: mnist (give --mnist DIR or set ZEROTH_DATA)")
    rows = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        journal(rows, folder)
        shares(rows, folder, args.quick)
        for task in tasks:
            rebuilding(rows, folder, task, args.quick)
        resuming(rows, folder, args.quick)
    asked = {f"share-{k}": SHARE for k in ("xor-nodes", "blobs-weights", "fashion-nodes", "fashion-weights", "fashion-backprop")}
    asked |= {"verify-mnist-weights": ">= 20", "journal-bytes-1024-members": "<= 8500"}
    print(f"{'median':28s} {'figure':>12s}   asked")
    for name in dict.fromkeys(r["name"] for r in rows):
        print(f"{name:28s} {statistics.median(r['figure'] for r in rows if r['name'] == name):12.6g}   {asked.get(name, '')}")
    if args.quick:
        return 0
    commit, head = spine.header()
    text = io.StringIO()
    table = csv.DictWriter(text, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows({**row, "commit": commit} for row in rows)
    os.makedirs(spine.RESULTS, exist_ok=True)
    spine.write(os.path.join(spine.RESULTS, "durable.csv"), head, text.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
