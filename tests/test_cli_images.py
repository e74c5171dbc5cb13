#!/usr/bin/python3
"""Networks on images from the command line: what `show --net` says of a spec, what is refused and how, and a run of a
convolutional network from training to prediction."""

import gzip
import json
import random
import struct

import cli_support
from cli_support import Command

NET = "conv3x6 relu pool2 { norm conv1x6 tanh }+ dwconv2 dense3"


class Specs(Command):
    def test_shapes_are_shown(self):
        words = ["show", "--net", "conv5x8 relu pool2 conv5x16,same { norm }+ dense10", "--inputs", "28x28x1"]
        got = json.loads(self.good(*words, "--json").stdout)
        self.assertEqual([layer["shape"] for layer in got["layers"]],
                         [[24, 24, 8], [24, 24, 8], [12, 12, 8], [12, 12, 16], [12, 12, 16], [12, 12, 16],
                          [12, 12, 16], [1, 1, 10]])
        self.assertEqual(got["inputs"], 784)
        self.assertEqual(got["parameters"], 208 + 25 * 8 * 16 + 16 + 32 + 144 * 16 * 10 + 10)
        self.assertEqual(got["layers"][0]["cost"], 24 * 24 * 25 * 8)
        text = self.good(*words).stdout
        for part in ("24 x 24 x 8", "12 x 12 x 16", "weights outputs", "115,200"):
            self.assertIn(part, text)
        flat = self.good("show", "--net", "dense10", "--inputs", "784").stdout
        self.assertEqual(self.good("show", "--net", "dense10", "--inputs", "28x28x1").stdout, flat)

    def test_bad_specs(self):
        for net, inputs, says in (
                ("con5x8", "8x8x1", "did you mean conv5x8?"),
                ("conv5", "8x8x1", ["word 1", "conv5x8 (8 filters of 5 x 5)"]),
                ("conv5x8,strde2", "8x8x1", ["word 1", ",same ,strideN ,dilationN ,nobias"]),
                ("relu", "8x8x1", "follows a layer"),
                ("conv3x4 conv9x4", "8x8x1", ["word 2", "9 x 9 does not fit an image of 6 x 6"]),
                ("conv3x4 }+", "8x8x1", ["word 2", "no { began"]),
                ("{ conv3x4,same", "8x8x1", "end it with }+"),
                ("{ conv3x4,same }+", "8x8x1", ["word 3", "makes 8 x 8 x 4 of 8 x 8 x 1"]),
                ("pool3", "2x2x1", "does not fit an image of 2 x 2"),
                ("conv3x4", "9", ["(9 channels)", "is the input an image?"]),
                ("dense8 wta0", "9", "wta1 to wta65536"),
                ("dense8 quant9", "9", "quant1 to quant8"),
                ("dense0", "9", "dense1 to"),
                ("conv99999999999999999999x4", "8x8x1", "word 1"),
                ("conv1x65536 dense1048576", "8x8x1", "too large")):
            with self.subTest(net=net):
                self.bad("show", "--net", net, "--inputs", inputs, status=2, says=["net spec", *([says] if isinstance(says, str)
                                                                                                else says)])
                self.bad("show", net, "--inputs", inputs, status=2) if " " in net else None

    def test_bad_inputs(self):
        for inputs in ("28x28", "28x28x", "x28x28", "28x28x0", "0x28x28", "28x-28x1", "28x28x1x1", "28X28X1", "28 x 28 x 1",
                       "28x28x1 ", "+28x28x1", "2000x2000x3", "99999999999x1x1", "1048577", "1e3", "0x10", "7.5", "ten"):
            with self.subTest(inputs=inputs):
                self.bad("show", "--net", "dense3", "--inputs", inputs, status=2, says="inputs")
        self.bad("show", "--net", "dense3", status=2, says=["--inputs", "28x28x1"])

    def test_bad_specs_of_training(self):
        for net, says in (("conv3x4 dense3", "is the input an image?"), ("con3x4 dense3", "did you mean conv3x4?"),
                          ("{ dense2 }+ dense4", "end the net with dense3")):
            with self.subTest(net=net):
                self.bad("train", "blobs", "--set", "classes=3", "--quiet", "--net", net, status=2, says=says)


