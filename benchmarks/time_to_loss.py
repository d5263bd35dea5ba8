"""Loss at [MASK] against training time on the same CPU cores: ours, the tutorial's recipe, run_mlm.py.

    python benchmarks/time_to_loss.py ../shared/corpora/korquad_v1.0_dev.json \\
        --tutorial-python VENV/bin/python

VENV is an environment for TFBertForPreTraining, which transformers 5 no longer has:
    pip install tensorflow tf-keras transformers==4.57.6 datasets soynlp kss

All get the same documents, vocabulary, model shape and time, one after the other, each in a process
of its own:
    ours           first weights and steps as `pretrain` makes them, the recipe of the preset;
                   counting what the first weights are made of is part of its time
    tutorial       its own pairs, padded to 512; Adam at 1e-4, batches of 2, a compiled function
    mlm_RATE_SIZE  PyTorch's BertForMaskedLM with this learning rate and batch size, trained as by
                   transformers' examples/pytorch/language-modeling/run_mlm.py, Trainer's defaults:
                   texts concatenated and cut into blocks, 15 % masked, AdamW without decay,
                   gradients clipped at 1, the rate falling in a straight line to 0 at the end of
                   the time. mlm_5e-5_8 is the default; any other can be named, mlm_1e-3_8 say
Time is that of the steps. Data, compilation, snapshots and evaluations do not count, nor does
making a peer's batches. The cores must be quiet: PyTorch's threads wait for each other. Where other
work cannot be stopped, keep it to core 0 and give the race `--cores 1 --minutes 20`.

All are judged by `mask_token_loss` of `korean_bert.training.evaluate`, on the same batches with the
same masks (the preset's share). A model that has never seen a second segment gets the vector of the
first one for it.

What is in the folder is not done again: a race that was cut off goes on with those who are missing.
One contestant, and the report of what is there without running any:

    python benchmarks/time_to_loss.py CORPUS --contestant mlm_5e-5_8
    python benchmarks/time_to_loss.py CORPUS --contestant
"""
import argparse
import json
import logging
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from statistics import median

from harness import make_parser, read_korquad, run_child

CONTESTANTS = ["ours", "tutorial", "mlm_5e-5_8", "mlm_3e-4_8",
               "mlm_1e-3_32"]  # without warm-up, the highest rate needs calmer gradients
SNAPSHOTS, OUR_EVALUATIONS = 20, 60  # evenly over the time
FREE_STEPS = 3  # of a peer: they compile and warm up, and are learnt from but not timed
SHAPE = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
             intermediate_size=1024, max_position_embeddings=512)


# === Peers: steps against the clock, and snapshots under PyTorch's names ===
def run_steps(make_batch: Callable, step: Callable, tensors: Callable, seconds: float,
              target: Path) -> None:
    "Call step(batch, share of the time gone by) until the time is over, after a few free ones."
    from safetensors.numpy import save_file

    for _ in range(FREE_STEPS):
        step(make_batch(), 0.0)
    done, count = 0.0, FREE_STEPS
    for part in range(SNAPSHOTS + 1):
        mark = seconds * part / SNAPSHOTS
        if part and done >= mark:  # a step longer than the time between two snapshots
            continue
        while done < mark:
            batch, begin = make_batch(), time.perf_counter()
            step(batch, done / seconds)
            done, count = done + time.perf_counter() - begin, count + 1
        folder = target / f"{done:07.1f}_{count}"
        folder.mkdir(parents=True)
        save_file(tensors(), folder / "model.safetensors")


def endless_rows(rows: int, size: int):
    "Row numbers for whole batches, shuffled anew each time all have been used."
    while True:
        order = random.sample(range(rows), rows)
        yield from (order[i:i + size] for i in range(0, rows - size + 1, size))


def torch_name(name: str) -> str:
    "`tf_bert_for_pre_training/bert/pooler/dense/kernel:0` -> `bert.pooler.dense.weight`."
    parts = name.split(":")[0].split("/")[1:]
    renamed = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}
    parts[-1] = renamed.get(parts[-1], parts[-1])
    joined = ".".join(parts).replace("layer_._", "layer.")
    return joined.replace("mlm___cls", "cls").replace("nsp___cls", "cls")


