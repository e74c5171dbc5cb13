#!/usr/bin/python3
"""Model files meet the Python package safetensors: it reads ours, we read its, and a forward pass in
numpy float64 gives what `zeroth predict` gives."""

import json
import math
import pathlib
import random
import re
import struct
import tempfile
import unittest

import support

support.use_python_env()

import numpy  # noqa: E402 (after the change of interpreter)
from safetensors import safe_open  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402

NET = "dense8 relu dense5 tanh dense3"
IMAGES = "conv3x5,same,stride2 relu { dwconv2,same tanh conv1x5 }+ norm pool2 dense7 gelu dense3"


def table(path, rows, target):
    """Three kinds of flowers on two numbers of very different size; or a number to predict."""
    draw = random.Random(4)
    lines = ["length,weight,answer"]
    for i in range(rows):
        kind = i % 3
        length, weight = draw.gauss(4 * kind, 2), 1000 + 300 * draw.gauss(-kind, .6)
        answer = f"{500 + 7 * length + .01 * weight:.3f}" if target else f"kind{kind}"
        lines.append(f"{length:.4f},{weight:.3f},{answer}")
    path.write_text("\n".join(lines) + "\n")


def metadata(model):
    with safe_open(model, framework="numpy") as f:
        return f.metadata()


def features(path, model):
    """The numbers of a table, less the offsets that the model's note gives its columns, as float32;
    and the answers."""
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    columns = json.loads(metadata(model)["task"])["columns"]
    offset = [column.get("offset", 0) for column in columns[:2]]
    x = numpy.array([row[:2] for row in rows], dtype=numpy.float64) - offset
    return x.astype(numpy.float32), [row[2] for row in rows]


def forward(tensors, words, x):
    """The network in float64, from the tensors' names alone."""
    acts = {"relu": lambda z: numpy.maximum(z, 0), "tanh": numpy.tanh}
    t = {name: value.astype(numpy.float64) for name, value in tensors.items()}
    h = (x.astype(numpy.float64) - t["input.shift"]) * t["input.scale"]
    for i, word in enumerate(words):
        h = acts[word](h) if word in acts else h @ t[f"{i}.weight"] + t[f"{i}.bias"]
    return h * t.get("output.scale", 1) + t.get("output.shift", 0)


