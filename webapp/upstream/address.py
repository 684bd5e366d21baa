"""The address of an upstream, as people paste it: where to ask, with which query, and where the key goes.

Azure's dated API takes the version as `?api-version=...` and a key as `api-key`; its `/openai/v1` is like OpenAI's:
https://learn.microsoft.com/azure/ai-foundry/openai/reference, .../openai/api-version-lifecycle
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

OPEN_PARAMETERS = frozenset({"api-version"})  # of a query: what is no secret
PASTED = "/chat/completions"  # many documentations give the whole address of a request

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """`base` is followed by `/chat/completions` or `/models`, and by `query` where it is not empty.

    `deployment` is the one model of an Azure deployment, else empty. `takes_api_key_header` is whether a key goes into
    the `api-key` header instead of `Authorization`.
    """

    base: str
    query: str
    deployment: str
    takes_api_key_header: bool


def parse(url: str) -> Address:
    """Take a URL apart. Adds `/v1` to one without a path, and leaves any other path. Raises ValueError."""
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/").removesuffix(PASTED).rstrip("/") if parts.path.strip("/") else "/v1"
    deployment = _DEPLOYMENT.search(path)
    return Address(
        base=f"{parts.scheme}://{parts.netloc}{path}",
        query=parts.query,
        deployment=unquote(deployment[1]) if deployment else "",
        takes_api_key_header=bool(deployment) or "api-version" in dict(parse_qsl(parts.query)),
    )


def may_hold_key(query: str) -> bool:
    """Return whether a query has any other than OPEN_PARAMETERS."""
    return bool(query) and not {name for name, _ in parse_qsl(query, keep_blank_values=True)} <= OPEN_PARAMETERS
