"""What `deduplicate` finds, on real text and on planted copies, and what it costs.

    python benchmarks/dedup.py ../shared/corpora/petitions_*.jsonl --column content

Prints ten pairs of near copies to judge by eye, then precision and recall where a share of the eojeols
of some documents was replaced, then speed and memory, also on many made-up documents.
"""
import random
import resource
from difflib import SequenceMatcher
from time import process_time, perf_counter

import datasets
import numpy as np
from harness import make_parser

from korean_bert.cleaning import clean_corpus
from korean_bert.dedup import _find_originals, _read_bands, deduplicate, find_shingles


def share(a: str, b: str) -> float:
    "Jaccard similarity of two texts."
    a, b = find_shingles(a), find_shingles(b)
    return len(a & b) / len(a | b)


def print_pairs(corpus: datasets.Dataset, number: int) -> None:
    "Near copies, the original first, each cut to what is around the first difference."
    first = _find_originals(_read_bands(corpus, None, None))
    copies = np.flatnonzero(first != np.arange(len(first)))
    print(f"{len(copies)} near copies")
    for place in random.Random(0).sample(copies.tolist(), min(number, len(copies))):
        a, b = corpus[int(first[place])]["text"], corpus[place]["text"]
        changes = [op for op in SequenceMatcher(None, a, b, False).get_opcodes()
                   if op[0] != "equal"]
        print(f"\n{share(a, b):.2f}, {len(a)} and {len(b)} characters, {len(changes)} changes")
        _, i, _, j, _ = changes[0]
        for text, at in ((a, i), (b, j)):
            print("  " + text[max(0, at - 30):at + 50].replace("\n", " "))


def change_words(text: str, rate: float, rng: random.Random) -> str:
    "A copy in which a share of the eojeols, at least one, is replaced."
    words = text.split(" ")
    for i in rng.sample(range(len(words)), max(1, round(rate * len(words)))):
        words[i] = "바뀐" + words[i][::-1]
    return " ".join(words)


def plant(corpus: datasets.Dataset, number: int) -> None:
    "Recall by the share of eojeols that was replaced, and precision over all."
    rng, texts = random.Random(1), corpus["text"][:]
    kinds = {rate: [change_words(text, rate, rng) for text in rng.sample(
        [text for text in texts if len(text.split()) >= 100], number)]
        for rate in (0.005, 0.01, 0.02, 0.05)}
    kinds["exact"] = rng.sample(texts, number)
    kinds["half of a text"] = [text[:len(text) // 2] for text in rng.sample(texts, number)]
    rows = [{"text": text, "kind": "own"} for text in texts] + [
        {"text": text, "kind": str(kind)} for kind, made in kinds.items() for text in made]
    kept, dropped = deduplicate(datasets.Dataset.from_list(rows), near=True)
    left = {str(kind): kept["kind"][:].count(str(kind)) for kind in [*kinds, "own"]}
    for kind in kinds:
        print(f"  {kind}: {number - left[str(kind)]} of {number} found")
    wrong = len(texts) - left["own"]
    print(f"  documents that are no copy and were dropped: {wrong} of {len(texts)}; {dropped}")


def measure(corpus: datasets.Dataset, name: str) -> None:
    characters = sum(len(text) for part in corpus.iter(1000) for text in part["text"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for near in (False, True):
        cpu, clock = process_time(), perf_counter()
        dropped = deduplicate(corpus, near)[1]
        cpu, clock = process_time() - cpu, perf_counter() - clock
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  {name}, near={near}: {characters / cpu / 1e6:.1f} M characters a CPU second "
              f"({cpu:.1f} s, {clock:.1f} s of wall time), peak {memory / 1024:.0f} MiB "
              f"({(memory - before) / 1024:+.0f}), {dropped}")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("files", nargs="+", help="JSON lines, one document each")
    parser.add_argument("--column", default="text", help="column that holds the text")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--planted", type=int, default=200, help="copies of each kind")
    parser.add_argument("--made_up", type=int, default=200_000, help="documents to measure memory")
    options = parser.parse_args()
    datasets.disable_progress_bars()
    corpus = datasets.load_dataset("json", data_files=options.files, split="train")
    corpus = corpus.select_columns(options.column).rename_column(options.column, "text")
    corpus = clean_corpus(corpus)
    distinct, dropped = deduplicate(corpus)
    print(f"{len(corpus)} documents, exact copies {dropped['exact']}")
    print_pairs(distinct, options.pairs)
    print("\nplanted copies")
    plant(deduplicate(distinct, near=True)[0], options.planted)
    print("\ncost")
    measure(corpus, f"{len(corpus)} documents")
    words = [word for text in corpus["text"][:] for word in text.split()]
    rng = np.random.default_rng(0)
    def make():
        for _ in range(options.made_up):
            yield {"text": " ".join(words[i] for i in rng.integers(len(words), size=40))}
    measure(datasets.Dataset.from_generator(make), f"{options.made_up} made-up documents")


if __name__ == "__main__":
    main()
