"""Speed from raw text to saved pairs, ours against the chain that tutorials follow; memory; batches a second.

    python benchmarks/preprocessing.py ../shared/corpora --kss-python VENV/bin/python

VENV is an environment of its own for the tutorial's chain (python-mecab-ko would overwrite mecab-ko's dictionary):
    pip install kss python-mecab-ko soynlp transformers datasets
Each chain runs in a process of its own, on one core with one thread, in turns; the fastest of the rounds counts.
The tutorial's chain: a map call a document that cleans (KcBERT's rules), kss.split_sentences, tokenizer.tokenize and
convert_tokens_to_ids sentence by sentence, random B from the batch, padding to 512. kss as pip installs it (pecab)
is timed on a few short paragraphs: its time grows with the square of the text's length.
"""
import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter

WIKIPEDIA = 607_256 * 700            # characters of the dump: articles, and characters of each, about


# === The tutorial's chain ===
def tutorial_clean(text: str) -> str:
    from soynlp.normalizer import repeat_normalize
    text = re.sub(r"[^ .,?!/@$%~％·∼()\x00-\x7Fㄱ-ㅣ가-힣]+", " ", text)
    text = re.sub(r"https?://(www\.)?[-\w@:%.+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-\w()@:%+.~#?&/=]*)", "", text)
    return repeat_normalize(text.strip(), num_repeats=2)


def tutorial_sentences(text: str, backend: str) -> list[str]:
    import kss
    try:
        return kss.split_sentences(text, backend=backend, num_workers=1) if text else []
    except Exception:                # kss fails on some emoji; the tutorial stops there, here it goes on
        return []


def tutorial_pairs(examples: dict, tokenizer, backend: str, block_size: int = 128, padded: int = 512) -> dict:
    made = {"input_ids": [], "token_type_ids": [], "attention_mask": [], "next_sentence_label": []}
    documents = [[tokenizer.convert_tokens_to_ids(tokenizer.tokenize(s)) for s in tutorial_sentences(text, backend)]
                 for text in examples["text"]]
    documents = [[s for s in d if s] for d in documents if any(d)]
    for document in documents:
        target = random.randint(2, block_size - 3) if random.random() < 0.1 else block_size - 3
        chunk, i = [], 0
        while i < len(document):
            chunk.append(document[i])
            if i == len(document) - 1 or sum(map(len, chunk)) >= target:
                cut = random.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
                a, b, label = sum(chunk[:cut], []), sum(chunk[cut:], []), 0
                if len(chunk) == 1 or random.random() < 0.5:
                    other, b, label = random.choice(documents), [], 1
                    for sentence in other[random.randint(0, len(other) - 1):]:
                        b += sentence
                        if len(b) >= target - len(a):
                            break
                    i -= len(chunk) - cut
                while len(a) + len(b) > block_size - 3:
                    longer = a if len(a) > len(b) else b
                    longer.pop(0) if random.random() < 0.5 else longer.pop()
                ids = [tokenizer.cls_token_id, *a, tokenizer.sep_token_id, *b, tokenizer.sep_token_id]
                pad = [0] * (padded - len(ids))
                made["input_ids"].append(ids + pad)
                made["token_type_ids"].append([0] * (len(a) + 2) + [1] * (len(b) + 1) + pad)
                made["attention_mask"].append([1] * len(ids) + pad)
                made["next_sentence_label"].append(label)
                chunk = []
            i += 1
    return made


# === What runs in a process of its own ===
def open_corpus(folder: str):
    from datasets import disable_progress_bars, load_from_disk
    disable_progress_bars()
    return load_from_disk(folder)


def open_tokenizer(folder: str):
    from transformers import AutoTokenizer
    return AutoTokenizer.from_pretrained(folder)


def run_tutorial(corpus, tokenizer, folder: str, backend: str) -> dict:
    tutorial_sentences("준비 운동입니다. 한 번 더 합니다.", backend)                # loads kss and its dictionary
    tutorial_clean("준비")
    start = perf_counter()
    clean = corpus.map(lambda row: {"text": tutorial_clean(row["text"])}, load_from_cache_file=False)
    pairs = clean.map(tutorial_pairs, batched=True, remove_columns=clean.column_names, load_from_cache_file=False,
                      fn_kwargs={"tokenizer": tokenizer, "backend": backend}, new_fingerprint=os.urandom(8).hex())
    pairs.save_to_disk(f"{folder}/pairs")
    return {"seconds": perf_counter() - start, "pairs": len(pairs)}


def run_ours(corpus, tokenizer, folder: str, copies: int = 1) -> dict:
    from korean_bert.cleaning import clean_corpus
    from korean_bert.config import preset
    from korean_bert.nsp import make_pairs
    from korean_bert.sentences import split_sentences
    split_sentences(["준비 운동이다 한 번 더 한다"])                            # loads mecab-ko and its dictionary
    start = perf_counter()
    pairs = make_pairs(clean_corpus(corpus), tokenizer, preset("base"), folder=f"{folder}/pairs")
    return {"seconds": perf_counter() - start, "pairs": len(pairs)}


