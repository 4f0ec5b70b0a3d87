"""
What gets installed: every package, the plug-in for twistd, the two commands.
"""

from __future__ import annotations

import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twisted.plugins import xmppd_plugin

ROOT = Path(__file__).parent.parent


def missing() -> str | None:
    """Why no wheel can be built here, or None."""
    if importlib.util.find_spec("build") is None:
        return "the package build isn't installed"
    setuptools = tuple(int(part) for part in version("setuptools").split(".")[:2])
    if setuptools < (70, 1):  # which makes wheels by itself
        return f"setuptools {version('setuptools')} is older than 70.1"
    return None


class ListTests(SynchronousTestCase):
    """C{setup.cfg} agrees with the folders."""

    def setUp(self) -> None:
        self.setup = configparser.ConfigParser()
        self.setup.read(ROOT / "setup.cfg")

    def test_packages(self) -> None:
        """Every package is listed, and nothing that isn't there."""
        listed = set(self.setup["options"]["packages"].split())
        there = {".".join(init.parent.relative_to(ROOT).parts) for init in (ROOT / "xmppd").rglob("__init__.py")}
        self.assertEqual(listed, there | {"twisted.plugins"})

    def test_commands(self) -> None:
        """Both commands are installed."""
        scripts = self.setup["options.entry_points"]["console_scripts"]
        self.assertEqual(set(re.findall(r"(\w+) =", scripts)), {"xmppd", "xmppctl"})


class PluginTests(SynchronousTestCase):
    """The plug-in for twistd."""

    def test_names(self) -> None:
        """It is called xmppd and names the module that makes the service, which is not imported for that."""
        self.assertEqual((xmppd_plugin.xmppd.tapname, xmppd_plugin.xmppd.module), ("xmppd", "xmppd.tap"))


class WheelTests(SynchronousTestCase):
    """A wheel from a clean copy."""

    skip = missing()

    def build(self) -> Path:
        """Build a wheel from what the project consists of, and nothing that lies about."""
        copy = Path(self.mktemp()).absolute()
        copy.mkdir()
        for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "MANIFEST.in"):
            shutil.copy(ROOT / name, copy)
        for name in ("xmppd", "twisted", "etc"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", "dist"]
        done = subprocess.run(argv, cwd=copy, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        (wheel,) = (copy / "dist").glob("*.whl")
        return wheel

    def test_contents(self) -> None:
        """The wheel holds the plug-in, every file of the package, the commands; no tests, and nothing that would replace Twisted."""
        with zipfile.ZipFile(self.build()) as wheel:
            names = set(wheel.namelist())
            (entryPoints,) = (name for name in names if name.endswith("entry_points.txt"))
            commands = wheel.read(entryPoints).decode()
        files = {path for path in (ROOT / "xmppd").rglob("*") if path.is_file() and path.suffix != ".pyc"}
        self.assertEqual({str(path.relative_to(ROOT)) for path in files} - names, set())
        self.assertIn("twisted/plugins/xmppd_plugin.py", names)
        self.assertEqual([n for n in names if n.startswith("twisted/")], ["twisted/plugins/xmppd_plugin.py"])
        self.assertEqual([n for n in names if n.startswith(("tests/", "etc/"))], [])
        self.assertIn("xmppd = xmppd.ctl.main:xmppd", commands)
        self.assertIn("xmppctl = xmppd.ctl.main:xmppctl", commands)
