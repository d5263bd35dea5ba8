"""Speed from raw text to saved pairs, ours against the tutorials' chain; memory; batches a second.

    python benchmarks/preprocessing.py ../shared/corpora --kss-python VENV/bin/python

VENV is an environment of its own for the tutorial's chain, since python-mecab-ko would overwrite
the dictionary of mecab-ko:
    pip install kss python-mecab-ko soynlp transformers datasets
Each chain runs in a process of its own, on one core with one thread, in turns; the fastest of the
rounds counts. The tutorial's chain: a map call a document that cleans (KcBERT's rules),
kss.split_sentences, tokenizer.tokenize and convert_tokens_to_ids sentence by sentence, random B
from the batch, padding to 512. kss as pip installs it (pecab) is timed on a few short paragraphs:
its time grows with the square of the text's length.
"""
import argparse
import json
import os
import random
import re
import resource
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from harness import make_parser, read_korquad, run_child, send_row, take_turns

WIKIPEDIA = 607_256 * 700  # characters of the dump: articles, and characters of each, about


# === The tutorial's chain ===
def tutorial_clean(text: str) -> str:
    from soynlp.normalizer import repeat_normalize

    text = re.sub(r"[^ .,?!/@$%~％·∼()\x00-\x7Fㄱ-ㅣ가-힣]+", " ", text)
    text = re.sub(r"https?://(www\.)?[-\w@:%.+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b"
                  r"([-\w()@:%+.~#?&/=]*)", "", text)
    return repeat_normalize(text.strip(), num_repeats=2)


def tutorial_sentences(text: str, backend: str) -> list[str]:
    import kss

    try:
        return kss.split_sentences(text, backend=backend, num_workers=1) if text else []
    except Exception:  # kss fails on some emoji; the tutorial stops there, here it goes on
        return []


def tutorial_pair(chunk: list[list[int]], documents: list, target: int) -> tuple: # A, B, label, cut
    "A is the chunk's beginning, B what follows it or a part of any document; the cut lies between."
    cut = random.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
    a, b = sum(chunk[:cut], []), sum(chunk[cut:], [])
    if len(chunk) > 1 and random.random() >= 0.5:
        return a, b, 0, cut
    other, b = random.choice(documents), []
    for sentence in other[random.randint(0, len(other) - 1):]:
        b += sentence
        if len(b) >= target - len(a):
            break
    return a, b, 1, cut


def tutorial_pairs(examples: dict, tokenizer, backend: str, block_size: int = 128,
                   padded: int = 512) -> dict:
    "Pairs of a batch of documents, padded."
    columns = ["input_ids", "token_type_ids", "attention_mask", "next_sentence_label"]
    made = {name: [] for name in columns}
    documents = [[tokenizer.convert_tokens_to_ids(tokenizer.tokenize(sentence))
                  for sentence in tutorial_sentences(text, backend)] for text in examples["text"]]
    documents = [[ids for ids in document if ids] for document in documents if any(document)]
    for document in documents:
        longest = block_size - 3
        target = random.randint(2, longest) if random.random() < 0.1 else longest
        chunk, i = [], 0
        while i < len(document):
            chunk.append(document[i])
            if i == len(document) - 1 or sum(map(len, chunk)) >= target:
                a, b, label, cut = tutorial_pair(chunk, documents, target)
                if label:
                    i -= len(chunk) - cut  # what B did not take comes again
                while len(a) + len(b) > longest:
                    longer = a if len(a) > len(b) else b
                    longer.pop(0) if random.random() < 0.5 else longer.pop()
                ids = [tokenizer.cls_token_id, *a, tokenizer.sep_token_id, *b,
                       tokenizer.sep_token_id]
                pad = [0] * (padded - len(ids))
                segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
                row = [ids + pad, segments + pad, [1] * len(ids) + pad, label]
                for name, value in zip(columns, row):
                    made[name].append(value)
                chunk = []
            i += 1
    return made


