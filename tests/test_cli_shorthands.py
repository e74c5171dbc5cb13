#!/usr/bin/python3
"""Settings that have an option of their own: --units N is --set units=N."""

import json

import cli_support
from cli_support import BLOBS, Command


class Shorthands(Command):
    ELM = ["train", "blobs", "--set", "classes=3", "--set", "n=300", "--quiet", "--method", "elm"]

    def net(self, *words):
        return self.result(*self.ELM, *words)["net"]

    def test_they_are_settings(self):
        self.assertEqual(self.net("--units", "25"), "dense25 relu dense3")
        self.assertEqual(self.net("--units=25", "--set", "units=30"), "dense30 relu dense3")
        self.assertEqual(self.net("--set", "units=30", "--units", "25"), "dense25 relu dense3")
        self.assertEqual(self.net("--units", "30", "--units", "25"), "dense25 relu dense3")
        done = self.result(*self.ELM, "--units", "12", "--out", "run")
        config = json.loads((self.folder / "run/config.json").read_text())
        self.assertEqual(config["settings"]["units"], "12")
        self.assertEqual(self.net("--config", "run"), done["net"])

    def test_they_stand_in_config_files(self):
        self.write("c.json", '{"task": "blobs", "method": "elm", "units": 14, "settings": {"n": 300, "classes": 3}}')
        words = ["train", "--config", "c.json", "--quiet"]
        self.assertEqual(self.result(*words)["net"], "dense14 relu dense3")
        self.assertEqual(self.result(*words, "--units", "15")["net"], "dense15 relu dense3")

    def test_refusals_use_the_words_that_were_typed(self):
        for words, says in ((["--units", "many"], "--units many: a whole number is expected"),
                            (["--units", "0"], "--units 0 is outside its range"),
                            (["--units", "5", "--units", "-7"], "--units -7 is outside its range"),
                            (["--units", "-7", "--set", "units=x"], "--units -7 is outside"),
                            (["--units", "5", "--set", "units=x"], "zeroth: units=x: a whole number"),
                            (["--preset", "best"], '--preset: there is no setting "preset"'),
                            (["--loss", "hinge"], "--loss"),
                            (["--units"], "--units needs a value: --units N"),
                            (["--units="], "--units: the value is empty"),
                            (["--unit", "5"], "did you mean --units?"),
                            (["--set=--units=5"], "a setting is written key=value")):
            with self.subTest(words=words):
                self.bad(*self.ELM, *words, status=2, says=says)
        self.bad(*BLOBS, "--quiet", "--units", "5", status=2, says='--units: there is no setting "units"')

    def test_help(self):
        text = self.good("train", "--help").stdout
        for word in ("--units N", "--preset P", "--ensemble K", "--loss L"):
            self.assertIn(word, text)


if __name__ == "__main__":
    cli_support.main()
