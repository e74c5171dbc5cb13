"""Include lines keep to the layers of the house: arrows run downwards only, and each third-party
header has one home. labels: plain"""

import re
import shutil
import tempfile
import unittest
from fnmatch import fnmatch
from pathlib import Path

import support
from support import SOURCE

# What a folder of src/ may include, besides itself and include/.
BELOW = {
    "base": "",
    "kernels": "base",
    "eval": "base",
    "space": "base",
    "linear": "kernels base",
    "nn": "kernels base",
    "task": "kernels base",
    "search": "space kernels base",
    "problem": "space kernels base",
    "learn": "nn task search space eval linear kernels base",
    "run": "learn nn search problem task eval kernels base",
    "export": "nn base",
    "report": "base",
}

# Header -> the files that may include it. Tests, benchmarks and fuzz targets are free.
HOMES = {
    "jansson.h": "src/base/json.* cli/*",
    "xxhash.h": "src/base/*",
    "Random123/*": "src/base/*",
    "pthread.h": "src/base/*",
    "zlib.h": "src/task/* src/base/deflate.*",
    "immintrin.h": "src/kernels/*",
    "x86intrin.h": "src/kernels/*",
    "cpuid.h": "src/kernels/*",
    "cblas.h": "",
    "omp.h": "",
    "mpi.h": "src/eval/mpi*",
    "hiredis/*": "src/eval/redis*",
    "microhttpd.h": "src/report/*",
    "cmocka.h": "",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CHECKED = ("include", "src", "cli", "python", "examples")


def place(path):
    """The room a file is in: a folder of src/, or a top folder."""
    return path.parts[1] if path.parts[0] == "src" else path.parts[0]


def resolve(root, file, quoted, name):
    """The file of the project that an include line means, relative to the root; or None."""
    candidates = [file.parent / name] if quoted else []
    candidates += [Path("src") / name, Path("include") / name]
    for candidate in candidates:
        if (root / candidate).is_file():
            return Path((root / candidate).resolve().relative_to(root.resolve()))
    return None


def fault_of(file, target):
    """Why `file` may not include the project's `target`; or None."""
    here, there = place(file), place(target)
    if here == there or (there == "include" and here != "include"):
        return None
    if here in BELOW and target.parts[0] == "src":
        if there not in BELOW:
            return f"src/{there} has no place in the table of this test"
        return None if there in BELOW[here].split() else f"{here} may not know {there}"
    return f"{here} may not know {target.parent}"


def faults(root):
    """All offending include lines below root, as texts."""
    found = []
    files = [p for top in CHECKED for p in sorted((root / top).rglob("*.[ch]"))]
    for path in files:
        file = path.relative_to(root)
        if file.parts[0] == "src" and place(file) not in BELOW:
            found.append(f"{file}: src/{place(file)} has no place in the table of this test")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            quoted, name = match[1] == '"', match[2]
            target = resolve(root, file, quoted, name)
            if target:
                fault = fault_of(file, target)
            elif quoted:
                fault = "is not in the project"
            else:
                fault = next((f"{header} has its home in: {home or 'tests'}"
                              for header, home in HOMES.items() if fnmatch(name, header)
                              and not any(fnmatch(str(file), h) for h in home.split())), None)
            if fault:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{file}:{line}: {match[0].strip()}: {fault}")
    return found


class Layers(unittest.TestCase):
    def test_the_table_has_no_cycle(self):
        for upper, below in BELOW.items():
            for lower in below.split():
                self.assertNotIn(upper, BELOW[lower].split(), f"{upper} <-> {lower}")

    def test_arrows_run_downwards(self):
        self.assertGreater(len(list((SOURCE / "src").rglob("*.c"))), 5)
        self.assertEqual(faults(SOURCE), [])

    def test_planted_faults_are_reported(self):
        with tempfile.TemporaryDirectory(prefix="zeroth-layers-") as folder:
            root = Path(folder)
            for top in CHECKED:
                if (SOURCE / top).is_dir():
                    shutil.copytree(SOURCE / top, root / top)
            clean = faults(root)
            planted = {
                "src/base/planted.c": '#include "learn/planted.h"\n',
                "src/nn/planted.c": '#include "../task/planted.h"\n',
                "src/nn/planted2.c": "#include <zlib.h>\n",
                "src/learn/planted.h": "#include <immintrin.h>\n",
                "src/attic/planted.h": "",
                "src/kernels/planted.c": '#  include "nn/none.h"\n',
                "src/run/planted.c": "#include <cmocka.h>\n",
                "cli/planted.c": '#include "base/planted.h"\n',
                "include/zeroth/planted.h": '#include "base/planted.h"\n',
                "examples/planted.c": '#include "nn/planted.h"\n',
            }
            fine = {
                "src/task/planted.h": "#include <zlib.h>\n",
                "src/base/planted.h": "#include <pthread.h>\n#include <zeroth/zeroth.h>\n",
                "src/nn/planted.h": '#include "base/planted.h"\n',
                "src/run/planted.h": '#include "learn/planted.h"\n',
            }
            for name, text in {**planted, **fine}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            new = [fault for fault in faults(root) if fault not in clean]
            self.assertEqual(sorted(fault.split(":")[0] for fault in new), sorted(planted), new)


if __name__ == "__main__":
    support.main()