# === What runs in a process of its own ===
def measure_tutorial(corpus, tokenizer, folder: str, backend: str) -> dict:
    import kss

    # Loads the dictionary; raises here where the backend is missing, not in every text
    kss.split_sentences("준비 운동입니다. 한 번 더 합니다.", backend=backend, num_workers=1)
    tutorial_clean("준비")
    start = perf_counter()
    clean = corpus.map(lambda row: {"text": tutorial_clean(row["text"])},
                       load_from_cache_file=False)
    pairs = clean.map(tutorial_pairs, batched=True, remove_columns=clean.column_names,
                      load_from_cache_file=False, new_fingerprint=os.urandom(8).hex(),
                      fn_kwargs={"tokenizer": tokenizer, "backend": backend})
    pairs.save_to_disk(f"{folder}/pairs")
    return {"seconds": perf_counter() - start, "pairs": len(pairs)}


def measure_ours(corpus, tokenizer, folder: str) -> dict:
    from korean_bert.cleaning import clean_corpus
    from korean_bert.config import preset
    from korean_bert.nsp import make_pairs
    from korean_bert.sentences import split_sentences

    split_sentences(["준비 운동이다 한 번 더 한다"])  # loads mecab-ko and its dictionary
    start = perf_counter()
    pairs = make_pairs(clean_corpus(corpus), tokenizer, preset("base"), folder=f"{folder}/pairs")
    return {"seconds": perf_counter() - start, "pairs": len(pairs)}


def measure_memory(corpus, tokenizer, folder: str) -> dict:
    "Peak resident memory: all of it, mapped files included, and what the process holds by itself."
    own, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            own[0] = max(own[0], int(re.search(r"RssAnon:\s+(\d+)", status)[1]))
    thread = threading.Thread(target=watch)
    thread.start()
    made = measure_ours(corpus, tokenizer, folder)
    done.set()
    thread.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return made | {"peak_MB": peak / 1024, "own_MB": own[0] / 1024}


def padding_share(batches) -> float:
    "The share of computed tokens that are padding."
    used = computed = 0
    for i in range(len(batches)):
        mask = batches[i][0]["attention_mask"]
        used, computed = used + int(mask.sum()), computed + mask.size
    return 1 - used / computed


def measure_batches(corpus, tokenizer, folder: str) -> dict:
    "Sequences a second that one process makes, and the share of padding."
    from dataclasses import replace

    from korean_bert.config import preset
    from korean_bert.masking import PretrainBatches
    from korean_bert.nsp import make_pairs

    pairs = make_pairs(corpus, tokenizer, preset("base"), folder=f"{folder}/pairs")
    rates, padding = {}, {}
    for size in (32, 256):
        for whole in (False, True):
            config = replace(preset("base"), train_batch_size=size, whole_word_mask=whole)
            batches = PretrainBatches(pairs, tokenizer, config)
            padding[size] = padding_share(batches)  # makes each batch once, before the clock runs
            start = perf_counter()
            for i in range(len(batches)):
                batches[i]
            seconds = perf_counter() - start
            rates[f"{size} a batch{', whole words' * whole}"] = size * len(batches) / seconds
    return {"per_second": rates, "padding": padding[32], "lengths": batches.lengths.tolist()}


def measure(options: argparse.Namespace) -> None:
    "Measure one chain and send its row."
    from datasets import disable_progress_bars, load_from_disk
    from transformers import AutoTokenizer

    disable_progress_bars()
    corpus = load_from_disk(options.corpus)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    ways = {"ours": measure_ours, "memory": measure_memory, "batches": measure_batches}
    with tempfile.TemporaryDirectory() as folder:
        if options.child == "tutorial":
            row = measure_tutorial(corpus, tokenizer, folder, options.backend)
        else:
            row = ways[options.child](corpus, tokenizer, folder)
    send_row(row | {"characters": sum(map(len, corpus["text"]))})


# === The race ===
def read_texts(path: Path, column: str) -> list[str]:
    "A column of a file of JSON lines."
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)[column] for line in lines]


