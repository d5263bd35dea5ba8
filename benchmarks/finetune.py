"""What pretraining is worth on NSMC: pretrained models, random weights, and no network at all.

    python benchmarks/finetune.py runs/small/model runs/reviews/model ../shared/corpora
    python benchmarks/finetune.py ../shared/corpora --rows 1000   # the baseline alone

The corpora folder, of get_corpora.py, holds nsmc_train_20k.jsonl and nsmc_test_4k.jsonl (`document`,
`label`: 1 = positive). `korean_bert.tasks.finetune` does the rest: a tenth of the training reviews
is held out and decides which epoch of a run is kept, which learning rate each start gets, and the
n-grams and C of the baseline; the test reviews are looked at only for the number in the table.
Random weights have the first model's shape. Needs the extra `finetune`. Runs on TensorFlow or, with
KERAS_BACKEND=jax, on JAX.
"""
import argparse
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
from harness import make_parser

from korean_bert.tasks import RANDOM, finetune, show_results


def rename_text(path: Path, folder: Path) -> str: # the file
    "Write reviews under the names that `finetune` reads."
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    lines = [json.dumps({"text": row["document"] or "", "label": row["label"]}, ensure_ascii=False)
             for row in rows]
    (folder / path.name).write_text("\n".join(lines), encoding="utf-8")
    return str(folder / path.name)


def show_gains(report: dict) -> None:
    "Print how far each model is above random weights."
    for start, found in report["models"].items():
        gain = 100 * (found["test"] - report["models"][RANDOM]["test"])
        if start != RANDOM:
            print(f"{start}: {gain:+.1f} points above random weights of the first model's shape")


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("models", nargs="*", help="checkpoints: folders, or models of the Hub")
    option("corpora", type=Path, help="folder of the two NSMC files")
    option("--output", type=Path, help="JSON file to write")
    option("--learning_rates", type=float, nargs="+", default=[3e-4, 1e-3],
           help="tried with the first seed; validation decides")
    option("--seeds", type=int, default=3, help="runs with that learning rate")
    option("--epochs", type=int, default=3)
    option("--batch_size", type=int, default=32)
    option("--max_length", type=int, default=64, help="tokens")
    option("--dropout", type=float, default=0.1, help="while fine-tuning, as BERT has it")
    option("--rows", type=int,
           help="labelled reviews to learn from; all but the held-out tenth if not given")
    return parser.parse_args()


def main() -> None:
    options = parse()
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("korean_bert.tasks").setLevel(logging.INFO)  # each run as it ends
    with TemporaryDirectory() as folder:
        train, test = (rename_text(options.corpora / name, Path(folder))
                       for name in ["nsmc_train_20k.jsonl", "nsmc_test_4k.jsonl"])
        report = finetune([*options.models, *[RANDOM] * bool(options.models)], train, test,
                          Path(folder, "results"), options.seeds, options.learning_rates,
                          [options.batch_size], options.epochs, options.max_length,
                          options.dropout, options.rows)
    show_results(report)
    show_gains(report)
    if options.output:
        report["backend"] = keras.backend.backend()
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