def windows(x, k, stride, same, fill):
    """[n][rows][columns][k][k][channels] of images [n][height][width][channels]."""
    before, after = [(0, 0)], [(0, 0)]
    for side in x.shape[1:3]:
        missing = max((-(-side // stride) - 1) * stride + k - side, 0) if same else 0
        before.append((missing // 2, missing - missing // 2))
    x = numpy.pad(x, [*before, *after], constant_values=fill)
    rows, columns = ((side - k) // stride + 1 for side in x.shape[1:3])
    return numpy.array([[x[:, y * stride:y * stride + k, c * stride:c * stride + k] for c in range(columns)]
                        for y in range(rows)]).transpose(2, 0, 1, 3, 4, 5)


def forward_images(tensors, words, h, offset=0):
    """The same of a net of images, from the words and the tensors' names alone."""
    acts = {"relu": lambda z: numpy.maximum(z, 0), "tanh": numpy.tanh,
            "gelu": lambda z: z * numpy.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2)(z)}
    while words:
        word, at = words[0], offset
        w, b = (tensors.get(f"{at}.{kind}") for kind in ("weight", "bias"))
        words, offset = words[1:], offset + 1
        name, k, n, stride = re.fullmatch(r"([a-z{}+-]+)(\d*)x?(\d*)(?:,same)?(?:,stride(\d+))?", word).groups()
        k, stride, same = int(k or 0), int(stride or 1), ",same" in word
        if word in acts:
            h = acts[word](h)
        elif name == "{":
            depth, end = 1, 0
            while depth:
                depth, end = depth + (words[end] == "{") - (words[end] == "}+"), end + 1
            h = h + forward_images(tensors, words[:end - 1], h, offset)
            words, offset = words[end:], offset + end
        elif name == "conv":
            h = windows(h, k, stride, same, 0).reshape(*windows(h, k, stride, same, 0).shape[:3], -1) @ w + b
        elif name == "dwconv":
            seen = windows(h, k, stride, same, 0)
            h = (seen * w.reshape(k, k, -1)).sum(axis=(3, 4)) + b
        elif name == "pool":
            h = windows(h, k, k, same, -numpy.inf).max(axis=(3, 4))
        elif name == "norm":
            every = (1, 2, 3)
            h = (h - h.mean(axis=every, keepdims=True)) / numpy.sqrt(h.var(axis=every, keepdims=True) + 1e-5) * w + b
        else:
            h = h.reshape(len(h), -1) @ w + b
    return h


class Models(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeroth-models-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def train(self, task, *words):
        """Trains for a moment; the model file."""
        support.run(support.ZEROTH, "train", task, *words, "--epochs", "60", "--threads", "2",
                    "--quiet", "--out", self.folder / "run")
        return self.folder / "run/model.safetensors"

    def predict(self, model, data, *words):
        return json.loads(support.run(support.ZEROTH, "predict", model, data, *words, "--json"))

    def test_names_shapes_and_metadata(self):
        path = self.train("blobs", "--set", "n=300", "--set", "classes=3", "--net", NET)
        with safe_open(path, framework="numpy") as model:
            shapes = {name: model.get_tensor(name).shape for name in model.keys()}
            types = {model.get_tensor(name).dtype for name in model.keys()}
        meta = metadata(path)
        inputs = int(meta["inputs"])
        self.assertEqual(meta["format"], "zeroth")
        self.assertEqual(meta["version"], "1")
        self.assertEqual(meta["net"], NET)
        self.assertEqual(types, {numpy.dtype("float32")})
        self.assertEqual(shapes, {
            "0.weight": (inputs, 8), "0.bias": (8,), "2.weight": (8, 5), "2.bias": (5,),
            "4.weight": (5, 3), "4.bias": (3,), "input.shift": (inputs,),
            "input.scale": (inputs,)})
        config = json.loads((self.folder / "run/config.json").read_text())
        self.assertIn(NET, json.dumps(config))

    def test_numpy_classifies_alike(self):
        data = self.folder / "flowers.csv"
        table(data, 240, target=False)
        model = self.train(data, "--label", "answer", "--net", NET)
        x, answers = features(data, model)
        y = forward(load_file(model), NET.split(), x)
        p = numpy.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        got = self.predict(model, data, "--probabilities")
        numpy.testing.assert_allclose(numpy.array(got["probabilities"]), p, atol=2e-5)
        named = [got["classes"][k] for k in y.argmax(axis=1)]
        self.assertEqual(got["predictions"], named)
        right = sum(a == b for a, b in zip(named, answers)) / len(named)
        self.assertAlmostEqual(got["accuracy"], right, places=9)
        self.assertGreater(right, .5)  # it learned: agreement is not chance

    def test_numpy_predicts_numbers_alike(self):
        data = self.folder / "numbers.csv"
        table(data, 240, target=True)
        net = "dense8 relu dense1"
        model = self.train(data, "--label", "answer", "--net", net)
        tensors = load_file(model)
        self.assertEqual(tensors["output.shift"].shape, (1,))
        x, _ = features(data, model)
        y = forward(tensors, net.split(), x)[:, 0]
        got = numpy.array(self.predict(model, data)["predictions"], dtype=float).reshape(-1)
        numpy.testing.assert_allclose(got, y, rtol=1e-5)
        self.assertGreater(numpy.std(y), 0)

    def test_numpy_sees_images_alike(self):
        draw = numpy.random.default_rng(5)
        pixels = draw.integers(0, 256, (96, 9, 11), dtype=numpy.uint8)
        labels = (pixels[:, 4, 5] // 86).astype(numpy.uint8)
        for part in ("train", "t10k"):
            head = struct.pack(">IIII", 0x803, *pixels.shape)
            (self.folder / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
            (self.folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 96) + labels.tobytes())
        support.run(support.ZEROTH, "train", "images", "--data", self.folder, "--net", IMAGES, "--epochs", "20", "--threads", "2",
                    "--quiet", "--out", self.folder / "run")
        model = self.folder / "run/model.safetensors"
        t = {name: value.astype(numpy.float64) for name, value in load_file(model).items()}
        self.assertEqual(metadata(model)["shape"], "9x11x1")
        self.assertEqual(t["0.weight"].shape, (9, 5))
        self.assertEqual(t["3.weight"].shape, (4, 5))
        self.assertEqual(t["7.weight"].shape, (5,))
        x = (pixels.reshape(96, -1).astype(numpy.float32) / numpy.float32(255)).astype(numpy.float64)
        x = (x - t["input.shift"]) * t["input.scale"]
        y = forward_images(t, IMAGES.split(), x.reshape(96, 9, 11, 1))
        p = numpy.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        got = self.predict(model, self.folder / "t10k-images-idx3-ubyte", "--probabilities")
        numpy.testing.assert_allclose(numpy.array(got["probabilities"]), p, atol=3e-5)
        self.assertGreater(numpy.std(p), .01)

    def test_files_of_the_package_are_read(self):
        data = self.folder / "flowers.csv"
        table(data, 240, target=False)
        model = self.train(data, "--label", "answer", "--net", NET)
        again = self.folder / "again.safetensors"
        save_file(load_file(model), again, metadata=metadata(model))  # other places, the same tensors
        self.assertNotEqual(model.read_bytes(), again.read_bytes())
        ours, theirs = (self.predict(m, data, "--probabilities") for m in (model, again))
        for key in ("classes", "predictions", "probabilities", "accuracy"):
            self.assertEqual(ours[key], theirs[key])


if __name__ == "__main__":
    support.main()
