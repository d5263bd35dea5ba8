"""What each trick of korean_bert.speed gains: a step of BERT-base's shape with Keras's own in its place.

All models live in one process and take steps in turns, forwards and backwards: on a machine that others use only the
ratios of one turn count.

    python benchmarks/tricks.py --layers 3 --rounds 16
"""
import argparse
import statistics
from contextlib import nullcontext
from time import perf_counter, process_time
from unittest import mock

import keras
from train_step import V, adamw, make_batch
from transformers import BertConfig

import korean_bert.model as model

VARIANTS = {  # what to put in place of what
    "as it is": {},
    "keras.layers.Dropout": {"Dropout": lambda rate: keras.layers.Dropout(rate)},
    "Keras's GELU, by erfc": {"ACTIVATIONS": {"gelu": keras.activations.gelu}},
    "LayerNorm in three dimensions": {"as_rows": lambda x: x},
}
VARIANTS["all three"] = {name: part for changes in VARIANTS.values() for name, part in changes.items()}


def compiled(changes: dict, layers: int, B: int, L: int) -> keras.Model:
    "A model after its first two steps, which compile it."
    with mock.patch.multiple(model, **changes) if changes else nullcontext():
        bert = model.BertForPreTraining(BertConfig(vocab_size=V, num_hidden_layers=layers))
        bert.compile(adamw(keras.optimizers), jit_compile=True)
        for i in range(2):
            bert.train_on_batch(*make_batch(B, L, i)[:2])
    return bert


def timed(bert: keras.Model, batch: tuple) -> tuple[float, float]:
    "Seconds of a step, and seconds of CPU."
    start, cpu = perf_counter(), process_time()
    float(bert.train_on_batch(*batch, return_dict=True)["loss"])
    return perf_counter() - start, process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in [("layers", 3), ("rounds", 16), ("B", 8), ("L", 128)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    berts = {name: compiled(changes, options.layers, options.B, options.L) for name, changes in VARIANTS.items()}
    times = {name: [] for name in berts}
    for i in range(options.rounds):
        batch = make_batch(options.B, options.L, 2 + i)[:2]
        for name in list(berts)[::1 if i % 2 else -1]:
            times[name].append(timed(berts[name], batch))
    print("against the step as it is, median of the turns: wall, CPU")
    for name, found in times.items():
        ratios = [[a / b for a, b in zip(*pair)] for pair in zip(found, times["as it is"])]
        print(f"{name:30} {' '.join(f'{statistics.median(part):.3f}' for part in zip(*ratios))}")


if __name__ == "__main__":
    main()
