"""The headers are the manual: doxygen builds it without a warning. labels: plain"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import support
from support import BUILD, SOURCE

if not shutil.which("doxygen"):
    support.skip("doxygen is not installed: run tools/setup test")


def doxygen(out, source="include/zeroth"):
    """Builds the manual of `source` into `out`; returns the warnings."""
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["doxygen", "tools/Doxyfile"], cwd=SOURCE, capture_output=True,
                          text=True, env={**os.environ, "ZO_DOCS_OUT": str(out),
                                          "ZO_DOCS_INPUT": source})
    warnings = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode and not warnings:
        warnings = [f"doxygen ended with status {done.returncode}"]
    return warnings


class Manual(unittest.TestCase):
    def test_no_warnings(self):
        self.assertEqual("\n".join(doxygen(BUILD / "docs")), "")
        pages = "".join(p.read_text() for p in (BUILD / "docs/html").glob("*_8h.html"))
        self.assertIn("zo_version", pages)

    def test_an_undocumented_function_is_reported(self):
        with tempfile.TemporaryDirectory(prefix="zeroth-doxygen-") as folder:
            header = Path(folder) / "bare.h"
            header.write_text("/* A file. */\nint zo_bare(int x);\n")
            warnings = doxygen(Path(folder) / "docs", str(header))
            self.assertTrue(any("zo_bare" in line for line in warnings), warnings)


if __name__ == "__main__":
    support.main()
