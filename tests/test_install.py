"""The installed library serves a user's program, through pkg-config and through CMake, and exports
what the public headers declare and nothing else. labels: plain"""

import os
import re
import shlex
import shutil
import tempfile
import unittest
from pathlib import Path

import support
from support import BUILD, SOURCE, run

EXPECTED = f" dense8 relu dense3 {4 * 8 + 8 + 8 * 3 + 3}\n"


def declared(include):
    """Names of the functions and objects that headers mark with ZO_API."""
    names = set()
    for header in include.glob("zeroth/*.h"):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.S)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        for declaration in re.findall(r"\bZO_API\b([^;{]*)[;{]", text):
            names.add(re.search(r"(\w+)\s*(?:\(|\[|=|$)", declaration.strip()).group(1))
    return names


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="zeroth-install-")
        here = Path(cls.folder.name)
        run("cmake", "--install", BUILD, "--prefix", here / "first")
        # The files must not remember where they were put.
        cls.prefix = here / "moved"
        shutil.move(here / "first", cls.prefix)
        cls.pc = next(cls.prefix.rglob("zeroth.pc")).parent
        cls.lib = cls.pc.parent
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=str(cls.pc),
                               LD_LIBRARY_PATH=str(cls.lib))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_files(self):
        for path in ("include/zeroth/zeroth.h", "bin/zeroth", "share/licenses/zeroth/LICENSE"):
            self.assertTrue((self.prefix / path).is_file(), path)
        self.assertEqual([p.name for p in self.prefix.glob("include/*")], ["zeroth"])
        version = run("pkg-config", "--modversion", "zeroth", env=self.environment).strip()
        self.assertTrue((self.lib / "libzeroth.a").is_file())
        self.assertEqual(os.readlink(self.lib / "libzeroth.so"),
                         f"libzeroth.so.{version.split('.')[0]}")
        self.assertTrue((self.lib / f"libzeroth.so.{version}").is_file())
        for path in [*self.pc.glob("*"), *self.lib.glob("cmake/zeroth/*")]:
            for place in (BUILD, SOURCE, self.folder.name):
                self.assertNotIn(str(place), path.read_text(), path)

    def build_with_pkg_config(self, *options):
        program = self.prefix / "user"
        flags = shlex.split(run("pkg-config", "--cflags", "--libs", *options, "zeroth",
                                env=self.environment))
        run(os.environ.get("CC", "cc"), "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
            SOURCE / "tests/install/main.c", "-o", program, *flags)
        return program

    def test_pkg_config(self):
        out = run(self.build_with_pkg_config(), env=self.environment)
        self.assertTrue(out.endswith(EXPECTED), out)

    def test_pkg_config_static(self):
        for shared in self.lib.glob("libzeroth.so"):
            shared.rename(self.lib / "aside")
        try:
            program = self.build_with_pkg_config("--static")
        finally:
            (self.lib / "aside").rename(self.lib / "libzeroth.so")
        self.assertTrue(run(program).endswith(EXPECTED))

    def test_cmake_package(self):
        build = self.prefix / "user-build"
        run("cmake", "-S", SOURCE / "tests/install", "-B", build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", build)
        out = run(build / "user")
        self.assertTrue(out.endswith(EXPECTED), out)

    def test_command_runs_from_anywhere(self):
        run(self.prefix / "bin/zeroth", "list", cwd="/")

    def test_exports(self):
        lines = run("nm", "-D", "--defined-only", self.lib / "libzeroth.so").splitlines()
        exported = {line.split()[-1].split("@")[0] for line in lines} - {"ZEROTH_0"}
        wanted = declared(self.prefix / "include")
        self.assertGreater(len(wanted), 10)
        with self.subTest("exported, in no public header"):
            self.assertEqual(sorted(exported - wanted), [])
        with self.subTest("declared with ZO_API, not exported"):
            self.assertEqual(sorted(wanted - exported), [])
        with self.subTest("names"):
            self.assertEqual([name for name in exported if not name.startswith("zo_")], [])


if __name__ == "__main__":
    support.main()