class Runs(Command):
    def setUp(self):
        super().setUp()
        draw = random.Random(3)
        for part, n in (("train", 240), ("t10k", 60)):
            pixels, labels = bytearray(), bytearray()
            for i in range(n):  # a bright line, a bright column, or a bright spot, somewhere
                kind, at, across = i % 3, draw.randrange(1, 7), draw.randrange(1, 9)
                for y in range(8):
                    for x in range(10):
                        on = (y == at, x == across, abs(y - at) < 2 and abs(x - across) < 2)[kind]
                        pixels.append(draw.randrange(40) + 200 * on)
                labels.append(kind)
            for kind, head, data in (("images-idx3", struct.pack(">IIII", 0x803, n, 8, 10), pixels),
                                     ("labels-idx1", struct.pack(">II", 0x801, n), labels)):
                self.write(f"lines/{part}-{kind}-ubyte.gz", gzip.compress(head + data))

    def train(self, *words):
        return self.result("train", "images", "--data", "lines", "--quiet", "--threads", "2", "--set", "batch=20", *words)

    def test_a_run_from_end_to_end(self):
        got = self.train("--net", NET, "--epochs", "30", "--out", "run", "--set", "lr=0.01")
        self.assertGreater(got["test_accuracy"], .9)
        self.assertEqual(got["net"], NET)
        shown = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(shown["layers"][0]["shape"], [6, 8, 6])
        self.assertIn("6 x 8 x 6", self.good("show", "run").stdout)
        said = self.good("predict", "run", "lines/t10k-images-idx3-ubyte.gz").stdout.split()
        self.assertGreater(sum(a == str(i % 3) for i, a in enumerate(said)) / 60, .9)
        self.good("verify", "run", "--data", "lines")

    def test_kernels_and_threads_give_the_same_model(self):
        models = []
        for out, words in (("a", ["--kernels", "ref"]), ("b", ["--threads", "3"]), ("c", ["--set", "batch=20"])):
            self.train("--net", NET, "--epochs", "1", "--out", out, *words)
            models.append((self.folder / out / "model.safetensors").read_bytes())
        self.assertEqual(models[1:], models[:1] * 2)

    def test_seeds_of_a_run(self):
        self.train("--net", NET, "--epochs", "5", "--out", "run", "--method", "weights", "--set", "lr=0.01")
        self.good("verify", "run")
        self.good("export", "run", "--to", "seeds", "--out", "run.seeds")
        images = "lines/t10k-images-idx3-ubyte.gz"
        self.assertEqual(self.good("predict", "run.seeds", images).stdout, self.good("predict", "run", images).stdout)

    def test_every_method_takes_images(self):
        classes = json.loads(self.good("list", "--json").stdout)
        for estimator in classes["estimators"]:
            with self.subTest(estimator=estimator["name"]):
                got = self.train("--net", NET, "--epochs", "1", "--method", estimator["name"])
                self.assertEqual(got["estimator"], estimator["name"])

    def test_nets_of_features(self):
        net = "patch3x12,pad1 twosided0.25 cells3 sqrt flatten scale { dense20 relu }cat dense3"
        got = self.train("--net", net, "--epochs", "8", "--out", "run")
        self.assertEqual(got["net"], net)
        self.assertGreater(got["test_accuracy"], .7)
        self.assertIn("twosided0.25", self.good("show", "run").stdout)
        images = "lines/t10k-images-idx3-ubyte.gz"
        self.assertTrue(self.good("predict", "run", images).stdout)
        for name, says in (("patch", ",padN ,epsE"), ("twosided", "twosided0.25"), ("}cat", "channels")):
            self.assertIn(says, self.good("list", "layers", name).stdout)

    def test_nets_that_jump(self):
        for net in ("conv3x8 wta4 pool2 dense3", "conv3x6 step dense3", "conv3x6 norm quant2 dwconv2 sign dense3"):
            with self.subTest(net=net):
                got = self.train("--net", net, "--epochs", "12", "--set", "lr=0.02")
                self.assertGreater(got["test_accuracy"], .7)
                self.bad("train", "images", "--data", "lines", "--quiet", "--net", net, "--method", "backprop", status=2,
                         says=["no useful derivative", "straight-through"])

    def test_another_shape_is_another_model(self):
        self.train("--net", NET, "--epochs", "1", "--out", "run")
        model = self.folder / "run/model.safetensors"
        good = model.read_bytes()
        self.assertIn(b'"shape":"8x10x1"', good)
        for shape, says in ((b"8x10x2", "no image of 8 x 10 x 2"), (b"80x1x1", "does not fit"), (b"8x1001", "shape"),
                            (b"8x-101", "shape"), (b"axbxc_", "shape")):
            with self.subTest(shape=shape):
                model.write_bytes(good.replace(b"8x10x1", shape))
                self.bad("show", "run/model.safetensors", status=1, says=says)
                self.bad("predict", "run/model.safetensors", "lines/t10k-images-idx3-ubyte.gz", status=1, says=says)
        model.write_bytes(good.replace(b'"shape":"8x10x1"', b'"shake":"8x10x1"'))  # a row of a table, then
        self.bad("show", "run/model.safetensors", status=1, says="is the input an image?")
        model.write_bytes(good)
        self.good("show", "run/model.safetensors")


if __name__ == "__main__":
    cli_support.main()
