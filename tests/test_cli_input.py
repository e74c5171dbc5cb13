#!/usr/bin/python3
"""Every kind of bad input, and zeroth predict."""

import gzip
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess

import cli_support
import support
from cli_support import BLOBS, Command, LIMIT

SYSTEM_DATA = "/usr/share/datasets"


class BadInput(Command):
    def setUp(self):
        super().setUp()
        draw = random.Random(2)
        self.images = bytes(draw.randrange(256) for _ in range(40 * 784))
        self.labels = bytes(i % 10 for i in range(40))

    def idx(self, name="mnist", **changed):
        """A data set of 40 + 40 images; `changed` replaces files by name."""
        images = struct.pack(">IIII", 0x803, 40, 28, 28) + self.images
        labels = struct.pack(">II", 0x801, 40) + self.labels
        for part in ("train", "t10k"):
            for kind, data in (("images-idx3", images), ("labels-idx1", labels)):
                data = changed.get(f"{part}_{kind[:6]}", gzip.compress(data))
                packed = data[:2] == b"\x1f\x8b"
                self.write(f"{name}/{part}-{kind}-ubyte" + (".gz" if packed else ""), data)
        return ["train", "mnist", "--data", name, "--epochs", "1", "--quiet", "--net", "dense10"]

    def test_good_idx(self):
        words = self.idx()
        self.assertEqual(self.result(*words)["task"], "mnist")
        (self.folder / "mnist").rename(self.folder / "inner")
        (self.folder / "parent").mkdir()
        (self.folder / "inner").rename(self.folder / "parent/mnist")
        words[3] = "parent"
        self.result(*words)
        del words[2:4]
        self.result(*words, env={"ZEROTH_DATA": "parent"})

    def test_images_of_your_own(self):
        labels = bytes(i % 3 for i in range(40))
        packed = gzip.compress(struct.pack(">II", 0x801, 40) + labels)
        words = self.idx("own", train_labels=packed, t10k_labels=packed)
        words[1], words[-1] = "images", "dense3"
        found = self.result(*words, "--out", "three")
        self.assertEqual((found["task"], found["net"]), ("images", "dense3"))
        predicted = self.good("predict", "three", "own/t10k-images-idx3-ubyte.gz").stdout.split()
        self.assertEqual(len(predicted), 40)
        self.assertLessEqual(set(predicted), {"0", "1", "2"})
        strange = gzip.compress(struct.pack(">II", 0x801, 40) + b"\5" + labels[1:])
        self.bad(*self.idx("own", train_labels=packed, t10k_labels=strange)[:0], "train", "images", "--data",
                 "own", "--quiet", status=1, says="class 5")

    def test_missing_data_set(self):
        (self.folder / "empty").mkdir()
        said = self.bad("train", "mnist", "--data", "empty", "--quiet", status=1,
                        says="(looked in empty/mnist, empty)")
        self.assertNotIn(SYSTEM_DATA, said)
        self.bad("train", "fashion-mnist", "--data", "empty", "--quiet", status=1,
                 says=["empty", "dataset-fashion-mnist"], env={"ZEROTH_DATA": SYSTEM_DATA})
        if not pathlib.Path(SYSTEM_DATA, "mnist").exists():
            self.bad("train", "mnist", "--quiet", status=1, env={"ZEROTH_DATA": "empty"},
                     says=["(looked in empty/mnist, empty)", SYSTEM_DATA])
            self.bad("train", "mnist", "--quiet", status=1, says=f"looked in {SYSTEM_DATA}/mnist")
        self.bad("train", "images", "--quiet", status=2, says="--data")
        self.bad("train", "gone.csv", "--label", "x", "--quiet", status=1, says="gone.csv")

    def recorded(self, *words, **options):
        got = self.result(*words, "--quiet", **options)
        return json.loads((self.folder / got["run"] / "config.json").read_text()).get("data")

    def test_where_data_come_from_is_recorded(self):
        words = self.idx("parent/mnist")[:-3]
        words[2:] = ["--net", "dense10", "--forwards", "1"]
        env = {"ZEROTH_DATA": "parent"}
        self.assertEqual(self.recorded(*words, env=env), "parent")
        self.assertEqual(self.recorded(*words, "--data", "parent/mnist", env=env), "parent/mnist")
        self.assertIsNone(self.recorded(*BLOBS, env=env))
        if not pathlib.Path(SYSTEM_DATA, "fashion-mnist").exists():
            self.skipTest("NOT TESTED: the system's data sets (needs dataset-fashion-mnist)")
        words[1] = "fashion-mnist"
        self.assertIsNone(self.recorded(*words, env=env))
        self.bad(*words, "--data", "parent", "--quiet", status=1, says="looked in parent/fashion")

    def test_broken_idx(self):
        good = struct.pack(">IIII", 0x803, 40, 28, 28) + self.images
        labels = struct.pack(">II", 0x801, 40)
        for changed, says in (
                ({"train_images": gzip.compress(good)[:-2000]}, "train-images"),
                ({"train_images": good[:-1]}, "train-images"),
                ({"train_images": b""}, "train-images"),
                ({"train_images": struct.pack(">IIII", 0x999, 40, 28, 28) + self.images}, "999"),
                ({"train_images": struct.pack(">IIII", 0x803, 0, 28, 28)}, "train-images"),
                ({"train_images": struct.pack(">IIII", 0x803, 2**31, 2**15, 2**15)}, "train-images"),
                ({"t10k_images": good[:3]}, "t10k-images"),
                ({"train_labels": struct.pack(">II", 0x801, 39) + self.labels[:39]}, "39"),
                ({"train_labels": labels + bytes(39) + b"\x0b"}, "11")):
            with self.subTest(says=says):
                shutil.rmtree(self.folder / "mnist", ignore_errors=True)
                self.bad(*self.idx(**changed), status=1, says=says)

    def test_tables(self):
        head = "a,b,kind\n"
        rows = "1,2,x\n2,1,y\n3,5,x\n4,4,y\n" * 10
        for text, label, says, status in (
                (head + rows + "1,2\n", "kind", "42", (1,)),
                (head + rows + "1,2,x,4\n", "kind", "42", (1,)),
                (head + rows + "nan,2,x\n", "kind", "42", (1,)),
                (head + rows + ",2,x\n", "kind", "42", (1,)),
                (head + "1,2,x\n" * 30, "kind", "same value", (1,)),
                (head + rows, "knid", "kind", (1, 2)),
                (head, "kind", "", (1,)), ("", "kind", "", (1,)),
                (head + rows, None, "label", (1, 2))):
            with self.subTest(says=says, label=label):
                self.write("t.csv", text)
                words = ["train", "t.csv", "--quiet"] + (["--label", label] if label else [])
                before = self.entries()
                done = self.zeroth(*words)
                self.assertIn(done.returncode, status, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(says, done.stderr)
                self.assertEqual(self.entries(), before)
        self.write("t.csv", head + rows + ",2,x\n")
        self.result("train", "t.csv", "--label", "kind", "--missing", "impute", "--epochs", "1",
                    "--quiet")
        self.bad("train", "t.csv", "--label", "kind", "--missing", "implute", "--quiet", status=2,
                 says="impute")

    def test_nets(self):
        for spec in ("dense8 relu dense4", "dense0", "dense-5 dense3", "dense dense3", "relu",
                     "dense99999999999999999999", "dense3 dense3 nonsense", "   ", "8",
                     "dense3 dense1000000000 dense1000000000 dense3"):
            with self.subTest(spec=spec):
                self.bad("train", "blobs", "--set", "classes=3", "--epochs", "1", "--quiet",
                         "--net", spec, status=2)
        self.bad("train", "blobs", "--set", "classes=3", "--quiet", "--net", "dense8 relu dense4",
                 status=2, says=["dense4", "3"])

    def test_zero_and_negative_sizes(self):
        for setting in ("n=0", "n=-5", "classes=0", "classes=-1", "inputs=0", "inputs=-3",
                        "batch=0", "batch=-1"):
            with self.subTest(setting=setting):
                self.bad("train", "blobs", "--epochs", "1", "--quiet", "--set", setting, status=2,
                         says=setting.split("=")[0])
        for inputs in ("0", "-1"):
            self.bad("show", "--net", "dense3", "--inputs", inputs, status=2, says="--inputs")

    def test_out_cannot_be_written(self):
        self.write("file", "")
        self.bad(*BLOBS, "--quiet", "--out", "file/run", status=1, says="file/run")
        self.bad(*BLOBS, "--quiet", "--out", "file", status=1, says="file")
        self.bad(*BLOBS, "--quiet", "--out", "/proc/zeroth-run", status=1, says="/proc/zeroth-run")
        if os.geteuid():
            (self.folder / "closed").mkdir(mode=0o555)
            self.bad(*BLOBS, "--quiet", "--out", "closed/run", status=1, says="closed/run")

    def test_files_too_large(self):
        """What a full disk does, with a limit on the size of files: writes fail half-way."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        done = self.zeroth(*BLOBS, "--quiet", "--out", "run", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse((self.folder / "run/model.safetensors").exists())

    def test_result_that_cannot_be_saved_is_shown(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
        words = [*BLOBS, "--quiet", "--net", "dense2999 dense3"]
        done = self.zeroth(*words, "--json", "--out", "a", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("a/model.safetensors", done.stderr)
        got = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(got["net"], "dense2999 dense3")
        self.assertIn("test_accuracy", got)
        done = self.zeroth(*words, "--out", "b", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^test accuracy +\d")
        self.assertFalse((self.folder / "b/model.safetensors").exists())

    def test_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
        if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            self.skipTest("NOT TESTED: a full disk (needs root and the right to mount a tmpfs)")
        try:
            done = self.zeroth(*BLOBS, "--quiet", "--out", "disk/run", "--net", "dense999 dense3")
            self.assertEqual(done.returncode, 1, done.stderr)
            *warnings, last = done.stderr.splitlines()
            self.assertLessEqual(len(warnings), 1, done.stderr)
            for line in warnings:
                self.assertTrue(line.startswith("zeroth: warning: disk/run/"), line)
            self.assertRegex(last, r"^zeroth: disk/run/.*No space left")
            self.assertFalse((disk / "run/model.safetensors").exists())
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_lying_model(self):
        self.flowers(rows=30)
        self.good("train", "flowers.csv", "--label", "species", "--epochs", "1", "--out", "run",
                  "--quiet")
        good = (self.folder / "run/model.safetensors").read_bytes()
        length = struct.unpack("<Q", good[:8])[0]
        header = good[8:8 + length]
        self.assertIn(b'"data_offsets"', header)
        offsets = [(m.start(1), m.end(1))
                   for m in re.finditer(rb'"data_offsets":\s*\[(\d+)', header)]
        start, end = offsets[-1]
        lie = header[:start] + b"9" * (end - start) + header[end:]
        for data in (b"", good[:5], good[:-4], struct.pack("<Q", 2**63) + good[8:],
                     struct.pack("<Q", length + 4) + good[8:], good[:8] + b"[" + good[9:],
                     good[:8] + lie + good[8 + length:], good + b"more",
                     good[:8] + header.replace(b'"F32"', b'"F64"') + good[8 + length:]):
            self.write("model.safetensors", data)
            self.bad("predict", "model.safetensors", "flowers.csv", status=1,
                     says="model.safetensors")
            self.bad("show", "model.safetensors", status=1, says="model.safetensors")


class Predict(Command):
    def setUp(self):
        super().setUp()
        self.flowers()
        self.good("train", "flowers.csv", "--label", "species", "--epochs", "60", "--seed", "1",
                  "--out", "run", "--quiet")

    def test_classes(self):
        done = self.good("predict", "run", "flowers.csv")
        names = done.stdout.splitlines()
        self.assertEqual(len(names), 150)
        right = sum(a == b for a, b in zip(names, ["setosa", "versicolor", "virginica"] * 50))
        self.assertGreaterEqual(right, 140)
        self.assertIn(f"accuracy {100 * right / 150:.2f} %", done.stderr)
        self.assertEqual(self.good("predict", "run/model.safetensors", "flowers.csv").stdout,
                         done.stdout)

    def test_without_answers(self):
        self.flowers("new.csv", rows=9, answers=False)
        done = self.good("predict", "run", "new.csv")
        self.assertEqual(len(done.stdout.splitlines()), 9)
        self.assertEqual(done.stderr, "")

    def test_warnings(self):
        self.write("new.csv", "length,width,colour\n1,2,mauve\n1,2,red\n")
        done = self.good("predict", "run", "new.csv")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("zeroth: warning: "), done.stderr)
        self.assertIn('"mauve" in line 2', done.stderr)
        self.assertEqual(self.good("predict", "run", "new.csv", "--quiet").stderr, "")

    def test_json_and_probabilities(self):
        got = json.loads(self.good("predict", "run", "flowers.csv", "--json",
                                   "--probabilities").stdout)
        plain = self.good("predict", "run", "flowers.csv").stdout.splitlines()
        self.assertEqual((got["n"], got["run"], got["input"]), (150, "run", "flowers.csv"))
        self.assertEqual(got["predictions"], plain)
        self.assertGreater(got["accuracy"], .9)
        rows = self.good("predict", "run", "flowers.csv", "--probabilities").stdout.splitlines()
        self.assertEqual(rows[0].split(","), ["prediction", *got["classes"]])
        for name, row in zip(plain, rows[1:]):
            cells = row.split(",")
            share = [float(cell) for cell in cells[1:]]
            self.assertAlmostEqual(sum(share), 1, places=4)
            self.assertEqual([cells[0], got["classes"][share.index(max(share))]], [name, name])

    def test_out(self):
        plain = self.good("predict", "run", "flowers.csv").stdout
        self.assertEqual(self.good("predict", "run", "flowers.csv", "--out", "p.txt").stdout, "")
        self.assertEqual((self.folder / "p.txt").read_text(), plain)
        self.good("predict", "run", "flowers.csv", "--out", "/dev/null")
        self.assertTrue(pathlib.Path("/dev/null").is_char_device())
        self.bad("predict", "run", "flowers.csv", "--out", "/dev/full", status=1, says="/dev/full")
        self.bad("predict", "run", "flowers.csv", "--out", "no/p.txt", status=1, says="no/p.txt")
        self.write("keep.txt", "old")

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        self.bad("predict", "run", "flowers.csv", "--out", "keep.txt", status=1, says="keep.txt",
                 preexec_fn=limit)
        self.assertEqual((self.folder / "keep.txt").read_text(), "old")

    def test_files_that_do_not_fit(self):
        self.bad("predict", "gone", "flowers.csv", status=1, says="gone")
        self.bad("predict", "run", "gone.csv", status=1, says="gone.csv")
        self.write("less.csv", "length,colour\n1,red\n")
        done = self.zeroth("predict", "run", "less.csv")
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("width", done.stderr)
        self.write("text.csv", "length,width,colour\n1,x,red\n")
        self.bad("predict", "run", "text.csv", status=1, says="2")

    def test_stdout_that_fails(self):
        with open("/dev/full", "w") as full:
            done = self.zeroth("predict", "run", "flowers.csv", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)
        command = f"'{support.ZEROTH}' list; '{support.ZEROTH}' predict run flowers.csv --quiet"
        done = subprocess.run(["bash", "-c", f"({command}; echo status $? >&2) | head -1 >/dev/null"],
                              cwd=self.folder, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        self.assertRegex(done.stderr, r"^status [01]\n$")
        read, write = os.pipe()
        os.close(read)
        done = self.zeroth("predict", "run", "flowers.csv", "--quiet", stdout=write)
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (1, ""))


if __name__ == "__main__":
    cli_support.main()
