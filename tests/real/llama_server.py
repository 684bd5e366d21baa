"""llama.cpp's own server on a tiny random model: run by the Python that has `xllamacpp` and `gguf`.

    python llama_server.py FILE.gguf CONTEXT_TOKENS KEY

It writes the model to FILE.gguf, prints its address, and serves until its input ends.
"""

import sys

import gguf
import numpy as np
import xllamacpp

WORDS = "lock chat key door house river stone paper light green small quick word answer question".split()  # noqa: SIM905
WIDTH, LAYERS, HEADS, TRAINED_TOKENS = 64, 2, 2, 512
TEMPLATE = (
    "{% for message in messages %}<s>{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def vocabulary():
    """The tokens of a SentencePiece model with their kinds: special ones, all bytes, some words."""
    kind = gguf.TokenType
    special = [("<unk>", kind.UNKNOWN), ("<s>", kind.CONTROL), ("</s>", kind.CONTROL)]
    single = [(f"<0x{byte:02X}>", kind.BYTE) for byte in range(256)]
    return [*special, *single, *((f"\u2581{word}", kind.NORMAL) for word in WORDS)]


def write_model(path):
    """Write a Llama of random weights that speaks in WORDS."""
    tokens, random = vocabulary(), np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(TRAINED_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _kind in tokens])
    writer.add_token_types([kind for _token, kind in tokens])
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def add(name, *shape):
        writer.add_tensor(name, random.normal(0, 0.2, shape).astype(np.float32))

    def add_norm(name):
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        add_norm(f"blk.{layer}.attn_norm.weight")
        add_norm(f"blk.{layer}.ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", 2 * WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", 2 * WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, 2 * WIDTH)
    add_norm("output_norm.weight")
    output = random.normal(0, 1, (len(tokens), WIDTH)).astype(np.float32)
    output[: len(tokens) - len(WORDS)] = 0  # so that a word is always the likeliest
    writer.add_tensor("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(path, context_tokens, key):
    write_model(path)
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"tiny"}
    params.n_ctx = int(context_tokens)
    params.n_parallel = 1
    params.api_keys = [key]
    params.warmup = False
    params.fit_params = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
