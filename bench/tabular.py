#!/usr/bin/python3
"""Measures elm on tables beside scikit-learn's logistic regression and random forest: accuracy in five stratified folds.

    bench/tabular.py [--quick] [--only NAME,NAME] [--others] [--folds SEEDS] [--elm WORDS]

Tables are those of two Debian packages, python3-sklearn and weka, which are fetched and unpacked without being installed. scikit-learn comes
from PyPI into build/tabular once (tools/tabular.txt); where that fails, one line and status 77. All methods see the same folds, written as CSV
files; elm holds out its own validation part of the training rows. Logistic regression has standardised numbers and one-hot texts, the forest
500 trees and the same columns; gaps are medians, or a category of their own. Both take their defaults for the rest.

Writes bench/results/tabular.csv (one row a fold), and prints mean accuracies and mean ranks beside what is asked. --only: these tables. What is
measured takes the place of its old rows, all others stay. --others: the tables that defaults of elm are chosen on, nothing written. --folds:
so many times five folds. --elm: more words for the command, to try settings (denseN: as many outputs as classes); elm alone is run, and
nothing written. --quick: one fold, 50 trees, nothing written.
"""
import argparse, csv, glob, gzip, io, json, os, random, shlex, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
from spine import RESULTS, ROOT, ZEROTH, header, write

PLACE = os.path.join(ROOT, "build/tabular")
PACKAGES = os.path.join(ROOT, "tools/tabular.txt")
DEBIAN = os.path.join(PLACE, "debian")
FOLDS = 5
METHODS = ["elm", "logistic", "forest"]
BEHIND, WORSE = 0.5, 0.03  # asked: mean rank behind the forest's, and accuracy below the logistic regression's, at the most

SKLEARN, WEKA = "usr/lib/python3/dist-packages/sklearn/datasets/data", "usr/share/doc/weka/examples"
MEASURED = {
    "iris": f"{SKLEARN}/iris.csv",
    "wine": f"{SKLEARN}/wine_data.csv",
    "cancer": f"{SKLEARN}/breast_cancer.csv",
    "digits": f"{SKLEARN}/digits.csv.gz",
    "diabetes": f"{WEKA}/diabetes.arff",
    "glass": f"{WEKA}/glass.arff",
    "ionosphere": f"{WEKA}/ionosphere.arff",
    "credit": f"{WEKA}/credit-g.arff",
}
OTHERS = {
    "segment": f"{WEKA}/segment-challenge.arff",
    "vote": f"{WEKA}/vote.arff",
    "soybean": f"{WEKA}/soybean.arff",
    "labor": f"{WEKA}/labor.arff",
    "recurrence": f"{WEKA}/breast-cancer.arff",
    "unbalanced": f"{WEKA}/unbalanced.arff",
    "supermarket": f"{WEKA}/supermarket.arff",
}
FIELDS = ["table", "method", "folds", "fold", "accuracy", "rows", "columns", "classes", "seconds", "command", "commit"]


# ---- tables ----

def unpacked(package, path):
    """The place of a file of a Debian package, fetched where it is not installed."""
    if os.path.exists(os.path.join("/", path)):
        return os.path.join("/", path)
    found = os.path.join(DEBIAN, path)
    if not os.path.exists(found):
        os.makedirs(DEBIAN, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=DEBIAN, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["dpkg-deb", "-x", *glob.glob(os.path.join(DEBIAN, f"{package}_*.deb")), DEBIAN], check=True)
    return found


