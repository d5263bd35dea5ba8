"""Boundary F1 and speed of sentence splitters on gold sets.

    python benchmarks/sentences.py ../shared/sentence_split benchmarks \\
        --speed ../shared/corpora/korquad_v1.0_dev.json

A gold set is a text file: one sentence a line (a trailing space belongs to the text), documents
separated by an empty line. The score counts the boundaries inside documents, placed by the
characters before them, white space left out. benchmarks/sentences_dev.txt is our own: 195 short
documents, on which the rules were designed. kss needs the extra `kss`; kss-mecab needs
python-mecab-ko as well, in an environment of its own: it overwrites the dictionary of mecab-ko.
"""
import argparse
import re
from functools import partial
from pathlib import Path
from time import perf_counter

from harness import make_parser, read_korquad

from korean_bert.sentences import split_sentences

REGEX = "regex (?<=[.!?])\\s"
NAMES = ["fast", "rules", "kss-punct", "kss-fast", "kss-mecab", "kss-pecab"]


def split_by_regex(texts: list[str]) -> list[list[str]]:
    return [re.split(r"(?<=[.!?])\s", text) for text in texts]


SPLITTERS = {REGEX: split_by_regex} | {name: partial(split_sentences, splitter=name)
                                       for name in NAMES}


def read_gold(path: Path) -> list[list[str]]:
    "The documents of a gold set, each a list of sentences."
    blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8").strip("\n"))
    return [[line for line in block.split("\n") if line.strip()] for block in blocks]


def find_ends(sentences: list[str]) -> set[int]:
    "Places of the boundaries inside a document."
    ends, place = set(), 0
    for sentence in sentences:
        place += len(re.sub(r"\s", "", sentence))
        ends.add(place)
    return ends - {0, place}


def score(split, documents: list[list[str]]) -> float:
    "Boundary F1 over the documents of a set."
    made = split(["".join(document) for document in documents])
    pairs = [(find_ends(want), find_ends(got)) for want, got in zip(documents, made)]
    right = sum(len(want & got) for want, got in pairs)
    return 2 * right / max(1, sum(len(want) + len(got) for want, got in pairs))


def measure_speed(split, texts: list[str]) -> float:
    "Characters a second, the fastest of three runs."
    seconds = []
    for _ in range(3):
        start = perf_counter()
        split(texts)
        seconds.append(perf_counter() - start)
    return sum(map(len, texts)) / min(seconds)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("folders", nargs="+", type=Path, help="folders with gold sets (*.txt)")
    option("--splitters", nargs="*", default=["fast", "rules", REGEX], choices=list(SPLITTERS))
    option("--speed", type=Path, help="JSON of KorQuAD, to measure speed on its paragraphs")
    return parser.parse_args()


def main() -> None:
    options = parse()
    sets = {path.stem: read_gold(path)
            for folder in options.folders for path in sorted(folder.glob("*.txt"))}
    print("| splitter |", " | ".join(sets), "| characters/s |\n|---|" + "---|" * (len(sets) + 1))
    for name in options.splitters:
        split, speed = SPLITTERS[name], "-"
        scores = [f"{score(split, documents):.3f}" for documents in sets.values()]
        if options.speed:
            speed = f"{measure_speed(split, read_korquad(options.speed)):,.0f}"
        print(f"| {name} |", " | ".join(scores), f"| {speed} |")


if __name__ == "__main__":
    main()