def train_tutorial(folder: Path, seconds: float, target: Path) -> None:
    "The tutorial's recipe, in its own environment."
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf
    import tf_keras
    from datasets import load_from_disk
    from preprocessing import tutorial_pairs
    from transformers import (AutoTokenizer, BertConfig, DataCollatorForLanguageModeling,
                              TFBertForPreTraining)

    random.seed(0), tf.random.set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    documents = load_from_disk(str(folder / "run/corpus"))["train"]
    pairs = documents.map(lambda rows: tutorial_pairs(rows, tokenizer, "punct"), batched=True,
                          remove_columns=documents.column_names)
    model = TFBertForPreTraining(BertConfig(vocab_size=len(tokenizer), **SHAPE))
    model(model.dummy_inputs)
    optimizer = tf_keras.optimizers.Adam(1e-4)
    collate = DataCollatorForLanguageModeling(tokenizer, return_tensors="tf")
    rows = endless_rows(len(pairs), 2)

    @tf.function
    def update(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(batch, training=True).loss)
        optimizer.minimize(loss, model.trainable_variables, tape=tape)

    def tensors() -> dict:
        found = {w.name: w.numpy() for w in model.weights}
        return {torch_name(name): np.ascontiguousarray(array.T if "/kernel" in name else array)
                for name, array in found.items()}

    run_steps(lambda: collate([pairs[row] for row in next(rows)]),
              lambda batch, share: update(batch), tensors, seconds, target)


def cut_blocks(texts: list[str], tokenizer, block_size: int) -> list[list[int]]:
    "All texts, [CLS] and [SEP] around each, as one row of tokens in blocks; the rest is dropped."
    ids = list(chain.from_iterable(tokenizer(texts, verbose=False)["input_ids"]))
    return [ids[i:i + block_size] for i in range(0, len(ids) - block_size + 1, block_size)]


def train_mlm(folder: Path, seconds: float, target: Path, learning_rate: float,
              batch_size: int) -> None:
    "PyTorch's BertForMaskedLM as run_mlm.py trains it."
    import torch
    from datasets import load_from_disk
    from transformers import (AutoTokenizer, BertConfig, BertForMaskedLM,
                              DataCollatorForLanguageModeling)

    from korean_bert.config import load_config

    random.seed(0), torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    texts = load_from_disk(str(folder / "run/corpus"))["train"]["text"]
    block_size = load_config(folder / "run/config.json").block_size
    blocks = cut_blocks(list(texts), tokenizer, block_size)
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SHAPE)).train()
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.0, fused=True)
    collate = DataCollatorForLanguageModeling(tokenizer)
    rows = endless_rows(len(blocks), batch_size)

    def step(batch, share: float) -> None:
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - share)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def tensors() -> dict:
        found = {name: value.numpy().copy() for name, value in model.state_dict().items()
                 if "decoder" not in name}  # tied
        segments = found["bert.embeddings.token_type_embeddings.weight"]
        segments[1] = segments[0]  # the second one was never seen
        return found

    run_steps(lambda: collate([{"input_ids": blocks[row]} for row in next(rows)]),
              step, tensors, seconds, target)


def evaluate_snapshots(target: Path, config) -> list[dict]:
    "A point for each snapshot; the NSP figures of a model without that head are left out."
    from korean_bert.model import BertForPreTraining
    from korean_bert.weights import load_hf_weights
    from korean_bert.resolve import make_bert_config
    from korean_bert.training import evaluate

    logging.getLogger("korean_bert.model").setLevel(logging.ERROR)  # of the heads that are missing
    tokenizer, _, validation = open_data(config)
    model, points = BertForPreTraining(make_bert_config(config, len(tokenizer))), []
    for path in sorted(target.iterdir()):
        missing = load_hf_weights(model, path)
        found = evaluate(model, validation)
        if missing:
            found = {name: value for name, value in found.items()
                     if not name.startswith(("nsp", "majority"))}
        seconds, steps = path.name.split("_")
        points.append({"seconds": float(seconds), "steps": int(steps), **found})
    return points


# === Ours ===
def open_data(config) -> tuple:
    "The tokenizer, the training batches, and the validation batches that all are judged by."
    from korean_bert.masking import PretrainBatches
    from korean_bert.runs import prepare

    tokenizer, pairs, _ = prepare(config)
    return (tokenizer, PretrainBatches(pairs["train"], tokenizer, config),
            PretrainBatches(pairs["validation"], tokenizer, config, training=False))


def compile_steps(model, batches) -> None:
    "Make a step of each length, so that all are compiled, and put everything back as it was."
    from keras import ops

    made = (batches[i] for i in range(len(batches)))
    examples = {inputs["input_ids"].shape: (inputs, answers) for inputs, answers in made}
    variables = [*model.variables, *model.optimizer.variables]
    before = [ops.convert_to_numpy(variable).copy() for variable in variables]
    for inputs, answers in examples.values():
        model.train_on_batch(inputs, answers)
    for variable, value in zip(variables, before):
        variable.assign(value)


