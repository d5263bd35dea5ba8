"""What pretraining is worth: NSMC after fine-tuning, from a pretrained model and from random weights of the same shape.

    python benchmarks/finetune.py runs/small/model ../shared/corpora --output nsmc.json

The corpora folder holds nsmc_train_20k.jsonl and nsmc_test_4k.jsonl (`document`, `label`: 1 = positive). A tenth of the
training reviews is held out: it decides when a run stops, and which learning rate each of the two gets. The test reviews
are looked at only for the number in the table. Runs on TensorFlow or, with KERAS_BACKEND=jax, on JAX.
"""
import argparse
import json
from pathlib import Path
from time import perf_counter

import keras
import numpy as np

from korean_bert.cleaning import clean_text
from korean_bert.hub import BertForSequenceClassification, ClassificationBatches, finetune_classifier, from_pretrained

START = {"pretrained": "fine-tuned from the checkpoint", "random": "the same from random weights"}


def read_reviews(path: Path, rows: int | None = None) -> list[dict]:
    lines = path.read_text(encoding="utf-8").splitlines()[:rows]
    return [{"text": clean_text(row["document"] or ""), "label": int(row["label"])} for row in map(json.loads, lines)]


def make_model(kind: str, folder: str, seed: int):
    "The classifier to begin with, and its tokenizer."
    model, tokenizer = from_pretrained(folder, BertForSequenceClassification, num_labels=2, seed=seed)
    if kind == "random":
        keras.utils.set_random_seed(seed)
        model = BertForSequenceClassification(model.config, num_labels=2)
    return model, tokenizer


def run_once(kind: str, data: dict, options: argparse.Namespace, learning_rate: float, seed: int) -> dict:
    "One fine-tuning: validation accuracy of its best epoch, and test accuracy of the weights of that epoch."
    start = perf_counter()
    model, tokenizer = make_model(kind, options.model, seed)
    history = finetune_classifier(model, tokenizer, data["train"], data["validation"], options.epochs, options.batch_size,
                                  learning_rate, options.max_length, seed=seed, verbose=0)
    test = ClassificationBatches(data["test"], tokenizer, options.batch_size, min(options.max_length, model.config.max_position_embeddings))
    result = {"seed": seed, "learning_rate": learning_rate, "epochs": len(history["loss"]), "seconds": round(perf_counter() - start, 1),
              "validation_accuracy": max(history["val_accuracy"]), "test_accuracy": model.evaluate(test, verbose=0, return_dict=True)["accuracy"]}
    print(kind, json.dumps(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="checkpoint: a folder, or a model of the Hub")
    parser.add_argument("corpora", type=Path, help="folder of the two NSMC files")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--learning_rates", type=float, nargs="+", default=[1e-4, 3e-4], help="tried for both with the first seed; validation decides")
    parser.add_argument("--seeds", type=int, default=3, help="runs with that learning rate")
    parser.add_argument("--epochs", type=int, default=4, help="at most")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_length", type=int, default=128, help="tokens")
    parser.add_argument("--rows", type=int, help="labelled reviews to learn from, the held-out tenth included; all if not given")
    options = parser.parse_args()

    reviews = read_reviews(options.corpora / "nsmc_train_20k.jsonl", options.rows)
    order = np.random.default_rng(0).permutation(len(reviews))
    held_out = len(reviews) // 10
    data = {"train": [reviews[i] for i in order[held_out:]], "validation": [reviews[i] for i in order[:held_out]],
            "test": read_reviews(options.corpora / "nsmc_test_4k.jsonl")}
    report = {"model": Path(options.model).name, "backend": keras.backend.backend(), "rows": {name: len(rows) for name, rows in data.items()}}
    for kind in START:
        tried = {rate: run_once(kind, data, options, rate, seed=0) for rate in options.learning_rates}
        best = max(tried, key=lambda rate: tried[rate]["validation_accuracy"])
        runs = [tried[best], *(run_once(kind, data, options, best, seed) for seed in range(1, options.seeds))]
        report[kind] = {"learning_rate": best, "test_accuracy": float(np.mean([run["test_accuracy"] for run in runs])), "runs": runs}

    print("\n| start | learning rate | test accuracy, mean | each seed |\n|---|---|---|---|")
    for kind, name in START.items():
        each = ", ".join(f"{run['test_accuracy']:.1%}" for run in report[kind]["runs"])
        print(f"| {name} | {report[kind]['learning_rate']:g} | {report[kind]['test_accuracy']:.1%} | {each} |")
    gain = report["pretrained"]["test_accuracy"] - report["random"]["test_accuracy"]
    print(f"\npretraining is worth {100 * gain:+.1f} percentage points")
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