def run_memory(corpus, tokenizer, folder: str) -> dict:
    "Peak resident memory: all of it, mapped files included, and what the process holds by itself."
    own, running = [0], True

    def watch():
        while running:
            own[0] = max(own[0], int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]))
            threading.Event().wait(0.02)
    thread = threading.Thread(target=watch)
    thread.start()
    made = run_ours(corpus, tokenizer, folder)
    running = False
    thread.join()
    return made | {"peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "own_MB": own[0] / 1024}


def run_batches(corpus, tokenizer, folder: str) -> dict:
    "Sequences a second that one process makes, and the share of padding."
    from dataclasses import replace

    from korean_bert.config import preset
    from korean_bert.masking import PretrainBatches
    from korean_bert.nsp import make_pairs
    pairs, made = make_pairs(corpus, tokenizer, preset("base"), folder=f"{folder}/pairs"), {}
    for size in (32, 256):
        for whole in (False, True):
            batches = PretrainBatches(pairs, tokenizer, replace(preset("base"), train_batch_size=size, whole_word_mask=whole))
            if size == 32:
                used, computed = map(sum, zip(*((x["attention_mask"].sum(), x["attention_mask"].size)
                                                for x, _ in (batches[i] for i in range(len(batches))))))
            batches[0]
            start = perf_counter()
            for i in range(len(batches)):
                batches[i]
            made[f"{size} a batch{', whole words' * whole}"] = size * len(batches) / (perf_counter() - start)
    return {"seconds": 0, "per_second": made, "padding": 1 - used / computed, "lengths": batches.lengths.tolist()}


def child(options) -> None:
    corpus, tokenizer = open_corpus(options.corpus), open_tokenizer(options.tokenizer)
    runs = {"tutorial": lambda f: run_tutorial(corpus, tokenizer, f, options.backend), "ours": lambda f: run_ours(corpus, tokenizer, f),
            "memory": lambda f: run_memory(corpus, tokenizer, f), "batches": lambda f: run_batches(corpus, tokenizer, f)}
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(runs[options.child](folder) | {"characters": sum(map(len, corpus["text"]))}))


# === The race ===
def run(python: str, what: str, corpus: Path, tokenizer: Path, core: int, backend: str = "") -> dict:
    "One chain in a process of its own, on one core."
    env = os.environ | {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1",
                        "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, __file__, "-", "--child", what, "--corpus", corpus, "--tokenizer", tokenizer, "--backend", backend]
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def prepare(corpora: Path, folder: Path) -> None:
    "Save the corpora, parts of them for kss, a copied one, and a tokenizer."
    from datasets import Dataset, concatenate_datasets
    from korean_bert.cleaning import clean_text
    from korean_bert.tokenizer import save_tokenizer, train_tokenizer
    read = lambda path: (json.loads(line) for line in path.open(encoding="utf-8"))
    korquad = [p["context"] for a in json.loads((corpora / "korquad_v1.0_dev.json").read_text())["data"] for p in a["paragraphs"]]
    petitions = [row["content"] for path in sorted(corpora.glob("petitions_*.jsonl")) for row in read(path)]
    docs = [row["text"] for row in read(corpora / "tensorflow_docs_ko.jsonl")]
    parts = {"korquad": korquad, "petitions": petitions, "petitions/12": petitions[::12],
             "short": sorted((t for t in korquad if "\n" not in t), key=len)[:6]}
    for name, texts in parts.items():
        Dataset.from_dict({"text": texts}).save_to_disk(folder / name.replace("/", "_"))
    many = Dataset.load_from_disk(str(folder / "petitions"))
    concatenate_datasets([many] * 8).save_to_disk(folder / "petitions_x8")
    tokenizer = train_tokenizer([clean_text(t) for t in korquad + docs], 25_000)
    save_tokenizer(tokenizer, folder / "tokenizer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path, help="folder with korquad_v1.0_dev.json, petitions_*.jsonl, tensorflow_docs_ko.jsonl")
    parser.add_argument("--kss-python", help="interpreter of the environment with kss; without it only ours is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="core to run on")
    for name in ("--child", "--corpus", "--tokenizer", "--backend"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(options.corpora, folder)
        runs = {("ours", "korquad"): "", ("ours", "petitions"): ""}
        if options.kss_python:
            runs |= {("tutorial", "korquad"): "mecab", ("tutorial", "petitions_12"): "mecab", ("tutorial", "short"): "pecab"}
        best, rate = {}, {}
        for turn in range(options.rounds):
            for (what, name), backend in runs.items():
                if what == "tutorial" and turn and name != "korquad":
                    continue
                python = options.kss_python if what == "tutorial" else sys.executable
                got = run(python, what, folder / name, folder / "tokenizer", options.core, backend)
                speed = got["characters"] / got["seconds"]
                if speed > rate.get((what, name), 0):
                    rate[what, name], best[what, name] = speed, got
        print("\n| chain | corpus | characters/s, one core | hours for Korean Wikipedia, one core |\n| --- | --- | ---: | ---: |")
        for (what, name), speed in rate.items():
            label = what if what == "ours" else f"tutorial, kss on {runs[what, name]}"
            print(f"| {label} | {name} ({best[what, name]['characters']:,} characters) | {speed:,.0f} | {WIKIPEDIA / speed / 3600:,.2f} |")
        for a, b in ((("ours", "korquad"), ("tutorial", "korquad")), (("ours", "petitions"), ("tutorial", "petitions_12"))):
            if b in rate:
                print(f"ratio on {a[1]}: {rate[a] / rate[b]:.1f}")
        print("\n| corpus | pairs | peak memory, mapped files included, MB | of it the process's own, MB |\n| --- | ---: | ---: | ---: |")
        for name in ("petitions", "petitions_x8"):
            got = run(sys.executable, "memory", folder / name, folder / "tokenizer", options.core)
            print(f"| {name} | {got['pairs']:,} | {got['peak_MB']:,.0f} | {got['own_MB']:,.0f} |")
        got = run(sys.executable, "batches", folder / "korquad", folder / "tokenizer", options.core)
        print(f"\nbatches by one process: padding {got['padding']:.1%}, lengths {got['lengths']}")
        for name, speed in got["per_second"].items():
            print(f"  {name:25} {speed:10,.0f} sequences/s")


if __name__ == "__main__":
    main()
