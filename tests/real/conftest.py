"""Other people's servers, each started once for a test file. They come from a virtual environment of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.conftest import need
from tests.server import free_port
from tests.wait import wait_until

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
START_SECONDS = 120  # LiteLLM takes 6 s on an idle machine
KEY = "sk-sesame"

# Mock answers: https://docs.litellm.ai/docs/proxy/configs and litellm/main.py, `mock_completion`.
LITELLM = f"""
model_list:
  - model_name: friendly
    litellm_params: {{model: openai/gpt-4o, api_key: none, mock_response: "Hello from the proxy."}}
  - model_name: hurried
    litellm_params: {{model: openai/gpt-4o, api_key: none, mock_response: "litellm.RateLimitError"}}
  - model_name: full
    litellm_params: {{model: openai/gpt-4o, api_key: none, mock_response: "litellm.ContextWindowExceededError"}}
  - model_name: broken
    litellm_params: {{model: openai/gpt-4o, api_key: none, mock_response: "litellm.InternalServerError"}}
  - model_name: away
    litellm_params: {{model: openai/gpt-4o, api_key: none, api_base: "http://127.0.0.1:9/v1"}}
  - model_name: vectors
    litellm_params: {{model: openai/text-embedding-3-small, api_key: none}}
    model_info: {{mode: embedding}}
general_settings: {{master_key: {KEY}}}
router_settings: {{num_retries: 0}}
"""


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of LiteLLM's proxy, whose models give mock answers. Its key is KEY."""
    directory = tmp_path_factory.mktemp("litellm")
    (directory / "config.yaml").write_text(LITELLM)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    # Else it asks GitHub for prices.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with _running([str(PYTHON.parent / "litellm"), *options], directory, environment) as process:
        alive_url = f"{url}/health/liveliness"
        wait_until(lambda: process.poll() is not None or _is_alive(alive_url), START_SECONDS, "LiteLLM")
        assert process.poll() is None, (directory / "log").read_text()
        yield url


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of llama.cpp's server on a tiny model with a window of 512 tokens. Its key is KEY."""
    directory = tmp_path_factory.mktemp("llama")
    command = [str(PYTHON), str(HERE / "llama_server.py"), "tiny.gguf", "512", KEY]
    with _running(command, directory, dict(os.environ)) as process:
        said = directory / "said"
        wait_until(lambda: process.poll() is not None or said.read_text().endswith("\n"), START_SECONDS, "llama.cpp")
        assert process.poll() is None, (directory / "log").read_text()
        yield said.read_text().strip()


@contextmanager
def _running(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    need(PYTHON.exists(), f"{PYTHON}: see the README")
    with (directory / "log").open("wb") as log, (directory / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=said, stderr=log
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _is_alive(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
