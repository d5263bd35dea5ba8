"""Seconds of one training step of BERT-base on 2 CPU threads: ours against its peers.

A step is forward, backward and AdamW. Each peer runs in a process of its own, one after another,
the whole round repeated. Peers with needs of their own get the python of their own environment:

    python benchmarks/train_step.py --rounds 3 --json out.json \\
        --peers ours-tf-xla,ours-jax,torch,torch-compile,tfbert,kerashub-tf \\
        --python tfbert=venv_57/bin/python --python kerashub=venv_hub/bin/python

Environments:
    tfbert, tutorial    tensorflow tf-keras transformers==4.57.6
    kerashub            keras-hub tensorflow keras jax
    torch, ours         korean_bert, torch

With KorQuAD's paragraphs: real pairs in our buckets (TensorFlow XLA) against the tutorial's loop,
TFBertForPreTraining on two pairs padded to 512 with Adam, both through `train_on_batch`, which is
what `fit` calls:

    python benchmarks/train_step.py --korquad ../shared/corpora/korquad_v1.0_dev.json --steps 12 \\
        --python tutorial=venv_57/bin/python
"""
import argparse
import os
import resource
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time

from harness import make_parser, read_korquad, run_child, send_row, take_turns

# BERT-base: vocabulary, hidden size, layers, intermediate size, heads
V, H, N, I, A = 25_000, 768, 12, 3072, 12
PEERS = ["matmul", "ours-tf-xla", "ours-tf", "ours-jax", "ours-jax-nojit", "tfbert", "tfbert-xla",
         "torch", "torch-compile", "kerashub-tf", "kerashub-jax"]
KORQUAD_PEERS = ["ours-korquad", "tutorial"]
TUTORIAL = (2, 512)                           # its batch size, and the tokens that it pads to
PAIR = 128                                    # tokens of a pair, at most


def n_masked(L: int, share: float = 0.15) -> int:
    "Masked positions of an example of L tokens."
    return max(1, int(L * share) + 1)


def model_flops(B: int, L: int, P: int) -> int:
    """Matrix products of forward and backward, 2 + 4 FLOPs a weight and token.

    Attention is counted, and the vocabulary on P positions.
    """
    layer = 4 * H * H + 2 * H * I + 2 * L * H
    return 6 * (B * L * N * layer + B * P * (V * H + H * H) + B * (H * H + 2 * H))