def read_arff(text):
    """Names, whether a column is of numbers, and rows; the last column is the class."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("%")]
    start = next(i for i, line in enumerate(lines) if line.lower().startswith("@data"))
    numbers = []
    for line in lines[:start]:
        if line.lower().startswith("@attribute"):
            kind = line.rstrip().rsplit("}", 1)[0] if line.rstrip().endswith("}") else line.split()[-1].lower()
            numbers.append(kind in ("real", "numeric", "integer"))
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines[start + 1:], quotechar="'", escapechar="\\", skipinitialspace=True)]
    return numbers, rows


def read_table(path):
    """(numbers, rows): whether each feature is a number, and rows of texts, the class last; a missing value is empty."""
    package = "weka" if path.startswith(WEKA) else "python3-sklearn"
    with open(unpacked(package, path), "rb") as f:
        data = f.read()
    text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    if path.endswith(".arff"):
        numbers, rows = read_arff(text)
    else:
        rows = list(csv.reader(text.splitlines()))
        rows = rows[1:] if not rows[0][-1].replace(".", "").isdigit() else rows  # a line of counts and names
        numbers = [True] * len(rows[0])
    assert all(len(row) == len(numbers) for row in rows), path
    return numbers[:-1], [["" if cell == "?" else cell for cell in row] for row in rows]


def split(rows, seed):
    """The fold of each row: class after class, shuffled, dealt out in turn."""
    deal, fold, at = random.Random(seed), [0] * len(rows), 0
    for label in sorted({row[-1] for row in rows}):
        members = [i for i, row in enumerate(rows) if row[-1] == label]
        deal.shuffle(members)
        for i in members:
            fold[i] = at % FOLDS
            at += 1
    return fold


def write_fold(folder, numbers, rows, fold, k):
    for part, wanted in (("train", False), ("test", True)):
        with open(os.path.join(folder, part + ".csv"), "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow([*(f"x{i}" for i in range(len(numbers))), "class"])
            out.writerows(row for row, of in zip(rows, fold) if (of == k) == wanted)
    with open(os.path.join(folder, "numbers.json"), "w") as f:
        json.dump(numbers, f)


# ---- the methods ----

def elm(folder, seed, more):
    """Accuracy on the fold, and the command."""
    run = os.path.join(folder, f"run{time.monotonic_ns()}")
    words = ["--label", "class", "--method", "elm", "--set", "test=0", "--set", "missing=impute", *more, "--seed", str(seed)]
    subprocess.run([ZEROTH, "train", os.path.join(folder, "train.csv"), *words, "--quiet", "--json", "--out", run],
                   stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run([ZEROTH, "predict", run, os.path.join(folder, "test.csv"), "--json", "--quiet"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["accuracy"], "zeroth train train.csv " + " ".join(words)


def encoded(numpy, folder):
    """Features and labels of both parts: numbers with medians in gaps, then texts one-hot; and how many numbers there are."""
    with open(os.path.join(folder, "numbers.json")) as f:
        numbers = json.load(f)
    parts = []
    for part in ("train", "test"):
        with open(os.path.join(folder, part + ".csv"), newline="") as f:
            parts.append(numpy.array(list(csv.reader(f))[1:], dtype=object))
    columns = {True: [], False: []}
    for i, number in enumerate(numbers):
        if number:
            values = [numpy.array([float(cell) if cell else numpy.nan for cell in part[:, i]]) for part in parts]
            median = numpy.nanmedian(values[0]) if not numpy.isnan(values[0]).all() else 0.0
            columns[True].append([numpy.where(numpy.isnan(v), median, v) for v in values])
        else:
            columns[False] += [[(part[:, i] == text).astype(float) for part in parts] for text in sorted(set(parts[0][:, i]))]
    both = columns[True] + columns[False]
    x = [numpy.column_stack([column[side] for column in both]) for side in (0, 1)]
    return x, [part[:, -1].astype(str) for part in parts], len(columns[True])


def worker(trees):
    """Requests are lines of JSON: {"folder": F, "seed": S}; answers: accuracy and seconds of both methods."""
    import warnings
    import numpy
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    warnings.simplefilter("error")  # one that did not converge is not the method
    print("{}", flush=True)
    for line in sys.stdin:
        asked, answer = json.loads(line), {}
        (x, test), (y, want), n = encoded(numpy, asked["folder"])
        mean, deviation = x[:, :n].mean(0), x[:, :n].std(0)
        for part in (x, test):
            part[:, :n] = (part[:, :n] - mean) / numpy.where(deviation > 0, deviation, 1)
        for name, model in (("logistic", LogisticRegression(max_iter=100000)),
                            ("forest", RandomForestClassifier(trees, random_state=asked["seed"], n_jobs=2))):
            start = time.perf_counter()
            accuracy = float((model.fit(x, y).predict(test) == want).mean())
            answer[name] = [accuracy, time.perf_counter() - start]
        print(json.dumps(answer), flush=True)


class Peer:
    """A process of the Python that has scikit-learn."""

    def __init__(self, trees):
        self.process = subprocess.Popen([os.path.join(PLACE, "bin/python"), __file__, "--worker", str(trees)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"tabular: scikit-learn's process ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, folder, seed):
        print(json.dumps({"folder": folder, "seed": seed}), file=self.process.stdin, flush=True)
        return self.answer()


# ---- the measurement ----

def measure(name, path, seeds, folds, peer, more):
    numbers, rows = read_table(path)
    about = {"table": name, "rows": len(rows), "columns": len(numbers), "classes": len({row[-1] for row in rows})}
    found = []
    for seed in range(1, seeds + 1):
        fold = split(rows, seed)
        for k in range(folds):
            with tempfile.TemporaryDirectory() as folder:
                write_fold(folder, numbers, rows, fold, k)
                start = time.perf_counter()
                accuracy, command = elm(folder, seed, [word.replace("denseN", f"dense{about['classes']}") for word in more])
                seen = {"elm": [accuracy, time.perf_counter() - start], **(peer.ask(folder, seed) if peer else {})}
            found += [{**about, "method": method, "folds": seed, "fold": k + 1, "accuracy": f"{seen[method][0]:.6f}",
                       "seconds": f"{seen[method][1]:.3f}", "command": command if method == "elm" else ""} for method in seen]
    print(f"  {name}: " + ", ".join(f"{m} {mean(found, name, m):.4f}" for m in seen), flush=True)
    return found


def mean(rows, table, method):
    return statistics.mean(float(r["accuracy"]) for r in rows if r["table"] == table and r["method"] == method)


def ranks(values):
    """1 for the largest; equals share."""
    return [1 + sum(w > v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def show(rows):
    tables = list(dict.fromkeys(r["table"] for r in rows))
    if len({r["method"] for r in rows}) == 1:
        return print(f"mean {100 * statistics.mean(mean(rows, t, 'elm') for t in tables):.2f}")
    means = {t: [mean(rows, t, m) for m in METHODS] for t in tables}
    place = [statistics.mean(ranks(means[t])[i] for t in tables) for i in range(len(METHODS))]
    print(f"\n{'':14}" + "".join(f"{m:>10}" for m in METHODS))
    for t in tables:
        worse = "   WORSE than logistic" if means[t][1] - means[t][0] > WORSE else ""
        print(f"{t:14}" + "".join(f"{100 * a:10.2f}" for a in means[t]) + worse)
    print(f"{'mean':14}" + "".join(f"{100 * statistics.mean(means[t][i] for t in tables):10.2f}" for i in range(len(METHODS))))
    print(f"{'mean rank':14}" + "".join(f"{r:10.2f}" for r in place))
    print(f"behind the forest by {place[0] - place[2]:+.2f} ranks (asked: <= {BEHIND}); "
          f"below logistic by {100 * max(m[1] - m[0] for m in means.values()):.2f} points at the most (asked: <= {100 * WORSE:g})")


def save(path, rows, head):
    order = list(MEASURED)
    rows.sort(key=lambda r: (order.index(r["table"]) if r["table"] in order else len(order), r["table"], int(r["folds"]), int(r["fold"])))
    text = io.StringIO()
    table = csv.DictWriter(text, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write(path, [*head, *peers.versions(["scikit-learn"], PACKAGES)], text.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="names of tables, with commas between")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--folds", type=int, default=3, help="times five folds (default: 3)")
    parser.add_argument("--elm", default="", help="more words for zeroth train")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args.worker)
    peers.install(PLACE, PACKAGES, "scikit-learn and what it imports", "about 300 MB")
    tables, only = OTHERS if args.others else MEASURED, set(args.only.split(",")) - {""}
    if unknown := only - set(tables):
        sys.exit(f"tabular: no table {', '.join(sorted(unknown))}; there are {', '.join(tables)}")
    writes = not (args.quick or args.others or args.elm)
    path, rows = os.path.join(RESULTS, "tabular.csv"), []
    commit, head = header() if writes else ("", [])
    if writes and os.path.exists(path):
        with open(path, newline="") as f:
            rows = list(csv.DictReader(line for line in f if line[0] != "#"))
    peer = None if args.elm else Peer(50 if args.quick else 500)
    for name in tables:
        if not only or name in only:
            found = measure(name, tables[name], 1 if args.quick else args.folds, 1 if args.quick else FOLDS, peer, shlex.split(args.elm))
            rows = [r for r in rows if r["table"] != name] + [{**r, "commit": commit} for r in found]
            if writes:
                save(path, rows, head)
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
