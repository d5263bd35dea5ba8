"""What pretraining is worth on NSMC: pretrained models, random weights, and no network at all.

    python benchmarks/finetune.py runs/small/model runs/reviews/model ../shared/corpora
    python benchmarks/finetune.py ../shared/corpora --rows 1000   # the baseline alone

The corpora folder holds nsmc_train_20k.jsonl and nsmc_test_4k.jsonl (`document`, `label`: 1 =
positive). A tenth of the training reviews is held out: it decides which epoch of a run is kept,
which learning rate each start gets, and the n-grams and C of the baseline. The test reviews are
looked at only for the number in the table. Random weights have the first model's shape. The
baseline is logistic regression on the TF-IDF of character n-grams. Needs the extra `dev`, for
scikit-learn. Runs on TensorFlow or, with KERAS_BACKEND=jax, on JAX.
"""
import argparse
import json
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
from harness import make_parser
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from korean_bert.cleaning import clean_text
from korean_bert.finetuning import ClassificationBatches, finetune_classifier
from korean_bert.hub import from_pretrained
from korean_bert.model import BertForSequenceClassification, seeded

RANDOM, BASELINE = "random weights", "character n-grams, no network"
NGRAMS = [(1, 3), (1, 4), (1, 5)]  # shortest and longest, tried by the baseline
STRENGTHS = [3, 10, 30]            # its C, likewise


def read_reviews(path: Path) -> list[dict]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [{"text": clean_text(row["document"] or ""), "label": int(row["label"])} for row in rows]


def read_data(options: argparse.Namespace) -> dict[str, list[dict]]:
    "The reviews to learn from, to choose by, and to test on."
    reviews = read_reviews(options.corpora / "nsmc_train_20k.jsonl")
    order = np.random.default_rng(0).permutation(len(reviews))
    held_out = len(reviews) // 10
    return {"train": [reviews[i] for i in order[held_out:][:options.rows]],
            "validation": [reviews[i] for i in order[:held_out]],
            "test": read_reviews(options.corpora / "nsmc_test_4k.jsonl")}


# === Without a network ===
def run_baseline(data: dict) -> dict:
    "The n-grams and C that are best on the held-out reviews, and their test accuracy."
    columns = {part: ([row["text"] for row in rows], [row["label"] for row in rows])
               for part, rows in data.items()}
    tried = []
    for ngrams in NGRAMS:
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=ngrams, sublinear_tf=True)
        vectors = vectorizer.fit_transform(columns["train"][0])
        for strength in STRENGTHS:
            classifier = LogisticRegression(C=strength, max_iter=1000)
            classifier.fit(vectors, columns["train"][1])
            model = make_pipeline(vectorizer, classifier)
            found = {"ngrams": ngrams, "C": strength,
                     "validation_accuracy": model.score(*columns["validation"])}
            print(BASELINE, json.dumps(found), flush=True)
            tried.append((found, model))
    found, model = max(tried, key=lambda pair: pair[0]["validation_accuracy"])
    return {**found, "test_accuracy": model.score(*columns["test"])}


# === Our models ===
def make_model(start: str, options: argparse.Namespace, seed: int):
    "The classifier to begin with, and its tokenizer."
    folder = options.models[0] if start == RANDOM else start
    model, tokenizer = from_pretrained(folder, BertForSequenceClassification, num_labels=2,
                                       dropout=options.dropout, seed=seed)
    if start == RANDOM:
        with seeded(seed):
            model = BertForSequenceClassification(model.config, num_labels=2)
    return model, tokenizer


def run_once(start: str, data: dict, options: argparse.Namespace, learning_rate: float,
             seed: int) -> dict:
    "One fine-tuning: validation accuracy of its best epoch, test accuracy of that epoch's weights."
    begin = perf_counter()
    model, tokenizer = make_model(start, options, seed)
    history = finetune_classifier(model, tokenizer, data["train"], data["validation"],
                                  options.epochs, options.batch_size, learning_rate,
                                  options.max_length, patience=options.epochs, seed=seed, verbose=0)
    test = ClassificationBatches(data["test"], tokenizer, options.batch_size,
                                 min(options.max_length, model.config.max_position_embeddings))
    result = {"seed": seed, "learning_rate": learning_rate, "epochs": len(history["loss"]),
              "seconds": round(perf_counter() - begin, 1),
              "validation_accuracy": max(history["val_accuracy"]),
              "test_accuracy": model.evaluate(test, verbose=0, return_dict=True)["accuracy"]}
    print(start, json.dumps(result), flush=True)
    return result


def run_start(start: str, data: dict, options: argparse.Namespace) -> dict:
    "All seeds, with the learning rate that is best for the first one."
    tried = [run_once(start, data, options, rate, seed=0) for rate in options.learning_rates]
    best = max(tried, key=lambda run: run["validation_accuracy"])
    runs = [best, *(run_once(start, data, options, best["learning_rate"], seed)
                    for seed in range(1, options.seeds))]
    return {"learning_rate": best["learning_rate"], "runs": runs,
            "test_accuracy": float(np.mean([run["test_accuracy"] for run in runs]))}


def print_table(report: dict) -> None:
    baseline, starts = report["baseline"], report["starts"]
    low, high = baseline["ngrams"]
    print("\n| start | learning rate | test accuracy, mean | gain, points | each seed |"
          "\n|---|---|---|---|---|"
          f"\n| {BASELINE} ({low} to {high}, C {baseline['C']:g}) | "
          f"| {baseline['test_accuracy']:.1%} | | |")
    for start, found in starts.items():
        gain = 100 * (found["test_accuracy"] - starts[RANDOM]["test_accuracy"])
        each = ", ".join(f"{run['test_accuracy']:.1%}" for run in found["runs"])
        print(f"| {start} | {found['learning_rate']:g} | {found['test_accuracy']:.1%} | "
              f"{gain:+.1f} | {each} |")


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
    data = read_data(options)
    starts = [*options.models, RANDOM] if options.models else []
    report = {"backend": keras.backend.backend(),
              "rows": {name: len(rows) for name, rows in data.items()},
              "baseline": run_baseline(data),
              "starts": {start: run_start(start, data, options) for start in starts}}
    print_table(report)
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
