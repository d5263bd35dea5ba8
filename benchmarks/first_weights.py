"""What each part of the first weights is worth: nats read from context before and after some steps.

Every start trains on the same pairs with the same schedule; what is told is how far the loss at
[MASK] of the validation pairs, single tokens masked, lies below the unigram entropy. What is no
option of this script is one of korean_bert_pretrain.

    python benchmarks/first_weights.py --preset tiny --max_steps 400
    python benchmarks/first_weights.py --preset tiny --max_steps 400 --starts counts \\
        --constants SHARPNESS=4 --learning_rate 4e-3
    python benchmarks/first_weights.py --preset small --corpus small.jsonl --train_batch_size 32 \\
        --max_steps 400
    python benchmarks/first_weights.py --preset small --corpus small.jsonl --num_hidden_layers 12 \\
        --hidden_size 192 --num_attention_heads 3 --intermediate_size 768 --train_batch_size 64 \\
        --learning_rate 5e-4 --max_steps 2000 --starts counts random --until 0.5 --eval_every 20
"""
import json
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import process_time
from unittest import mock

import numpy as np
from harness import make_parser
from keras import ops

from korean_bert import initialization
from korean_bert.command import parse_config
from korean_bert.config import PretrainConfig
from korean_bert.initialization import count_corpus, initialize_from_counts, set_output_bias
from korean_bert.masking import PretrainBatches, as_fit_data
from korean_bert.resolve import make_bert_config
from korean_bert.runs import prepare
from korean_bert.training import build_model, evaluate


def nothing(*args) -> None:
    "In place of a part of the first weights."


def random_vectors(near, far, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    "In place of the token vectors: as many, as long, without meaning."
    vectors = rng.normal(size=(far.shape[0], dimensions))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


STARTS = {  # what to put in place of what
    "counts": {},
    "without token vectors": {"token_vectors": random_vectors},
    "without neighbours": {"_set_neighbour_heads": nothing},
    "neighbours looked at, nothing added": {"_Heads.carry": nothing},
    "without topics": {"_set_topic_heads": nothing, "_set_topic_comparison": nothing},
    "MLM head at random": {"PASS_ON": None},
    "token vectors alone": {"_set_neighbour_heads": nothing, "_set_topic_heads": nothing,
                            "_set_topic_comparison": nothing},
    "random": None,  # frequencies in the output bias, as all of them have
    "branches scaled by depth": {"SCALE": None},  # GPT-2's 1 / sqrt(2 N), from layer 2 on
}


def patched(changes: dict):
    "The module with these parts changed."
    carry = changes.get("_Heads.carry")
    if carry:  # of the neighbours alone
        original = initialization._set_neighbour_heads

        def look_only(*args):
            with mock.patch.object(initialization._Heads, "carry", carry):
                original(*args)
        changes = {"_set_neighbour_heads": look_only}
    return mock.patch.multiple(initialization, **changes) if changes else nullcontext()


def set_start(name: str, model, counts, tokenizer, seed: int) -> None:
    "Give a fresh model the first weights of this name."
    changes = STARTS[name]
    if changes is None:
        return set_output_bias(model, counts.tokens)
    head = model.mlm_head.dense.kernel
    before = ops.convert_to_numpy(head)
    with patched({part: new for part, new in changes.items() if new}):
        initialize_from_counts(model, counts, tokenizer, seed)
    if "PASS_ON" in changes:
        head.assign(before)
    if "SCALE" in changes:
        for layer in model.bert.encoder.layers[2:]:
            for branch in (layer.attention, layer.feed_forward):
                kernel = branch.output_dense.kernel
                kernel.assign(kernel / (2 * model.config.num_hidden_layers)**0.5)


def follow(start: str, config: PretrainConfig, data: tuple, options) -> list[dict]:
    "Train from a start; a row for each evaluation."
    tokenizer, counts, batches, validation = data
    model = build_model(make_bert_config(config, len(tokenizer)), config.max_steps,
                        config.learning_rate, config.seed, warmup_ratio=config.warmup_ratio)
    set_start(start, model, counts, tokenizer, config.seed)
    rows, done, begin = [], 0, process_time()
    while True:
        found = evaluate(model, validation)
        gain = found["unigram_entropy"] - found["mask_token_loss"]
        rows.append({"start": start, "seed": config.seed, "step": done, "gain": gain,
                     "nsp_accuracy": found["nsp_accuracy"], "cpu_seconds": process_time() - begin})
        print(json.dumps(rows[-1]), flush=True)
        if done == config.max_steps or options.until and gain >= options.until:
            return rows
        goal = min(done + options.eval_every, config.max_steps)
        batches.epoch, batches.start, batches.steps = 0, done, goal - done
        model.fit(as_fit_data(batches), shuffle=False, verbose=0)
        done = goal


def open_data(config: PretrainConfig) -> tuple:
    "Tokenizer, counts, and batches to learn from and to judge by."
    tokenizer, pairs, _ = prepare(config)
    batches = PretrainBatches(pairs["train"], tokenizer, config)
    judge = replace(config, whole_word_mask=False)
    validation = PretrainBatches(pairs["validation"], tokenizer, judge, training=False,
                                 lengths=np.union1d(batches.lengths, config.block_size))
    return tokenizer, count_corpus(pairs["train"], tokenizer), batches, validation


def print_table(rows: list[dict]) -> None:
    "The mean of the seeds, with each of them."
    steps = sorted({row["step"] for row in rows})
    shown = [steps[0], *steps[len(steps) // 2:len(steps) // 2 + 1], steps[-1]]
    print("\n| first weights | " + " | ".join(f"step {step}" for step in shown)
          + " | NSP | steps | each seed |\n" + "|---" * (len(shown) + 4) + "|")
    for start in dict.fromkeys(row["start"] for row in rows):
        own = [row for row in rows if row["start"] == start]
        ends = [[row for row in own if row["seed"] == seed][-1]
                for seed in dict.fromkeys(row["seed"] for row in own)]
        cells = [[row["gain"] for row in own if row["step"] == step] for step in shown]
        print(f"| {start} | "
              + " | ".join(f"{np.mean(cell):.2f}" if cell else "" for cell in cells)
              + f" | {np.mean([row['nsp_accuracy'] for row in ends]):.1%} | "
              + ", ".join(f"{row['step']}" for row in ends) + " | "
              + ", ".join(f"{row['gain']:.2f}" for row in ends) + " |")


def main() -> None:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("--starts", nargs="+", default=list(STARTS)[:-1], choices=STARTS,
           help="all but the last, which wants more than two layers")
    option("--constants", nargs="+", default=[], metavar="NAME=VALUE",
           help="of korean_bert.initialization, in place of its own")
    option("--seeds", type=int, nargs="+", default=[42, 43, 44])
    option("--eval_every", type=int, default=200, help="steps")
    option("--until", type=float, help="nats below the unigram entropy at which a start is done")
    option("--output", type=Path, help="JSON file to write")
    options, rest = parser.parse_known_args()
    for name, value in (constant.split("=") for constant in options.constants):
        setattr(initialization, name, type(getattr(initialization, name))(value))
    rows = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = parse_config([*rest, "--output_dir", folder, "--seed", str(seed)])
            data = open_data(config)
            for start in options.starts:
                rows += follow(start, config, data, options)
                if options.output:
                    options.output.write_text(json.dumps(rows, indent=1))
    print_table(rows)


if __name__ == "__main__":
    main()
