"""Every command shown in README.md and docs/*.md runs. labels: plain

Commands stand in ```sh fences; where a fence has lines that begin with `$ `, the other lines are
output. All run in one folder in the order shown, with `zeroth` and `build/release/zeroth` meaning
the command under test, with the files of examples/data at hand, and with budgets cut short. Those
that would build, install or change the machine are left out."""

import os
import re
import tempfile
import unittest
from pathlib import Path

import support
from support import BUILD, SOURCE, ZEROTH, run

NOT_RUN = {"make", "git", "cd", "sudo", "cmake", "apt-get", "pip", "ctest", "tools/setup"}
BUDGETS = {"seconds": 0.5, "epochs": 1, "forwards": 20000}
TIMEOUT = 120


def fences(text):
    """(line number, lines) of each ```sh fence."""
    for match in re.finditer(r"^```sh[^\n]*\n(.*?)^```", text, re.M | re.S):
        yield text.count("\n", 0, match.start(1)) + 1, match[1].splitlines()


def commands(text):
    """(line number, command) of each command in the fences; one that spans lines is one."""
    for start, lines in fences(text):
        prompts = any(line.startswith("$ ") for line in lines)
        index = 0
        while index < len(lines):
            at, line = index, lines[index]
            index += 1
            if prompts:
                if not line.startswith("$ "):
                    continue
                line = line[2:]
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            while line.endswith("\\") and index < len(lines):
                line += "\n" + lines[index]
                index += 1
            heredoc = re.search(r"<<-?\s*['\"]?(\w+)", line)
            while heredoc and index < len(lines):
                line += "\n" + lines[index]
                index += 1
                if lines[index - 1].strip() == heredoc[1]:
                    break
            yield start + at, line


def shorten(command):
    """The command with a small budget."""
    given = False
    for option, limit in BUDGETS.items():
        def cut(match, limit=limit):
            return f"{match[1]}{min(float(match[2]), limit):g}"
        command, n = re.subn(rf"(--{option}[ =])([0-9.eE+]+)", cut, command)
        given = given or n > 0
    if not given:
        command = re.sub(r"\b(zeroth (?:train|compare)\b)([^|>&;]*)", r"\1\2 --seconds 0.5 ",
                         command)
    return command


def why_not(command):
    """Why a command is not run; or None."""
    first = re.sub(r"^(\w+=\S+\s+)*", "", command).split()[0]
    if first in NOT_RUN:
        return "not of a kind that is run here"
    if re.search(r"\bzeroth (train|compare) mnist\b", command) and "--data" not in command \
            and not support.data_folder("mnist"):
        return "the MNIST files are not here (set ZEROTH_DATA)"
    if "fashion-mnist" in command and not support.data_folder("fashion-mnist"):
        return "dataset-fashion-mnist is not installed"
    return None


class Pages(unittest.TestCase):
    def test_commands_run(self):
        with tempfile.TemporaryDirectory(prefix="zeroth-docs-") as folder:
            here = Path(folder, "here")
            (here / "build").mkdir(parents=True)
            (here / "build/release").symlink_to(BUILD)
            (here / "examples").symlink_to(SOURCE / "examples")
            for path in (SOURCE / "examples/data").glob("*"):
                (here / path.name).write_bytes(path.read_bytes())
            (Path(folder) / "bin").mkdir()
            (Path(folder) / "bin/zeroth").symlink_to(ZEROTH)
            environment = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}")
            mnist = support.data_folder("mnist")
            if mnist and "ZEROTH_DATA" not in environment:
                environment["ZEROTH_DATA"] = str(mnist.parent)
            ran = self.run_pages(here, environment)
        self.assertGreater(ran, 0, "no page shows a command")

    def run_pages(self, here, environment):
        ran = 0
        for page in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
            for line, command in commands(page.read_text()):
                where = f"{page.relative_to(SOURCE)}:{line}"
                reason = why_not(command)
                if reason:
                    print(f"{where}: SKIPPED ({reason}): {command}", flush=True)
                    continue
                if "pkg-config" in command and "PKG_CONFIG_PATH" not in environment:
                    self.install(here.parent / "prefix", environment)
                print(f"{where}: {command}", flush=True)
                with self.subTest(where):
                    run("bash", "-o", "pipefail", "-c", shorten(command), cwd=here, env=environment,
                        timeout=TIMEOUT)
                ran += 1
        return ran

    @staticmethod
    def install(prefix, environment):
        """Gives the commands that follow an installed library."""
        run("cmake", "--install", BUILD, "--prefix", prefix)
        folder = next(prefix.rglob("zeroth.pc")).parent
        environment["PKG_CONFIG_PATH"] = str(folder)
        environment["LD_LIBRARY_PATH"] = str(folder.parent)

    def test_reading_of_pages(self):
        page = "\n```sh\n# note\nzeroth list\na \\\n b\ncat > x <<'EOF'\n1\nEOF\nls\n```\n" \
               "```sh\n$ zeroth doctor\nCPU: x\n```\n```c\nint x;\n```\n"
        self.assertEqual(list(commands(page)),
                         [(4, "zeroth list"), (5, "a \\\n b"), (7, "cat > x <<'EOF'\n1\nEOF"),
                          (10, "ls"), (13, "zeroth doctor")])
        self.assertEqual(shorten("zeroth train x --seconds 60 --out r"),
                         "zeroth train x --seconds 0.5 --out r")
        self.assertEqual(shorten("zeroth train x | tail").split(),
                         "zeroth train x --seconds 0.5 | tail".split())
        self.assertEqual(shorten("zeroth show r"), "zeroth show r")
        with self.assertRaises(AssertionError):
            run("bash", "-c", "exit 3")


if __name__ == "__main__":
    support.main()
