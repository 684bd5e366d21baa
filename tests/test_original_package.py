"""The package that the original module comes from takes ours as a provider.

`LOCKCHAT_TEST_ORIGINALS` is a directory with one installation of it a version: see `.ci/run`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT
from tests.upstream import Upstream, tokens

NAME = "g4f"
VERSIONS = ("0.0.1.3", "0.0.1.9")  # the first and the last with this loader
DIRECTORY = os.environ.get("LOCKCHAT_TEST_ORIGINALS")

# Its other providers need packages of their own, so the program has empty ones in their place.
PROGRAM = """
import importlib, json, sys, types
directory, name, url = sys.argv[1:]
sys.path.insert(0, directory)
others = types.ModuleType(f"{name}.Provider")
others.__getattr__ = lambda provider: None
sys.modules[others.__name__] = others
loader = importlib.import_module(name)
from webapp import lockchat
ask = {"model": "gpt-4", "messages": [{"role": "user", "content": "hi"}], "provider": lockchat, "base_url": url}
whole = loader.ChatCompletion.create(**ask)
tokens = list(loader.ChatCompletion.create(**ask, stream=True))
print(json.dumps([whole, tokens]))
"""


@pytest.mark.skipif(not DIRECTORY and not os.environ.get("CI"), reason="the original package is not installed")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_original_loader_takes_our_module(upstream: Upstream, version: str) -> None:
    assert DIRECTORY, "LOCKCHAT_TEST_ORIGINALS is not set"
    upstream.always(*tokens("Hello", " world"))
    directory = Path(DIRECTORY) / version
    assert (directory / NAME).is_dir()

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), NAME, upstream.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Hello world", ["Hello", " world"]]
    assert [request.json["temperature"] for request in upstream.requests] == [0.7, 0.7]