def train_ours(folder: Path, seconds: float, target: Path, config) -> None:
    "What `pretrain` does, in as many steps as the time is long enough for."
    from dataclasses import replace

    from korean_bert.initialization import count_corpus, initialize_from_counts
    from korean_bert.resolve import make_bert_config
    from korean_bert.runs import train_run
    from korean_bert.history import read_history
    from korean_bert.training import build_model, evaluate

    tokenizer, batches, validation = open_data(config)
    bert = make_bert_config(config, len(tokenizer))

    def compiled_model(steps: int):
        model = build_model(bert, steps, config.learning_rate, config.seed,
                            warmup_ratio=config.warmup_ratio)
        compile_steps(model, batches)
        return model

    model = compiled_model(20)
    begin = time.perf_counter()
    counts = count_corpus(batches.pairs, tokenizer)
    initialize_from_counts(model, counts, tokenizer, config.seed)
    counting = time.perf_counter() - begin
    train_run(model, batches, validation, replace(config, eval_steps=20), 20, folder / "probe")
    pace = median(row["seconds"] for row in read_history(folder / "probe") if "seconds" in row)
    steps = max(2, int((seconds - counting) / pace))

    model = compiled_model(steps)
    initialize_from_counts(model, counts, tokenizer, config.seed)
    points = [{"seconds": counting, "steps": 0, **evaluate(model, validation)}]
    config = replace(config, eval_steps=max(1, steps // OUR_EVALUATIONS))
    train_run(model, batches, validation, config, steps, target)
    done = counting
    for row in read_history(target):
        done += row.get("seconds", 0)
        if "val_mask_token_loss" in row:
            found = {name.removeprefix("val_"): value for name, value in row.items()}
            bounds = {name: points[0][name] for name in ["unigram_entropy", "majority_share"]}
            points.append({"seconds": done, "steps": found.pop("step"), **found, **bounds})
    (target / "points.json").write_text(json.dumps(points, indent=1))


# === The race ===
def write_corpus(source: Path, target: Path) -> None:
    "KorQuAD's paragraphs as documents; any other file as it is."
    if source.name.startswith("korquad"):
        rows = [json.dumps({"text": text}, ensure_ascii=False) for text in read_korquad(source)]
        target.write_text("\n".join(rows), encoding="utf-8")
    else:
        shutil.copy(source, target)


def make_config(options: argparse.Namespace):
    "The `small` preset in this shape, on this corpus."
    from korean_bert.config import preset

    suffix = ".jsonl" if options.corpus.name.startswith("korquad") else options.corpus.suffix
    recipe = {"train_batch_size": options.batch_size, "learning_rate": options.learning_rate}
    return preset("small", corpus=str(options.folder / f"corpus{suffix}"),
                  output_dir=str(options.folder / "run"), precision="float32", num_proc=1, **SHAPE,
                  **{name: value for name, value in recipe.items() if value is not None})


def train_contestant(name: str, options: argparse.Namespace) -> None:
    "In a process of its own: a folder with its name, there only when it is whole."
    target, seconds = options.folder / f"{name}.part", 60 * options.minutes
    for unfinished in [target, options.folder / "probe"]:
        shutil.rmtree(unfinished, ignore_errors=True)
    if name == "ours":
        train_ours(options.folder, seconds, target, make_config(options))
    elif name == "tutorial":
        train_tutorial(options.folder, seconds, target)
    else:
        _, learning_rate, batch_size = name.split("_")
        train_mlm(options.folder, seconds, target, float(learning_rate), int(batch_size))
    os.replace(target, options.folder / name)


def run_contestant(name: str, options: argparse.Namespace) -> None:
    "Run a contestant, a thread on each of its cores; what it made lies in its folder."
    python = options.tutorial_python if name == "tutorial" else None
    for _ in run_child(__file__, [*sys.argv[1:], "--alone", name], python,
                       options.cores):
        pass


def read_curves(options: argparse.Namespace) -> dict[str, list[dict]]: # by name
    "The points of all contestants that are there; snapshots are evaluated once."
    curves = {}
    for target in sorted(options.folder.iterdir()):
        finished = target.is_dir() and not target.name.endswith(".part")
        if not finished or not target.name.startswith(("ours", "tutorial", "mlm_")):
            continue
        points = target / "points.json"
        if not points.exists():
            found = evaluate_snapshots(target, make_config(options))
            points.write_text(json.dumps(found, indent=1))
        curves[target.name] = json.loads(points.read_text())
    return dict(sorted(curves.items(), key=lambda item: item[0] != "ours"))


# === The report ===
def passed_at(points: list[dict], goal: float) -> float | None: # seconds
    "When the loss first was at the goal, in a straight line between two evaluations."
    if points[0]["mask_token_loss"] <= goal:
        return points[0]["seconds"]
    for before, after in pairwise(points):
        if after["mask_token_loss"] <= goal:
            share = ((before["mask_token_loss"] - goal)
                     / (before["mask_token_loss"] - after["mask_token_loss"]))
            return before["seconds"] + share * (after["seconds"] - before["seconds"])
    return None


def report(curves: dict[str, list[dict]], seconds: float) -> None:
    "The losses at some seconds, interpolated, and when ours passed the best peer."
    import numpy as np

    marks = [seconds * share for share in [0.05, 0.1, 0.2, 0.3, 0.5, 0.7]]
    print("\nmask_token_loss, nats; after seconds of training\n")
    print("| contestant | " + " | ".join(f"{mark:.0f}" for mark in marks)
          + " | at the end | below the unigram entropy |\n" + "|---" * (len(marks) + 3) + "|")
    for name, points in curves.items():
        last = points[-1]
        losses = np.interp(marks, [point["seconds"] for point in points],
                           [point["mask_token_loss"] for point in points])
        print(f"| {name} | " + " | ".join(f"{loss:.3f}" for loss in losses) + " | "
              f"{last['mask_token_loss']:.3f} ({last['steps']:,} steps, {last['seconds']:.0f} s) | "
              f"{last['unigram_entropy'] - last['mask_token_loss']:+.3f} |")
    peers = [name for name in curves if name != "ours"]
    if "ours" not in curves or not peers:
        return
    best = min(peers, key=lambda name: curves[name][-1]["mask_token_loss"])
    goal, first = curves[best][-1]["mask_token_loss"], curves["ours"][0]
    reached = passed_at(curves["ours"], goal)
    print(f"\nunigram entropy {first['unigram_entropy']:.3f}; the first weights of ours took "
          f"{first['seconds']:.1f} s and are at {first['mask_token_loss']:.3f}")
    passed = "ours did not pass it" if reached is None else f"ours passed it after {reached:.1f} s"
    print(f"best peer: {best}, at {goal:.3f} after {curves[best][-1]['seconds']:.0f} s; {passed}")


def plot(curves: dict[str, list[dict]], path: Path) -> None:
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 4), constrained_layout=True)
    for name, points in curves.items():
        ax.plot([point["seconds"] / 60 for point in points],
                [point["mask_token_loss"] for point in points], "o-", markersize=3,
                label="korean_bert" if name == "ours" else name)
    ax.axhline(points[-1]["unigram_entropy"], color="grey", linestyle=":", label="unigram entropy")
    ax.set(xlabel="minutes of training", ylabel="validation loss at [MASK] (nats)")
    ax.legend()
    ax.figure.savefig(path, dpi=150)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("corpus", type=Path, help="KorQuAD's JSON, or a file that `load_corpus` reads")
    option("--contestant", nargs="*", default=CONTESTANTS, help="who is to run, all if not given")
    option("--minutes", type=float, default=10, help="for each")
    option("--cores", type=int, nargs="+", default=[0, 1], help="of the CPU, for each in its turn")
    option("--tutorial-python", help="python of the environment for the tutorial's recipe")
    option("--batch-size", type=int, help="ours; the preset's if not given")
    option("--learning-rate", type=float, help="ours, the peak; the preset's if not given")
    option("--folder", type=Path, default=Path("time_to_loss"), help="of all results")
    option("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    return options


def main() -> None:
    options = parse()
    if options.alone:
        return train_contestant(options.alone, options)
    missing = [name for name in options.contestant if not (options.folder / name).exists()]
    if "tutorial" in missing and not options.tutorial_python:
        raise SystemExit("the tutorial's recipe needs --tutorial-python")
    from korean_bert.tokenizer import save_tokenizer

    options.folder.mkdir(parents=True, exist_ok=True)
    config = make_config(options)
    write_corpus(options.corpus, Path(config.corpus))
    save_tokenizer(open_data(config)[0], options.folder / "tokenizer")
    for name in missing:
        print(f"{name}: {options.minutes:g} minutes", flush=True)
        run_contestant(name, options)
    if curves := read_curves(options):
        report(curves, 60 * options.minutes)
        plot(curves, options.folder / "curves.png")


if __name__ == "__main__":
    main()
