"""What pretraining is worth: NSMC after fine-tuning, from pretrained models and from random weights of the first one's shape.

    python benchmarks/finetune.py runs/small/model runs/reviews/model ../shared/corpora --output nsmc.json

The corpora folder holds nsmc_train_20k.jsonl and nsmc_test_4k.jsonl (`document`, `label`: 1 = positive). A tenth of the
training reviews is held out: it decides which epoch of a run is kept, and which learning rate each start gets. The test reviews are
looked at only for the number in the table. Runs on TensorFlow or, with KERAS_BACKEND=jax, on JAX.
"""
import argparse
import json
from pathlib import Path
from time import perf_counter

import keras
import numpy as np

from korean_bert.cleaning import clean_text
from korean_bert.hub import BertForSequenceClassification, ClassificationBatches, finetune_classifier, from_pretrained
from korean_bert.model import seeded

RANDOM = "random weights"


def read_reviews(path: Path) -> list[dict]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [{"text": clean_text(row["document"] or ""), "label": int(row["label"])} for row in map(json.loads, lines)]


def make_model(start: str, options: argparse.Namespace, seed: int):
    "The classifier to begin with, and its tokenizer."
    folder = options.models[0] if start == RANDOM else start
    model, tokenizer = from_pretrained(folder, BertForSequenceClassification, num_labels=2, dropout=options.dropout, seed=seed)
    if start == RANDOM:
        with seeded(seed):
            model = BertForSequenceClassification(model.config, num_labels=2)
    return model, tokenizer


def run_once(start: str, data: dict, options: argparse.Namespace, learning_rate: float, seed: int) -> dict:
    "One fine-tuning: validation accuracy of its best epoch, and test accuracy of the weights of that epoch."
    begin = perf_counter()
    model, tokenizer = make_model(start, options, seed)
    history = finetune_classifier(model, tokenizer, data["train"], data["validation"], options.epochs, options.batch_size,
                                  learning_rate, options.max_length, patience=options.epochs, seed=seed, verbose=0)
    test = ClassificationBatches(data["test"], tokenizer, options.batch_size, min(options.max_length, model.config.max_position_embeddings))
    result = {"seed": seed, "learning_rate": learning_rate, "epochs": len(history["loss"]), "seconds": round(perf_counter() - begin, 1),
              "validation_accuracy": max(history["val_accuracy"]), "test_accuracy": model.evaluate(test, verbose=0, return_dict=True)["accuracy"]}
    print(start, json.dumps(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="checkpoints: folders, or models of the Hub")
    parser.add_argument("corpora", type=Path, help="folder of the two NSMC files")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--learning_rates", type=float, nargs="+", default=[3e-4, 1e-3], help="tried with the first seed; validation decides")
    parser.add_argument("--seeds", type=int, default=3, help="runs with that learning rate")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_length", type=int, default=64, help="tokens")
    parser.add_argument("--dropout", type=float, default=0.1, help="while fine-tuning, as BERT has it")
    parser.add_argument("--rows", type=int, help="labelled reviews to learn from; all but the held-out tenth if not given")
    options = parser.parse_args()

    reviews = read_reviews(options.corpora / "nsmc_train_20k.jsonl")
    order = np.random.default_rng(0).permutation(len(reviews))
    held_out = len(reviews) // 10
    data = {"train": [reviews[i] for i in order[held_out:][:options.rows]], "validation": [reviews[i] for i in order[:held_out]],
            "test": read_reviews(options.corpora / "nsmc_test_4k.jsonl")}
    report = {"backend": keras.backend.backend(), "rows": {name: len(rows) for name, rows in data.items()}, "starts": {}}
    for start in [*options.models, RANDOM]:
        tried = {rate: run_once(start, data, options, rate, seed=0) for rate in options.learning_rates}
        best = max(tried, key=lambda rate: tried[rate]["validation_accuracy"])
        runs = [tried[best], *(run_once(start, data, options, best, seed) for seed in range(1, options.seeds))]
        report["starts"][start] = {"learning_rate": best, "test_accuracy": float(np.mean([run["test_accuracy"] for run in runs])), "runs": runs}

    baseline = report["starts"][RANDOM]["test_accuracy"]
    print("\n| start | learning rate | test accuracy, mean | gain, points | each seed |\n|---|---|---|---|---|")
    for start, found in report["starts"].items():
        each = ", ".join(f"{run['test_accuracy']:.1%}" for run in found["runs"])
        print(f"| {start} | {found['learning_rate']:g} | {found['test_accuracy']:.1%} | {100 * (found['test_accuracy'] - baseline):+.1f} | {each} |")
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
