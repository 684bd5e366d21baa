"""The list of models that an upstream gives: which of them chat, how much they read, and whether they see images.

Read in the shapes of OpenAI, Azure, Gemini, Mistral, Groq, Together, Fireworks, Cohere, OpenRouter, LiteLLM, GitHub
Models, llama.cpp, Ollama, vLLM, SGLang, TGI and LM Studio, each from its documentation of this endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from webapp.chat import OfferedModel
from webapp.errors import UpstreamError
from webapp.loop import give_way
from webapp.upstream import failures

MAX_ENTRIES = 20_000  # looked at
MAX_MODELS = 1000  # offered: one menu holds them all
MAX_NAME_CHARS = 300
MAX_WINDOW = 2**31 - 1

_LISTS = ("data", "models")
_NAMES = ("id", "name", "model", "key", "model_name")
_NESTS = ("meta", "metadata", "details", "limits", "model_info", "top_provider", "architecture")
# A window that is in use comes before one that is possible.
_WINDOWS = (
    "n_ctx",
    "loaded_context_length",
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
    "n_ctx_train",
)
_KINDS = ("type", "task", "mode", "pipeline_tag")
_CHAT_FLAGS = ("completion_chat", "chat_completion", "chat", "supports_chat")
_SIGHT_FLAGS = ("vision", "supports_vision", "supports_image_input", "image_input")
_INPUTS = ("input_modalities", "supported_input_modalities", "modalities", "modality", "capabilities")
_OUTPUTS = ("output_modalities", "supported_output_modalities")
_ACTIONS = ("endpoints", "supportedGenerationMethods", "capabilities")
_CHAT_ACTIONS = frozenset({"chat", "generate", "generateContent", "completion", "completions", "multimodal", "vision"})
_OTHER_ACTIONS = re.compile(r"embed|rerank|classify|predict|generateImages|countTokens|bidiGenerate", re.I)
_SIGHT = re.compile(r"image|vision|multimodal", re.I)

_OTHER_KIND = re.compile(
    r"embed|rerank|moderation|classif|feature-extraction|similarity|image(?!-text)|video|diffusion"
    r"|audio|speech|transcri|realtime|\b(?:tts|stt|asr|ocr)\b",
    re.I,
)
_CHAT_KIND = re.compile(r"chat|llm|vlm|language|text.generation|image-text-to-text|conversational", re.I)

# By the name alone, where the upstream says no more. Words are whole words, or `embed` in the middle of one.
_OTHER_NAME = re.compile(
    r"embed(?!ded)|rerank|transcri|moderation|stable-?diffusion|dall-?e(?![a-z])|text-to-(?:image|video|speech)"
    r"|(?<![a-z0-9])(?:"
    r"bge|gte|e5|m3e|minilm|mpnet|labse|paraphrase|text2vec|sentence-transformers|colbert|splade|voyage|clip|siglip"
    r"|(?:x|chat)?tts|whisperx?|speech|audio|realtime|asr|kokoro|orpheus|parakeet|paraformer|cosyvoice|bark|musicgen|eleven"
    r"|images?|imagen|imagine|sdxl|sd3(?:\.5)?|flux|seedream|midjourney|ideogram|recraft|kolors|cogview|t2i"
    r"|sora|veo|cogvideox?|kling|wan2\.\d|t2v|i2v"
    r"|llama-?guard|prompt-guard|qwen3guard|shieldgemma|granite-guardian|aqa"
    r")(?![a-z])"
    r"|gemini[\w.-]{0,40}-live(?![a-z])|(?:davinci|babbage)-00\d|gpt-3\.5-turbo-instruct",
    re.I,
)
_DRAWS_IN_A_CHAT = re.compile(r"(gemini-[\w.-]{0,40}|gpt-5[\w.]{0,4})-image", re.I)


def read(payload: Any) -> list[OfferedModel]:
    """Return the models that chat in an answer of `/v1/models`, in its order, each once; none where it lists none.

    Raises UpstreamError for an error in it, and for what is no list.
    """
    if isinstance(payload, dict) and payload.get("error"):
        raise failures.failure_of(None, payload)
    entries = _entries(payload)
    if entries is None:
        raise UpstreamError("protocol")
    found: dict[str, OfferedModel] = {}
    others: set[str] = set()
    for entry in islice(entries, MAX_ENTRIES):
        name = _name(entry)
        if name and _chats(entry, name):
            found[name] = _joined(found.get(name), OfferedModel(name, _window(entry), _sees_images(entry)))
        else:
            others.add(name)
        give_way()  # lets streams run: a list may be long
    return [model for name, model in found.items() if name not in others][:MAX_MODELS]


def _entries(payload: Any, depth: int = 2) -> list[Any] | None:
    """Return the entries. llama.cpp lists the same models under both names. None where there is no list."""
    if isinstance(payload, list):
        return payload
    if not depth or not isinstance(payload, dict) or not any(name in payload for name in _LISTS):
        return None
    lists = [payload.get(name) for name in _LISTS]
    return [entry for entries in lists for entry in (_entries(entries, depth - 1) or [])]


def _name(entry: Any) -> str:
    """Return the name for requests; empty where no name can be used."""
    names = (entry.get(key) for key in _NAMES) if isinstance(entry, dict) else (entry,)
    name = next((name for name in names if isinstance(name, str) and name), "")
    return name if len(name) <= MAX_NAME_CHARS and name.isprintable() else ""


def _joined(one: OfferedModel | None, other: OfferedModel) -> OfferedModel:
    if one is None:
        return other
    sees_images = other.sees_images if one.sees_images is None else one.sees_images
    return OfferedModel(one.id, one.window or other.window, sees_images)


def _chats(entry: Any, name: str) -> bool:
    """Return whether the model chats: by what the upstream says about it, else by its name."""
    if isinstance(entry, dict):
        if any(flag is False for flag in _values(entry, _CHAT_FLAGS)):
            return False
        outputs, actions = _words(entry, _OUTPUTS), _words(entry, _ACTIONS)
        if outputs:
            return "text" in outputs
        if not _CHAT_ACTIONS & set(actions) and any(map(_OTHER_ACTIONS.search, actions)):
            return False
        kinds = " ".join(kind for key in _KINDS if isinstance(kind := entry.get(key), str))[:MAX_NAME_CHARS]
        if _OTHER_KIND.search(kinds):
            return False
        if _CHAT_KIND.search(kinds) or any(flag is True for flag in _values(entry, _CHAT_FLAGS)):
            return True
    return not _OTHER_NAME.search(_DRAWS_IN_A_CHAT.sub(r"\1", name))


def _window(entry: Any) -> int | None:
    """Return the context window in tokens."""
    if not isinstance(entry, dict):
        return None
    return next(filter(None, map(_count, _values(entry, _WINDOWS))), None)


def _sees_images(entry: Any) -> bool | None:
    """Return whether the model takes images; None where the upstream does not say."""
    if not isinstance(entry, dict):
        return None
    flags = [flag for flag in _values(entry, _SIGHT_FLAGS) if isinstance(flag, bool)]
    inputs = _words(entry, _INPUTS)
    if entry.get("type") == "vlm" or any(flags) or any(map(_SIGHT.search, inputs)):
        return True
    return False if flags or inputs else None


def _values(entry: dict[str, Any], keys: tuple[str, ...]) -> Iterator[Any]:
    """Return the values of these keys in the entry and in its nested objects, in the order of the keys."""
    nests = [entry, *(nest for key in (*_NESTS, "capabilities") if isinstance(nest := entry.get(key), dict))]
    for loaded in _dicts(entry.get("loaded_instances"))[:1]:  # of LM Studio
        nests += _dicts([loaded.get("config")])
    return (nest[key] for key in keys for nest in nests if key in nest)


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _words(entry: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return the words in the lists under these keys; of `text+image->text` those before the arrow."""
    words: list[str] = []
    for value in _values(entry, keys):
        if isinstance(value, dict):
            value = value.get("input")
        if isinstance(value, str):
            value = re.split(r"\W+", value[:MAX_NAME_CHARS].partition("->")[0])
        if isinstance(value, list):
            words += [word[:MAX_NAME_CHARS] for word in value[:100] if isinstance(word, str)]
    return words


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:MAX_NAME_CHARS])
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_WINDOW
    return int(value) if is_count else None