def make_batch(B: int, L: int, step: int, V: int = V, share: float = 0.15) -> tuple[dict, dict, "np.ndarray"]:
    "Random inputs and targets as ours takes them, and labels of every position for the peers."
    import numpy as np

    rng, P = np.random.default_rng(step), n_masked(L, share)
    positions = np.stack([rng.choice(np.arange(1, L), P, replace=False) for _ in range(B)])
    positions = np.sort(positions, axis=1).astype("int32")
    x = {"input_ids": rng.integers(5, V, (B, L)).astype("int32"),
         "token_type_ids": np.tile((np.arange(L) >= L // 2).astype("int32"), (B, 1)),
         "attention_mask": np.ones((B, L), "int32"), "masked_positions": positions}
    y = {"masked_ids": rng.integers(5, V, (B, P)).astype("int32"),
         "weights": np.ones((B, P), "float32"),
         "next_sentence_label": rng.integers(0, 2, B).astype("int32")}
    labels = np.full((B, L), -100, "int64")
    np.put_along_axis(labels, positions.astype("int64"), y["masked_ids"].astype("int64"), 1)
    return x, y, labels


def bert_config():
    "The shape, for ours and the classes of transformers."
    from transformers import BertConfig

    return BertConfig(vocab_size=V, hidden_size=H, num_hidden_layers=N, intermediate_size=I,
                      num_attention_heads=A)


def adamw(optimizers):
    "AdamW of Keras or tf_keras, as all of them here have it."
    return optimizers.AdamW(1e-4, weight_decay=0.01, epsilon=1e-6)


# === Ours ===
def make_ours(peer: str):
    "The model, compiled as the peer's name says."
    os.environ["KERAS_BACKEND"] = "jax" if "jax" in peer else "tensorflow"
    import keras

    from korean_bert.model import BertForPreTraining

    model = BertForPreTraining(bert_config())
    compiled = peer not in ("ours-tf", "ours-jax-nojit")
    model.compile(optimizer=adamw(keras.optimizers), jit_compile=compiled,
                  run_eagerly=peer == "ours-jax-nojit")
    return model


def setup_ours(B: int, L: int, peer: str) -> Callable[[int], float]:
    "A function that takes a step and returns its loss; so do the others."
    model = make_ours(peer)

    def step(i: int) -> float:
        x, y, _ = make_batch(B, L, i)
        return float(model.train_on_batch(x, y, return_dict=True)["loss"])
    return step


def korquad_batches(path: Path, B: int):
    "The batches of KorQuAD's paragraphs, as BERT-base is trained on them."
    from datasets import Dataset, disable_progress_bars

    from korean_bert.cleaning import clean_corpus
    from korean_bert.config import preset
    from korean_bert.masking import PretrainBatches
    from korean_bert.nsp import make_pairs
    from korean_bert.tokenizer import train_tokenizer

    disable_progress_bars()
    corpus = clean_corpus(Dataset.from_dict({"text": read_korquad(path)}))
    config = preset("base", base_checkpoint="builtin", vocab_size=V, block_size=PAIR,
                    train_batch_size=B)
    tokenizer = train_tokenizer(corpus["text"], V)
    return PretrainBatches(make_pairs(corpus, tokenizer, config), tokenizer, config)


def korquad_rows(path: Path, B: int, warm: int, steps: int) -> Iterator[dict]:
    "A row for each length, with the share of the batches that have it."
    model = make_ours("ours-korquad")            # before the batches: it chooses the backend
    batches, where = korquad_batches(path, B), {}
    for i in range(len(batches)):
        where.setdefault(batches[i][0]["input_ids"].shape[1], []).append(i)
    for length, indices in sorted(where.items()):
        def step(i: int, indices: list[int] = indices) -> float:
            x, y = batches[indices[i % len(indices)]]
            return float(model.train_on_batch(x, y, return_dict=True)["loss"])
        share = len(indices) / len(batches)
        yield {"B": B, "L": length, "share": share, **measure(step, warm, steps)}


# === Peers ===
def make_kerashub(peer: str):
    "KerasHub's encoder and masked-token head, and a layer for the other task."
    os.environ["KERAS_BACKEND"] = "jax" if "jax" in peer else "tensorflow"
    import keras
    import keras_hub

    bert = keras_hub.models.BertBackbone(vocabulary_size=V, num_layers=N, num_heads=A, hidden_dim=H,
                                         intermediate_dim=I, max_sequence_length=512)
    head = keras_hub.layers.MaskedLMHead(token_embedding=bert.token_embedding,
                                         intermediate_activation="gelu")
    positions = keras.Input((None,), dtype="int32", name="masked_positions")
    scores = head(bert.output["sequence_output"], mask_positions=positions)
    related = keras.layers.Dense(2)(bert.output["pooled_output"])
    model = keras.Model({**bert.input, "masked_positions": positions}, [scores, related])
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(2)]
    model.compile(optimizer=adamw(keras.optimizers), loss=losses)  # jit_compile="auto", the default
    return model


def setup_kerashub(B: int, L: int, peer: str) -> Callable[[int], float]:
    "The step of KerasHub's."
    model = make_kerashub(peer)

    def step(i: int) -> float:
        x, y, _ = make_batch(B, L, i)
        inputs = {"token_ids": x["input_ids"], "segment_ids": x["token_type_ids"],
                  "padding_mask": x["attention_mask"], "masked_positions": x["masked_positions"]}
        result = model.train_on_batch(inputs, [y["masked_ids"], y["next_sentence_label"]])
        return float(result[0] if isinstance(result, (list, tuple)) else result)
    return step


def import_tfbert():
    "TFBertForPreTraining with random weights, and the Keras that it needs."
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras
    from transformers import TFBertForPreTraining

    model = TFBertForPreTraining(bert_config())
    model(model.dummy_inputs)
    return model, tf_keras


def tfbert_inputs(x: dict, y: dict, labels: "np.ndarray") -> dict:
    "Inputs and labels together, as TFBertForPreTraining takes them."
    import tensorflow as tf

    arrays = {name: x[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    arrays |= {"labels": labels.astype("int32"), "next_sentence_label": y["next_sentence_label"]}
    return {name: tf.constant(array) for name, array in arrays.items()}


def setup_tfbert(B: int, L: int, peer: str) -> Callable[[int], float]:
    "The step of TFBertForPreTraining as one compiled function."
    model, tf_keras = import_tfbert()
    import tensorflow as tf

    optimizer = adamw(tf_keras.optimizers)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=peer.endswith("xla"))
    def train(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(inputs, training=True).loss)
        gradients = tape.gradient(loss, model.trainable_variables)
        pairs = zip(gradients, model.trainable_variables)
        optimizer.apply_gradients(pair for pair in pairs if pair[0] is not None)
        return loss
    return lambda i: float(train(tfbert_inputs(*make_batch(B, L, i))))


def setup_tutorial(B: int, L: int, peer: str) -> Callable[[int], float]:
    "The tutorial's step: Keras's own, on inputs that are mostly padding."
    model, tf_keras = import_tfbert()
    model.compile(tf_keras.optimizers.Adam(1e-4))

    def step(i: int) -> float:
        x, y, labels = make_batch(B, L, i)
        x["attention_mask"][:, PAIR:] = 0
        return float(model.train_on_batch(tfbert_inputs(x, y, labels), return_dict=True)["loss"])
    return step


def setup_torch(B: int, L: int, peer: str) -> Callable[[int], float]:
    "The step of PyTorch's BertForPreTraining."
    import torch
    from transformers import BertForPreTraining

    torch.set_num_threads(2)
    model = BertForPreTraining(bert_config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, eps=1e-6,
                                  fused=True)
    forward = torch.compile(model) if peer.endswith("compile") else model

    def step(i: int) -> float:
        x, y, labels = make_batch(B, L, i)
        inputs = {name: x[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
        inputs |= {"labels": labels, "next_sentence_label": y["next_sentence_label"]}
        tensors = {name: torch.tensor(value, dtype=torch.long) for name, value in inputs.items()}
        loss = forward(**tensors).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()
    return step


# === Measuring, in a process of its own ===
SETUPS = {"ours": setup_ours, "kerashub": setup_kerashub, "tfbert": setup_tfbert,
          "tutorial": setup_tutorial, "torch": setup_torch}


def timed(function: Callable, *arguments) -> tuple:
    "The result, seconds, and seconds of CPU."
    start, cpu = perf_counter(), process_time()
    result = function(*arguments)
    return result, perf_counter() - start, process_time() - cpu


def matmul_rate(seconds: float = 4) -> dict[str, list[float]]:
    """GFLOP/s of a 2048^3 float32 product: best, median, best per CPU second.

    The last of these is robust on a busy machine.
    """
    import numpy as np
    import tensorflow as tf

    array = np.random.default_rng(0).normal(size=(2048, 2048)).astype("float32")
    tensor = tf.constant(array)
    xla = tf.function(lambda a: tf.matmul(a, a), jit_compile=True)
    plain = tf.function(lambda a: tf.matmul(a, a))
    products = {"xla": lambda: xla(tensor)[0, 0].numpy(),
                "tf": lambda: plain(tensor)[0, 0].numpy(), "numpy": lambda: array @ array}
    rates = {}
    for name, product in products.items():
        product()
        runs, end = [], perf_counter() + seconds
        while perf_counter() < end:
            runs.append(timed(product)[1:])
        times, cpu = zip(*runs)
        seconds_taken = min(times), statistics.median(times), min(cpu)
        rates[name] = [2 * 2048**3 / 1e9 / taken for taken in seconds_taken]
    return rates


def measure(step: Callable[[int], float], warm: int, steps: int) -> dict:
    "Times of the steps after the first ones, which compile; and the losses of all."
    first, warm_s, _ = timed(lambda: [step(i) for i in range(warm)])
    losses, times, cpu = zip(*(timed(step, warm + i) for i in range(steps)))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"warm_s": warm_s, "step_s": times, "cpu_s": cpu, "losses": [*first, *losses],
            "rss_gb": rss}


def measure_peer(options: argparse.Namespace) -> None:
    "Measure one peer and send its rows."
    peer = options.child
    if peer == "matmul":
        rows = [{"gflops": matmul_rate()}]
    elif peer == "ours-korquad":
        rows = korquad_rows(options.korquad, options.B, options.warm, options.steps)
    else:
        step = SETUPS[peer.split("-")[0]](options.B, options.L, peer)
        rows = [{"B": options.B, "L": options.L, **measure(step, options.warm, options.steps)}]
    for row in rows:
        send_row({"peer": peer, **row})


# === The race ===
def run_peer(peer: str, options: argparse.Namespace) -> list[dict]:
    "The rows of one peer, on two threads: all of them or, if it fails on the way, none."
    pythons = dict(text.split("=") for text in options.python)
    python = next((path for name, path in pythons.items() if peer.startswith(name)), None)
    B, L = TUTORIAL if peer == "tutorial" else (options.B, options.L)
    arguments = ["--child", peer, "-B", B, "-L", L, "--steps", options.steps,
                 "--warm", options.warm]
    if options.korquad:
        arguments += ["--korquad", options.korquad]
    return list(run_child(__file__, arguments, python, cores=(0, 1)))


def print_row(row: dict) -> None:
    "What one peer did in one round."
    if row["peer"] == "matmul":
        rates = {name: [round(rate) for rate in values] for name, values in row["gflops"].items()}
        print(row["round"], "matmul", rates, f"load {row['load']:.1f}", flush=True)
        return
    B, times = row["B"], row["step_s"]
    median, best = B / statistics.median(times), B / min(times)
    print(row["round"], f"{row['peer']:15} {B}x{row['L']}: {median:.3f} seq/s "
          f"(best {best:.3f}), cpu {statistics.median(row['cpu_s']):.2f} s/step, "
          f"first {row['warm_s']:.0f} s, rss {row['rss_gb']:.1f} GB, load {row['load']:.1f}, "
          f"loss {row['losses'][0]:.3f}", flush=True)


def print_table(results: list[dict], options: argparse.Namespace) -> None:
    "The peers, all rounds together, and their share of what matrix products reach."
    rates = [values for row in results if row["peer"] == "matmul"
             for values in row["gflops"].values()]
    peak, _, per_cpu = map(max, zip(*rates)) if rates else (None, None, None)
    gflop = model_flops(options.B, options.L, n_masked(options.L)) / 1e9
    print(f"\nmodel FLOPs a step: {gflop:.0f} G; "
          f"best matmul rate seen: {f'{peak:.0f}' if rates else 'no'} GFLOP/s")
    print("| peer | seq/s, median | best step | CPU s a step, best | model GFLOP/s | "
          "share of matmul rate | the same per CPU second |\n|---|---|---|---|---|---|---|")
    for peer in options.peers.split(","):
        rows = [row for row in results if row["peer"] == peer and "step_s" in row]
        if rows:
            times = [s for row in rows for s in row["step_s"]]
            cpu = min(s for row in rows for s in row["cpu_s"])
            B, median = options.B, statistics.median(times)
            shares = f"{gflop / median / peak:.0%} | {gflop / cpu / per_cpu:.0%}" if rates else "|"
            print(f"| {peer} | {B / median:.3f} | {B / min(times):.3f} | {cpu:.2f} | "
                  f"{gflop / median:.0f} | {shares} |")


def speed(rows: list[dict]) -> float:
    "Sequences/s of a peer in a round: the median step of each length, weighted as they occur."
    seconds = sum(row.get("share", 1) * statistics.median(row["step_s"]) for row in rows)
    return rows[0]["B"] / seconds


def print_korquad(results: list[dict], rounds: int) -> None:
    "Our buckets against the tutorial's loop, round by round."
    lengths = {row["L"]: f"{row['L']} ({row['share']:.0%})" for row in results
               if row["peer"] == "ours-korquad"}
    print(f"\nlengths of our batches: {', '.join(lengths.values())}")
    print("| round | ours in buckets, seq/s | the tutorial's loop, seq/s | ratio |"
          "\n|---|---|---|---|")
    for number in range(rounds):
        ours, tutorial = ([row for row in results if (row["peer"], row["round"]) == (peer, number)]
                          for peer in KORQUAD_PEERS)
        if ours and tutorial:
            print(f"| {number} | {speed(ours):.3f} | {speed(tutorial):.3f} | "
                  f"{speed(ours) / speed(tutorial):.2f} |")


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("-B", type=int, default=8, help="batch size; the tutorial's is 2")
    option("-L", type=int, default=128, help="tokens of an example; the tutorial's has 512")
    option("--rounds", type=int, default=3)
    option("--steps", type=int, default=5, help="timed ones a round, with --korquad of each length")
    option("--warm", type=int, default=2, help="steps before them")
    option("--peers", default=",".join(PEERS))
    option("--korquad", type=Path,
           help="KorQuAD 1.0's dev file: our buckets against the tutorial's loop, no --peers")
    option("--python", action="append", default=[],
           help="PEER=PYTHON, for peers whose names begin so")
    option("--json", type=Path, help="file to write")
    option("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.child:
        return measure_peer(options)
    peers = KORQUAD_PEERS if options.korquad else options.peers.split(",")
    results = take_turns(peers, options.rounds, lambda peer: run_peer(peer, options), print_row,
                         options.json)
    if options.korquad:
        print_korquad(results, options.rounds)
    else:
        print_table(results, options)


if __name__ == "__main__":
    main()
