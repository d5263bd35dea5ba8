"""Sequences a second of a training step of BERT-base on a GPU, and its share of the GPU's peak.

A step is forward, backward and AdamW. Ours runs on Keras with JAX in mixed_bfloat16, as users run
it (`model.fit` on batches in memory) and as a bare jitted step on batches that already lie on the
GPU: the difference is what fit and the transfers cost. The peers are PyTorch's BertForPreTraining
with bfloat16 autocast, sdpa attention, torch.compile and fused AdamW:

    torch       as it is: vocabulary scores at every position, the padding mask given
    torch-best  vocabulary scores at the masked positions alone as ours, and no mask: sdpa's
                fastest kernel

The peak is the best of several 8192 x 8192 x 8192 bfloat16 products of random numbers, measured by
the same process. FLOPs are those of train_step.py's `model_flops`. Every peer gets a process of its
own; a shape that does not fit prints its error.

    python benchmarks/gpu_step.py --peers ours,torch,torch-best --json out.json \\
        --shapes 128x32,128x64,512x8,512x16
"""
import argparse
import itertools
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from harness import make_parser, run_child, send_row, take_turns
from train_step import V, make_batch, model_flops, n_masked

PEERS = ["ours", "torch", "torch-best"]
SHAPES = "128x32,128x64,128x128,128x256,128x512,512x8,512x16,512x32,512x64,512x128"
N = 8192      # of the product that gives the peak
BATCHES = 8   # different ones, taken in turns


def read_shapes(text: str) -> list[tuple[int, int]]:
    "The points of the sweep: `128x32,512x8` -> (128, 32), (512, 8), tokens and batch size."
    return [tuple(map(int, shape.split("x"))) for shape in text.split(",")]


def best_rate(product: Callable, seconds: float) -> float:
    "TFLOP/s of the best run of `product`, which makes ten N^3 products and waits for them."
    product()
    times, end = [], perf_counter() + seconds
    while perf_counter() < end:
        start = perf_counter()
        product()
        times.append(perf_counter() - start)
    return 10 * 2 * N**3 / min(times) / 1e12


def seconds_a_step(step: Callable, wait: Callable, seconds: float) -> float:
    """Median over three runs of about `seconds` each.

    Steps are only waited for at the end of a run.
    """
    def run(n: int) -> float:
        start = perf_counter()
        for _ in range(n):
            last = step()
        wait(last)
        return (perf_counter() - start) / n
    run(3)  # compiles
    n = max(5, int(seconds / run(5)))
    return statistics.median(run(n) for _ in range(3))


def first_line(error: Exception) -> str:
    "What a row says of a shape that failed."
    return str(error).strip().splitlines()[0][:160]


# === Ours ===
def jax_peak(seconds: float = 1.0) -> float:
    "The peak, with JAX."
    import jax

    a, b = (jax.random.normal(jax.random.key(i), (N, N), "bfloat16") for i in range(2))
    product = jax.jit(lambda a, b: a @ b)
    return best_rate(lambda: [product(a, b) for _ in range(10)][-1].block_until_ready(), seconds)


def new_model():
    "BERT-base with the optimizer of pretraining."
    import keras
    from transformers import BertConfig

    from korean_bert.model import BertForPreTraining

    model = BertForPreTraining(BertConfig(vocab_size=V), dtype="mixed_bfloat16")
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    model.compile(optimizer, jit_compile=True)
    return model


def fit_seconds(model, batches: list, seconds: float) -> float:
    "Seconds a step of `model.fit`: median of three epochs, each of about `seconds`."
    import keras

    marks = []

    def epoch_begin(epoch, logs):
        marks.append(perf_counter())

    def epoch_end(epoch, logs):
        float(logs["loss"])  # waits for the last step
        marks.append(perf_counter() - marks.pop())

    def fit(n: int, epochs: int = 1) -> float:
        marks.clear()
        timer = keras.callbacks.LambdaCallback(on_epoch_begin=epoch_begin, on_epoch_end=epoch_end)
        data = (batch for batch in itertools.cycle(batches))
        model.fit(data, steps_per_epoch=n, epochs=epochs, verbose=0, callbacks=[timer])
        return statistics.median(marks) / n
    fit(3)  # compiles
    return fit(max(5, int(seconds / fit(5))), epochs=3)


def bare_seconds(model, batches: list, seconds: float) -> float:
    "Seconds a step of the function that `fit` jitted, without `fit`, the batches on the GPU."
    import jax
    import jax.numpy as jnp

    variables = (model.trainable_variables, model.non_trainable_variables,
                 model.optimizer.variables, model.metrics_variables)
    state = [tuple([jnp.copy(variable.value) for variable in part] for part in variables)]
    data = itertools.cycle(jax.device_put(batches))

    def step() -> dict:
        logs, state[0] = model.train_function(state[0], data)
        return logs
    return seconds_a_step(step, jax.block_until_ready, seconds)


def run_ours(shapes: list[tuple[int, int]], seconds: float) -> Iterator[dict]:
    "Yield a row per shape."
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", ".92")
    peak, model = jax_peak(), None
    for L, B in shapes:
        batches = [make_batch(B, L, i)[:2] for i in range(BATCHES)]
        try:
            model = model or new_model()
            fit_s = fit_seconds(model, batches, seconds)
            bare_s = bare_seconds(model, batches, seconds)
            yield {"L": L, "B": B, "peak": peak, "fit_s": fit_s, "bare_s": bare_s}
        except Exception as error:  # out of memory: fit has taken the variables along
            model = None
            yield {"L": L, "B": B, "error": first_line(error)}