def save_corpora(corpora: Path, folder: Path) -> None:
    "Save the corpora, parts of them for kss, one of them eightfold, and a tokenizer."
    from datasets import Dataset, concatenate_datasets

    from korean_bert.cleaning import clean_text
    from korean_bert.tokenizer import save_tokenizer, train_tokenizer

    korquad = read_korquad(corpora / "korquad_v1.0_dev.json")
    petitions = [text for path in sorted(corpora.glob("petitions_*.jsonl"))
                 for text in read_texts(path, "content")]
    short = sorted((text for text in korquad if "\n" not in text), key=len)[:6]
    parts = {"korquad": korquad, "petitions": petitions, "petitions_12": petitions[::12],
             "short": short}
    for name, texts in parts.items():
        Dataset.from_dict({"text": texts}).save_to_disk(folder / name)
    many = Dataset.load_from_disk(str(folder / "petitions"))
    concatenate_datasets([many] * 8).save_to_disk(folder / "petitions_x8")
    docs = read_texts(corpora / "tensorflow_docs_ko.jsonl", "text")
    tokenizer = train_tokenizer([clean_text(text) for text in korquad + docs], 25_000)
    save_tokenizer(tokenizer, folder / "tokenizer")


def run_chain(what: str, corpus: str, folder: Path, options: argparse.Namespace,
              backend: str = "") -> Iterator[dict]:
    "The row of one chain on one corpus, in a process of its own on one core."
    python = options.kss_python if what == "tutorial" else sys.executable
    arguments = ["-", "--child", what, "--corpus", folder / corpus,
                 "--tokenizer", folder / "tokenizer", "--backend", backend]
    for row in run_child(__file__, arguments, python, cores=[options.core],
                         env={"TOKENIZERS_PARALLELISM": "false"}):
        yield row | {"chain": what, "corpus": corpus, "backend": backend}


def print_speeds(rows: list[dict]) -> None:
    "The fastest of the rounds of each chain, and how ours compares."
    speeds, sizes = {}, {}
    for row in rows:
        key = row["chain"], row["corpus"], row["backend"]
        speeds[key] = max(speeds.get(key, 0), row["characters"] / row["seconds"])
        sizes[key] = row["characters"]
    print("\n| chain | corpus | characters/s, one core | hours for Korean Wikipedia, one core |"
          "\n|---|---|---:|---:|")
    for (chain, corpus, backend), speed in speeds.items():
        label = f"tutorial, kss on {backend}" if backend else chain
        print(f"| {label} | {corpus} ({sizes[chain, corpus, backend]:,} characters) | "
              f"{speed:,.0f} | {WIKIPEDIA / speed / 3600:,.2f} |")
    for ours, theirs in [("korquad", "korquad"), ("petitions", "petitions_12")]:
        pair = ("ours", ours, ""), ("tutorial", theirs, "mecab")
        if all(key in speeds for key in pair):
            print(f"ratio on {ours}: {speeds[pair[0]] / speeds[pair[1]]:.1f}")


def print_memory_and_batches(folder: Path, options: argparse.Namespace) -> None:
    print("\n| corpus | pairs | peak memory, mapped files included, MB | "
          "of it the process's own, MB |\n|---|---:|---:|---:|")
    for name in ("petitions", "petitions_x8"):
        for row in run_chain("memory", name, folder, options):
            print(f"| {name} | {row['pairs']:,} | {row['peak_MB']:,.0f} | {row['own_MB']:,.0f} |")
    for row in run_chain("batches", "korquad", folder, options):
        print(f"\nbatches by one process: padding {row['padding']:.1%}, lengths {row['lengths']}")
        for name, speed in row["per_second"].items():
            print(f"  {name:25} {speed:10,.0f} sequences/s")


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("corpora", type=Path,
           help="folder with korquad_v1.0_dev.json, petitions_*.jsonl, tensorflow_docs_ko.jsonl")
    option("--kss-python",
           help="interpreter of the environment with kss; without it only ours is measured")
    option("--rounds", type=int, default=3)
    option("--core", type=int, default=0, help="core to run on")
    for name in ("--child", "--corpus", "--tokenizer", "--backend"):
        option(name, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.child:
        return measure(options)
    again = [("ours", "korquad", ""), ("ours", "petitions", "")]  # in each round
    once = []                                                     # in the first one alone
    if options.kss_python:
        again.append(("tutorial", "korquad", "mecab"))
        once = [("tutorial", "petitions_12", "mecab"), ("tutorial", "short", "pecab")]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        save_corpora(options.corpora, folder)

        def run(contestant: tuple) -> Iterator[dict]:
            what, corpus, backend = contestant
            return run_chain(what, corpus, folder, options, backend)
        print_speeds(take_turns(again + once, 1, run) + take_turns(again, options.rounds - 1, run))
        print_memory_and_batches(folder, options)


if __name__ == "__main__":
    main()
