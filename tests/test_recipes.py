"""The recipes of CONTRIBUTING.md work. labels: plain

They are followed word by word in a copy of the tree: a fence "```c PATH" becomes that file, a fence
"```diff PATH" is applied to it, then the copy is built and the commands of the "```sh" fences run."""

import re
import shutil
import tempfile
import unittest
from pathlib import Path

import support
from support import SOURCE, run

PARTS = ("CMakeLists.txt", "cmake", "cli", "include", "src", "LICENSE")
FENCE = re.compile(r"^```(c|diff|sh)(?: (\S+))?\n(.*?)^```", re.M | re.S)


def recipes(text):
    """{title: [(kind, path, body)]} of the sections "### Add ..."."""
    found = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        title, body = section.split("\n", 1)
        body = re.split(r"^## ", body, flags=re.M)[0]
        found[title] = [match.groups() for match in FENCE.finditer(body)]
    return found


def patch(text, diff):
    """The text after a diff whose lines begin with ' ', '+' or '-'."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    if text.count(before) != 1:
        raise AssertionError(f"is there {text.count(before)} times:\n{before}")
    return text.replace(before, after)


def follow(root, steps):
    """Makes the files and changes of a recipe. Returns its commands."""
    commands = []
    for kind, path, body in steps:
        if kind == "sh":
            commands += [line for line in body.splitlines() if line.strip()]
        elif kind == "c" and path:
            if (root / path).exists():
                raise AssertionError(f"{path} is there already: choose another example")
            (root / path).write_text(body)
        elif kind == "diff":
            (root / path).write_text(patch((root / path).read_text(), body))
    return commands


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="zeroth-recipes-")
        cls.addClassCleanup(cls.folder.cleanup)
        root = cls.root = Path(cls.folder.name, "tree")
        root.mkdir()
        for part in PARTS:
            if (SOURCE / part).is_dir():
                shutil.copytree(SOURCE / part, root / part)
            else:
                shutil.copy(SOURCE / part, root / part)
        cls.recipes = recipes((SOURCE / "CONTRIBUTING.md").read_text())
        cls.commands = {title: follow(root, steps) for title, steps in cls.recipes.items()}
        # -O1: the copy is built for a few seconds of work
        run("cmake", "-S", root, "-B", root / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG", "-DZO_WERROR=ON")
        run("cmake", "--build", root / "build", "--target", "zeroth")

    def try_out(self, title, name):
        commands = self.commands[title]
        self.assertTrue(any(name in command for command in commands), commands)
        self.assertTrue(any(command.startswith("zeroth train") for command in commands), commands)
        for command in commands:
            with self.subTest(command):
                words = command.replace("zeroth", str(self.root / "build/zeroth"), 1)
                said = run("bash", "-c", words, cwd=self.folder.name)
                self.assertIn(name, said)
                if "train" in words:
                    accuracy = re.search(r"test accuracy +([0-9.]+) %", said)
                    self.assertGreater(float(accuracy[1]), 85, said)

    def test_the_three_recipes_are_there(self):
        self.assertEqual(list(self.recipes), ["Add an activation", "Add a rule", "Add a task"])

    def test_activation(self):
        self.try_out("Add an activation", "softsign")

    def test_rule(self):
        self.try_out("Add a rule", "lion")

    def test_task(self):
        self.try_out("Add a task", "rings")

    def test_a_recipe_that_does_not_fit_is_noticed(self):
        self.assertEqual(patch("a\nb\nc\n", " a\n+x\n-b\n"), "a\nx\nc\n")
        for text in ("b\n", "a\na\n"):
            with self.assertRaises(AssertionError):
                patch(text, " a\n+x\n")


if __name__ == "__main__":
    support.main()