# === PyTorch ===
def torch_peak(seconds: float = 1.0) -> float:
    "The peak, with PyTorch."
    import torch

    a, b = (torch.randn(N, N, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return best_rate(lambda: ([a @ b for _ in range(10)], torch.cuda.synchronize()), seconds)


def torch_loss(model, batch: dict):
    "Hugging Face's loss: every position scored."
    return model(**batch).loss


def torch_best_loss(model, batch: dict):
    "The same loss from the scores of the masked positions alone."
    import torch.nn.functional as F

    x, pooled = model.bert(batch["input_ids"], token_type_ids=batch["token_type_ids"])[:2]
    scores, related = model.cls(x.flatten(0, 1)[batch["rows"]], pooled)
    return (F.cross_entropy(scores.float(), batch["masked_ids"])
            + F.cross_entropy(related.float(), batch["next_sentence_label"]))


def torch_batch(B: int, L: int, i: int, best: bool) -> dict:
    "A batch on the GPU, with what the loss needs."
    import numpy as np
    import torch

    x, y, labels = make_batch(B, L, i)
    batch = {"input_ids": x["input_ids"], "token_type_ids": x["token_type_ids"],
             "next_sentence_label": y["next_sentence_label"]}
    if best:
        rows = (np.arange(B)[:, None] * L + x["masked_positions"]).ravel()
        batch |= {"rows": rows, "masked_ids": y["masked_ids"].ravel()}
    else:
        batch |= {"attention_mask": x["attention_mask"], "labels": labels}
    return {name: torch.tensor(value, dtype=torch.long, device="cuda")
            for name, value in batch.items()}


def torch_step(model, optimizer, loss_of: Callable, batches: list[dict]) -> Callable:
    "A function that takes a step on the next batch."
    import torch

    data = itertools.cycle(batches)

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_of(model, next(data))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss
    return step


def run_torch(shapes: list[tuple[int, int]], seconds: float, best: bool) -> Iterator[dict]:
    "Yield a row per shape."
    import torch
    from transformers import BertConfig, BertForPreTraining

    peak = torch_peak()
    model = BertForPreTraining._from_config(BertConfig(vocab_size=V), attn_implementation="sdpa")
    model = model.cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, eps=1e-6,
                                  fused=True)
    loss_of = torch.compile(torch_best_loss if best else torch_loss, dynamic=False)
    for L, B in shapes:
        try:
            batches = [torch_batch(B, L, i, best) for i in range(BATCHES)]
            step = torch_step(model, optimizer, loss_of, batches)
            bare_s = seconds_a_step(step, lambda loss: loss.item(), seconds)
            yield {"L": L, "B": B, "peak": peak, "bare_s": bare_s}
        except Exception as error:
            yield {"L": L, "B": B, "error": first_line(error)}


# === Table ===
def measure_peer(peer: str, shapes: list[tuple[int, int]], seconds: float) -> None:
    "Measure one peer and send its rows."
    rows = (run_ours(shapes, seconds) if peer == "ours"
            else run_torch(shapes, seconds, best=peer == "torch-best"))
    for row in rows:
        send_row({"peer": peer, **row})


def table_row(row: dict) -> str:
    "A row of the table; TFLOP/s are those of fit where there is one."
    start = f"| {row['peer']} | {row['L']} | {row['B']} |"
    if "error" in row:
        return f"{start} {row['error']} | | | | |"
    B, fit, bare = row["B"], row.get("fit_s"), row["bare_s"]
    tflop = model_flops(B, row["L"], n_masked(row["L"])) / 1e12
    share = f"{tflop / fit / row['peak']:.1%}" if fit else ""
    speed = f"{B / fit:.0f}" if fit else ""
    return (f"{start} {speed} | {B / bare:.0f} | {tflop / (fit or bare):.0f} | {share} | "
            f"{tflop / bare / row['peak']:.1%} |")


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("--peers", default=",".join(PEERS))
    option("--shapes", default=SHAPES, help="LENGTHxBATCH, comma separated")
    option("--seconds", type=float, default=1.0, help="of one timed run; three are made")
    option("--json", type=Path, help="file to write")
    option("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.child:
        return measure_peer(options.child, read_shapes(options.shapes), options.seconds)

    def run_peer(peer: str) -> Iterator[dict]:
        arguments = ["--child", peer, "--shapes", options.shapes, "--seconds", options.seconds]
        return run_child(__file__, arguments)

    def show(row: dict) -> None:
        print(table_row(row), file=sys.stderr, flush=True)

    results = take_turns(options.peers.split(","), 1, run_peer, show, options.json)
    peaks = {(row["peer"], row["peak"]): f"{row['peer']} {row['peak']:.0f}"
             for row in results if "peak" in row}
    print("peak, TFLOP/s:", ", ".join(peaks.values()))
    print("| peer | L | B | seq/s, fit | seq/s, bare step | TFLOP/s | share of peak, fit | "
          "share of peak, bare |\n|---|---|---|---|---|---|---|---|")
    for row in results:
        print(table_row(row))


if __name__ == "__main__":
    main()
