"""Validation loss against training time: the tutorial's recipe and ours, same corpus, model shape, time and evaluation.

    python benchmarks/time_to_loss.py ../shared/corpora/korquad_v1.0_dev.json --minutes 10 --tutorial-python VENV/bin/python

VENV is an environment for TFBertForPreTraining, which transformers 5 no longer has:
    pip install tensorflow tf-keras transformers==4.57.6 datasets soynlp kss
Both get the documents, the vocabulary and the shape of the preset. The tutorial makes its own pairs, pads them to 512, and
trains with Adam at 1e-4 and a batch of 2 (here as one compiled function, which is kind to it). Time is that of the steps,
compilation included, on two threads, one contestant after the other; evaluations and snapshots do not count. The
snapshots of both are evaluated by `korean_bert.training.evaluate` on the same batches with the same masks.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

SNAPSHOTS = 20  # evaluations of each contestant
SHAPE = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, max_position_embeddings=512)


# === The tutorial's recipe, in its own environment ===
def torch_name(name: str) -> str:
    "`tf_bert_for_pre_training/bert/encoder/layer_._0/attention/self/query/kernel:0` -> PyTorch's name."
    parts = name.split(":")[0].split("/")[1:]
    parts[-1] = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}.get(parts[-1], parts[-1])
    joined = ".".join(parts).replace("layer_._", "layer.").replace("mlm___cls", "cls").replace("nsp___cls", "cls")
    return joined


def train_tutorial(folder: Path, minutes: float) -> None:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf
    import tf_keras
    from datasets import load_from_disk
    from preprocessing import tutorial_pairs
    from transformers import AutoTokenizer, BertConfig, DataCollatorForLanguageModeling, TFBertForPreTraining

    random.seed(0), tf.random.set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "run/tokenizer")
    documents = load_from_disk(str(folder / "run/corpus"))["train"]
    pairs = documents.map(lambda rows: tutorial_pairs(rows, tokenizer, "punct"), batched=True, remove_columns=documents.column_names)
    model = TFBertForPreTraining(BertConfig(vocab_size=len(tokenizer), **SHAPE))
    model(model.dummy_inputs)
    optimizer, collate = tf_keras.optimizers.Adam(1e-4), DataCollatorForLanguageModeling(tokenizer, return_tensors="tf")

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(batch, training=True).loss)
        optimizer.minimize(loss, model.trainable_variables, tape=tape)

    def snapshot(seconds: float, steps: int) -> None:
        arrays = {torch_name(w.name): w.numpy() for w in model.weights}
        np.savez(folder / f"tutorial_{seconds:07.1f}_{steps}.npz", **arrays)

    done, steps, order = 0.0, 0, []
    snapshot(done, steps)
    for k in range(1, SNAPSHOTS + 1):
        while done < k * minutes * 60 / SNAPSHOTS:
            order = order or random.sample(range(len(pairs)), len(pairs))
            rows = [order.pop() for _ in range(min(2, len(order)))]
            start = time.perf_counter()
            step(collate([pairs[row] for row in rows]))
            done, steps = done + time.perf_counter() - start, steps + 1
        snapshot(done, steps)


def evaluate_tutorial(folder: Path, model, validation) -> list[dict]:
    import numpy as np
    from safetensors.numpy import save_file

    from korean_bert.model import _is_matrix, load_hf_weights
    from korean_bert.training import evaluate

    points = []
    for path in sorted(folder.glob("tutorial_*.npz")):
        arrays = {name: np.ascontiguousarray(a.T if _is_matrix(name) else a) for name, a in np.load(path).items()}
        save_file(arrays, folder / "snapshot/model.safetensors")
        load_hf_weights(model, folder / "snapshot")
        _, seconds, steps = path.stem.split("_")
        points.append({"seconds": float(seconds), "steps": int(steps), **evaluate(model, validation)})
    return points


# === Ours ===
def train_ours(folder: Path, minutes: float, config) -> None:
    from korean_bert.nsp import PretrainBatches
    from korean_bert.training import build_model, prepare, read_history, set_output_bias, train

    tokenizer, pairs, _ = prepare(config)
    batches = PretrainBatches(pairs["train"], tokenizer, config)
    validation = PretrainBatches(pairs["validation"], tokenizer, config, training=False, lengths=batches.lengths)
    probe = replace(config, eval_steps=10_000)
    train(build_model(probe, tokenizer, 60), batches, validation, probe, 60, folder / "probe")
    seconds = sorted(row["seconds"] for row in read_history(folder / "probe") if "seconds" in row)
    compiled = sum(seconds) - 60 * seconds[30]                      # what the first steps cost on top
    steps = int((minutes * 60 - compiled) / (sum(seconds[:50]) / 50))
    config = replace(config, eval_steps=max(1, steps // SNAPSHOTS))
    model = build_model(config, tokenizer, steps)
    set_output_bias(model, pairs["train"], tokenizer)
    train(model, batches, validation, config, steps, folder / "ours")


def read_ours(folder: Path) -> list[dict]:
    from korean_bert.training import read_history

    points, seconds = [], 0.0
    for row in read_history(folder / "ours"):
        seconds += row.get("seconds", 0)
        if "val_mlm_loss" in row:
            points.append({"seconds": seconds, "steps": row["step"], **{k.removeprefix("val_"): v for k, v in row.items() if k != "step"}})
    return points


# === The comparison ===
def plot(curves: dict[str, list[dict]], entropy: float, path: Path) -> None:
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 4), constrained_layout=True)
    for name, points in curves.items():
        ax.plot([p["seconds"] / 60 for p in points], [p["mlm_loss"] for p in points], "o-", markersize=3, label=name)
    ax.axhline(entropy, color="grey", linestyle=":", label="unigram entropy")
    ax.set(xlabel="minutes of training on the CPU", ylabel="validation mlm_loss (nats)")
    ax.legend()
    ax.figure.savefig(path, dpi=150)


def write_corpus(source: Path, target: Path) -> None:
    "KorQuAD's paragraphs as documents; any other file as it is."
    if source.name.startswith("korquad"):
        data = json.loads(source.read_text(encoding="utf-8"))["data"]
        rows = [json.dumps({"text": p["context"]}, ensure_ascii=False) for article in data for p in article["paragraphs"]]
        target.write_text("\n".join(rows), encoding="utf-8")
    else:
        target.write_bytes(source.read_bytes())


def start(python: str, cores: set[int], *arguments: str) -> subprocess.Popen:
    "A contestant in a process of its own, a thread on each of these cores."
    threads = str(len(cores))
    env = {**os.environ, "OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([python, __file__, *arguments], env=env, preexec_fn=lambda: os.sched_setaffinity(0, cores))


def run_contest(pythons: dict[str, str], arguments: list[str], side_by_side: bool) -> None:
    "Both on two cores, one after the other; or each on a core of its own, at the same time."
    running = []
    for core, (name, python) in enumerate(pythons.items()):
        running.append(start(python, {core} if side_by_side else {0, 1}, *arguments, "--contestant", name))
        if not side_by_side:
            running[-1].wait()
    if any(child.wait() for child in running):
        raise SystemExit("a contestant failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="KorQuAD's JSON, or a file of documents that `load_corpus` reads")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--tutorial-python", required=True, help="python of the environment for the tutorial's recipe")
    parser.add_argument("--batch-size", type=int, default=32, help="ours")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="ours, the peak")
    parser.add_argument("--folder", type=Path, default=Path("time_to_loss"), help="for runs, snapshots, result.json and curves.png")
    parser.add_argument("--side-by-side", action="store_true", help="at the same time, each on a core of its own, in half the time")
    parser.add_argument("--contestant", choices=["tutorial", "ours"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.contestant == "tutorial":
        return train_tutorial(folder, options.minutes)

    from korean_bert.config import preset
    corpus = folder / f"corpus{options.corpus.suffix if not options.corpus.name.startswith('korquad') else '.jsonl'}"
    config = preset("small", corpus=str(corpus), output_dir=str(folder / "run"), train_batch_size=options.batch_size,
                    learning_rate=options.learning_rate, precision="float32", num_proc=1, **SHAPE)
    if options.contestant == "ours":
        return train_ours(folder, options.minutes, config)

    from korean_bert.model import BertForPreTraining, save_hf_weights
    from korean_bert.nsp import PretrainBatches
    from korean_bert.training import make_bert_config, prepare, unigram_entropy
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(options.corpus, corpus)
    tokenizer, pairs, _ = prepare(config)
    arguments = [str(options.corpus), "--minutes", str(options.minutes), "--folder", str(folder), "--tutorial-python", options.tutorial_python,
                 "--batch-size", str(options.batch_size), "--learning-rate", str(options.learning_rate)]
    run_contest({"tutorial": options.tutorial_python, "ours": sys.executable}, arguments, options.side_by_side)

    model = BertForPreTraining(make_bert_config(config, len(tokenizer)))
    save_hf_weights(model, folder / "snapshot")
    validation = PretrainBatches(pairs["validation"], tokenizer, config, training=False)
    curves = {"tutorial": evaluate_tutorial(folder, model, validation), "korean_bert": read_ours(folder)}
    entropy, goal = unigram_entropy(pairs["validation"], tokenizer), curves["tutorial"][-1]["mlm_loss"]
    reached = next((p["seconds"] for p in curves["korean_bert"] if p["mlm_loss"] <= goal), None)
    plot(curves, entropy, folder / "curves.png")
    (folder / "result.json").write_text(json.dumps({"unigram_entropy": entropy, **curves}, indent=1))
    for name, points in curves.items():
        last = points[-1]
        print(f"{name}: {last['steps']} steps, mlm_loss {last['mlm_loss']:.3f} ({entropy - last['mlm_loss']:+.3f} below the unigram entropy), "
              f"nsp_accuracy {last['nsp_accuracy']:.3f}")
    print(f"ours was below the tutorial's final loss after {reached:.0f} s of {curves['tutorial'][-1]['seconds']:.0f}" if reached else "not reached")


if __name__ == "__main__":
    main()
