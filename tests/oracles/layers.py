"""What PyTorch gives for layers on images, in double precision: layers.inc.

    build/peers/bin/python tests/oracles/layers.py > tests/oracles/layers.inc

Inputs and parameters follow from number() below, which test_torch.c repeats; every one is exact in single precision. Our arrays are
channels last, and of a window height x width x channels x filters; torch has them channels first.
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
CLASSES = 3


def number(stream, i):
    """Number i of a stream: 0 the inputs, 1, 2, ... the tensors of the net in their order."""
    return ((i * 7919 + stream * 10007) % 61 - 30) / 32


class Net:
    """Reads tensors one after the other, as our nets have them."""

    def __init__(self):
        self.tensors = []

    def tensor(self, *shape):
        n, stream = torch.Size(shape).numel(), len(self.tensors) + 1
        t = torch.tensor([number(stream, i) for i in range(n)]).reshape(shape).requires_grad_()
        self.tensors.append(t)
        return t

    def conv(self, x, height, width, filters, bias=True, **options):
        w = self.tensor(height, width, x.shape[1], filters)
        b = self.tensor(filters) if bias else None
        return F.conv2d(x, w.permute(3, 2, 0, 1), b, **options)

    def depthwise(self, x, height, width, bias=True, **options):
        c = x.shape[1]
        w = self.tensor(height, width, c)
        b = self.tensor(c) if bias else None
        return F.conv2d(x, w.permute(2, 0, 1).unsqueeze(1), b, groups=c, **options)

    def dense(self, x, units):
        x = x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
        w, b = self.tensor(x.shape[1], units), self.tensor(units)
        return x @ w + b

    def norm(self, x):
        w, b = self.tensor(x.shape[1]), self.tensor(x.shape[1])
        return F.group_norm(x, 1, w, b) if x.ndim == 4 else F.layer_norm(x, x.shape[1:], w, b)

    def scale(self, x):
        w, b = self.tensor(x.shape[1]), self.tensor(x.shape[1])
        return x * w[:, None, None] + b[:, None, None]


def small_residual(n, x):
    x = F.gelu(n.conv(x, 2, 2, 3))
    y = n.norm(n.conv(x, 3, 3, 3, padding="same"))
    x = torch.tanh(x + F.leaky_relu(y, 0.01))
    return n.dense(F.max_pool2d(x, 2), CLASSES)


def nested(n, x):
    def inner(h):
        return h + torch.sigmoid(n.conv(h, 1, 1, 2))

    x = x + torch.relu(n.depthwise(inner(x), 3, 3, padding="same"))
    return n.dense(F.avg_pool2d(x, 2), CLASSES)


# Our spec, the inputs as height x width x channels, and the same in torch.
CASES = [
    ("conv3x2", (5, 4, 2), lambda n, x: n.conv(x, 3, 3, 2)),
    ("conv2x3x3,nobias", (4, 5, 1), lambda n, x: n.conv(x, 2, 3, 3, bias=False)),
    ("conv3x2,same", (3, 4, 3), lambda n, x: n.conv(x, 3, 3, 2, padding="same")),
    ("conv2x2,same", (3, 4, 2), lambda n, x: n.conv(x, 2, 2, 2, padding="same")),
    ("conv4x1x2,same", (5, 2, 2), lambda n, x: n.conv(x, 4, 1, 2, padding="same")),
    ("conv3x2,same,dilation2", (5, 4, 2), lambda n, x: n.conv(x, 3, 3, 2, padding="same", dilation=2)),
    ("conv2x3,stride2", (5, 6, 2), lambda n, x: n.conv(x, 2, 2, 3, stride=2)),
    ("conv3x2,same,stride2", (5, 7, 2), lambda n, x: n.conv(x, 3, 3, 2, stride=2, padding=1)),
    ("conv2x2,stride3,dilation2", (6, 9, 2), lambda n, x: n.conv(x, 2, 2, 2, stride=3, dilation=2)),
    ("dwconv3", (5, 4, 3), lambda n, x: n.depthwise(x, 3, 3)),
    ("dwconv2x3,same,nobias", (3, 4, 2), lambda n, x: n.depthwise(x, 2, 3, bias=False, padding="same")),
    ("dwconv2,stride2,dilation2", (6, 7, 3), lambda n, x: n.depthwise(x, 2, 2, stride=2, dilation=2)),
    ("pool2", (5, 6, 2), lambda n, x: F.max_pool2d(x, 2)),
    ("pool3,stride2", (7, 5, 3), lambda n, x: F.max_pool2d(x, 3, 2)),
    ("pool3,same,stride1", (3, 4, 2), lambda n, x: F.max_pool2d(x, 3, 1, 1)),
    ("meanpool2", (4, 5, 3), lambda n, x: F.avg_pool2d(x, 2)),
    ("meanpool3,same,stride1", (3, 4, 2), lambda n, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),
    ("global-max", (4, 5, 7), lambda n, x: F.adaptive_max_pool2d(x, 1)),
    ("global-mean", (4, 5, 7), lambda n, x: F.adaptive_avg_pool2d(x, 1)),
    ("norm", (3, 4, 3), lambda n, x: n.norm(x)),
    ("dense5 norm", (1, 1, 4), lambda n, x: n.norm(n.dense(x, 5))),
    ("scale", (3, 2, 3), lambda n, x: n.scale(x)),
    ("dense7 gelu", (2, 3, 2), lambda n, x: F.gelu(n.dense(x, 7))),
    ("conv2x3 gelu { conv3x3,same norm leaky-relu }+ tanh pool2 dense3", (6, 5, 1), small_residual),
    ("{ { conv1x2 sigmoid }+ dwconv3,same relu }+ meanpool2 dense3", (4, 4, 2), nested),
]


def outputs(case):
    """The net's outputs, channels last, the tensors it read, and its inputs."""
    _, (height, width, channels), f = case
    x = torch.tensor([number(0, i) for i in range(height * width * channels)])
    net = Net()
    y = f(net, x.reshape(1, height, width, channels).permute(0, 3, 1, 2))
    return (y.permute(0, 2, 3, 1) if y.ndim == 4 else y).flatten(), net


def table(name, numbers):
    print(f"static const double {name}[] = {{")
    texts = [f"{x:.12g}" for x in numbers]
    for i in range(0, len(texts), 6):
        print("    " + ", ".join(texts[i:i + 6]) + ",")
    print("};")


print(f"/* Made by layers.py beside this file, with torch {torch.__version__}. */")
for at, case in enumerate(CASES):
    table(f"outputs_{at}", outputs(case)[0].tolist())
# The gradient of the cross-entropy with label 1, all tensors one after the other.
trained = [at for at, case in enumerate(CASES) if outputs(case)[0].numel() == CLASSES and "dense3" in case[0]]
for at in trained:
    y, net = outputs(CASES[at])
    F.cross_entropy(y[None], torch.tensor([1])).backward()
    table(f"gradient_{at}", torch.cat([t.grad.flatten() for t in net.tensors]).tolist())
print("static const torch_case cases[] = {")
for at, (spec, (height, width, channels), _) in enumerate(CASES):
    gradient = f"gradient_{at}, sizeof gradient_{at} / 8" if at in trained else "NULL, 0"
    print(f'    {{"{spec}", {height}, {width}, {channels}, outputs_{at}, sizeof outputs_{at} / 8, {gradient}}},')
print("};")
