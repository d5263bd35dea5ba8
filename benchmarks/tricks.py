"""What each trick of korean_bert.speed gains: a step of BERT-base's shape with Keras's own in its place.

All models live in one process and take steps in turns, forwards and backwards: on a machine that others use only the
ratios of one turn count.

    python benchmarks/tricks.py --layers 3 --rounds 16
    python benchmarks/tricks.py --preset small --B 32 --L 64
"""
import statistics
from contextlib import nullcontext
from functools import partial
from time import perf_counter, process_time
from unittest import mock

import keras
from harness import make_parser
from keras import ops
from train_step import V, adamw, make_batch
from transformers import BertConfig

import korean_bert.model as model
from korean_bert.config import preset
from korean_bert.resolve import make_bert_config

VARIANTS = {  # what to put in place of what
    "as it is": {},
    "keras.layers.Dropout": {"Dropout": lambda rate: keras.layers.Dropout(rate)},
    "Keras's GELU, by erfc": {"ACTIVATIONS": {"gelu": keras.activations.gelu}},
    "LayerNorm in three dimensions": {"as_rows": lambda x: x},
    "Keras's cross entropy and argmax": {
        "cross_entropy": partial(ops.sparse_categorical_crossentropy, from_logits=True),
        "_is_right": lambda labels, logits: ops.cast(
            ops.cast(labels, "int64") == ops.cast(ops.argmax(logits, -1), "int64"), "float32")},
}
VARIANTS["all four"] = {name: part for changes in VARIANTS.values()
                        for name, part in changes.items()}


def make_shape(options) -> BertConfig:
    "BERT-base with fewer layers, or that of a preset."
    if options.preset:
        config = preset(options.preset)
        return make_bert_config(config, config.vocab_size)
    return BertConfig(vocab_size=V, num_hidden_layers=options.layers)


def compiled(changes: dict, shape: BertConfig, batches: list) -> keras.Model:
    "A model after its first two steps, which compile it."
    with mock.patch.multiple(model, **changes) if changes else nullcontext():
        bert = model.BertForPreTraining(shape)
        bert.compile(adamw(keras.optimizers), jit_compile=True)
        for batch in batches:
            bert.train_on_batch(*batch)
    return bert


def timed(bert: keras.Model, batch: tuple) -> tuple[float, float]:
    "Seconds of a step, and seconds of CPU."
    start, cpu = perf_counter(), process_time()
    float(bert.train_on_batch(*batch, return_dict=True)["loss"])
    return perf_counter() - start, process_time() - cpu


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--preset", help="shape; BERT-base's if not given")
    for name, value in [("layers", 3), ("rounds", 16), ("B", 8), ("L", 128)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    shape = make_shape(options)
    share = preset(options.preset or "base").mlm_prob
    batches = [make_batch(options.B, options.L, i, shape.vocab_size, share)[:2]
               for i in range(2 + options.rounds)]
    berts = {name: compiled(changes, shape, batches[:2]) for name, changes in VARIANTS.items()}
    times = {name: [] for name in berts}
    for i, batch in enumerate(batches[2:]):
        for name in list(berts)[::1 if i % 2 else -1]:
            times[name].append(timed(berts[name], batch))
    print("against the step as it is, median of the turns: wall, CPU")
    for name, found in times.items():
        ratios = [[a / b for a, b in zip(*pair)] for pair in zip(found, times["as it is"])]
        print(f"{name:33} {' '.join(f'{statistics.median(part):.3f}' for part in zip(*ratios))}")


if __name__ == "__main__":
    main()
