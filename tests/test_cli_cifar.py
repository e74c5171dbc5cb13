#!/usr/bin/python3
"""Images in CIFAR's binary files on the command line: training, prediction, and what is said of files that are wrong."""

import gzip
import json
import random
import shutil

import cli_support
from cli_support import Command

NET = "patch5x16,pad1 twosided0.25 cells4 sqrt flatten scale { dense40 relu }cat dense10"
FILES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def records(draw, n, labels=1):
    """Ten classes: stripes of one of five directions, in colours that are mixed the other way round in every second class. A window of 14
    x 14 somewhere shows them; all else is noise."""
    out = bytearray()
    for i in range(n):
        kind = (i * 7 + 3) % 10
        down, across, phase = draw.randrange(18), draw.randrange(18), draw.randrange(6)
        image = [bytearray(draw.randbytes(1024)) for _ in range(3)]
        for y in range(14):
            for x in range(14):
                step = (y, x, y + x, y - x, 2 * y + x)[kind // 2]
                bright = (step + phase) % 6 < 3
                at = 32 * (down + y) + across + x
                image[kind % 2][at] = 230 if bright else 20
                image[2][at] = 20 if bright else 230
        out += bytes([kind // 2, kind][2 - labels:]) + b"".join(image)
    return bytes(out)


class Cifar(Command):
    def setUp(self):
        super().setUp()
        draw = random.Random(5)
        for name in FILES:
            self.write(f"data/cifar-10-batches-bin/{name}", records(draw, 120))
        self.write("data/cifar-10-batches-bin/batches.meta.txt", "".join(f"kind {i}\n" for i in range(10)))

    def train(self, *words, task="cifar10"):
        return self.result("train", task, "--data", "data", "--quiet", "--threads", "2", *words)

    def test_from_files_to_predictions(self):
        got = self.train("--method", "conv-elm", "--net", NET, "--out", "run")
        self.assertGreater(got["test_accuracy"], .6)  # 0.1 is chance
        shown = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(shown["layers"][0]["shape"], [30, 30, 16])
        test = "data/cifar-10-batches-bin/test_batch.bin"
        done = self.good("predict", "run", test, "--json")
        predicted = json.loads(done.stdout)
        self.assertEqual(predicted["accuracy"], got["test_accuracy"])
        right = sum(name == f"kind {(i * 7 + 3) % 10}" for i, name in enumerate(predicted["predictions"]))
        self.assertAlmostEqual(right / 120, got["test_accuracy"], 9)
        self.assertIn("on 120 rows", done.stderr)
        self.write("new.bin.gz", gzip.compress((self.folder / test).read_bytes()[:3073 * 5]))
        self.assertEqual(self.good("predict", "run", "new.bin.gz").stdout.splitlines(), predicted["predictions"][:5])
        self.write("new.bin", (self.folder / test).read_bytes()[:-1])
        self.bad("predict", "run", "new.bin", status=1, says=["new.bin", "record 120 ends after 3072"])
        self.good("verify", "run", "--data", "data")

    def test_threads_give_the_same_model(self):
        models = []
        for threads in ("1", "3"):
            self.train("--method", "conv-elm", "--net", NET, "--out", threads, "--threads", threads)
            models.append((self.folder / threads / "model.safetensors").read_bytes())
        self.assertEqual(*models)

    def test_copies_are_moved_and_mirrored(self):
        got = self.train("--method", "conv-elm", "--net", NET, "--set", "copies=1", "--set", "flip=yes", "--set", "shift=2")
        self.assertGreater(got["test_accuracy"], .6)

    def test_the_tasks_own_net(self):
        got = self.train("--epochs", "0.2", "--set", "batch=16")
        self.assertEqual(got["net"], "conv5x16 relu pool2 conv5x32 relu pool2 dense64 relu dense10")
        default = self.train("--method", "conv-elm", "--units", "50")
        self.assertIn("patch7x64", default["net"])

    def test_a_hundred_classes(self):
        draw = random.Random(6)
        for name in ("train.bin", "test.bin"):
            self.write(f"data/cifar100/{name}", records(draw, 400 if name == "train.bin" else 100, labels=2))
        words = ["--method", "conv-elm", "--net"]
        got = self.train(*words, NET.replace("dense10", "dense100"), task="cifar100")
        self.assertGreater(got["test_accuracy"], .5)
        net = NET.replace("dense10", "dense20")
        coarse = self.train(*words, net, "--set", "labels=coarse", "--out", "coarse", task="cifar100")
        self.assertGreater(coarse["test_accuracy"], .5)
        done = json.loads(self.good("predict", "coarse", "data/cifar100/test.bin", "--json").stdout)
        self.assertEqual(done["accuracy"], coarse["test_accuracy"])
        self.assertLessEqual(set(done["predictions"]), {str(i) for i in range(20)})

    def test_what_is_wrong(self):
        words = ["train", "cifar10", "--quiet", "--data"]
        self.bad(*words, "gone", status=1, says=["looked in gone/cifar10", "cifar-10-binary.tar.gz", "--data"])
        self.bad("train", "cifar10", "--quiet", status=1, env={"ZEROTH_DATA": "gone"}, says="ZEROTH_DATA")
        folder = self.folder / "data/cifar-10-batches-bin"
        good = (folder / "test_batch.bin").read_bytes()
        for name, data, says in (
                ("test_batch.bin", good[:-1], ["test_batch.bin", "record 120 ends after 3072"]),
                ("test_batch.bin", b"", ["test_batch.bin", "empty"]),
                ("data_batch_2.bin", good[:3073] + b"\x0b" + good[3074:], ["data_batch_2.bin", "record 2", "label 11"]),
                ("data_batch_5.bin", good[:3073 * 2] + b"", ""),
                ("batches.meta.txt", b"one\ntwo\n", ["batches.meta.txt", "2 classes"]),
                ("test_batch.bin", None, "test_batch.bin is missing"),
                ("data_batch_1.bin", None, "data_batch_1.bin is missing")):
            with self.subTest(name=name, says=says):
                shutil.copytree(folder, self.folder / "broken")
                if data is None:
                    (self.folder / "broken" / name).unlink()
                else:
                    self.write(f"broken/{name}", data)
                if says:
                    self.bad(*words, "broken", status=1, says=says)
                else:
                    self.good(*words, "broken", "--method", "conv-elm", "--net", NET)
                shutil.rmtree(self.folder / "broken")
        self.bad(*words, "data", "--set", "labels=fine", status=2, says="labels")
        found = json.loads(self.good("doctor", "--json", "--data", "data").stdout)["data"]
        self.assertEqual({e["name"]: e.get("folder") for e in found}["cifar10"], "data/cifar-10-batches-bin")


if __name__ == "__main__":
    cli_support.main()
