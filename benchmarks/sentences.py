"""Boundary F1 and speed of sentence splitters on gold sets.

    python benchmarks/sentences.py ../shared/sentence_split benchmarks --speed ../shared/corpora/korquad_v1.0_dev.json

A gold set is a text file: one sentence a line (a trailing space belongs to the text), documents separated by an empty
line. The score counts the boundaries inside documents, placed by the characters before them, white space left out.
benchmarks/sentences_dev.txt is our own: 195 short documents, on which the rules were designed. kss-mecab needs
python-mecab-ko in an environment of its own: it overwrites the dictionary of mecab-ko.
"""
import argparse
import json
import re
from pathlib import Path
from time import perf_counter

from korean_bert.sentences import split_sentences

SPLITTERS = {"regex (?<=[.!?])\\s": lambda texts: [re.split(r"(?<=[.!?])\s", text) for text in texts]} | {
    name: lambda texts, name=name: split_sentences(texts, name) for name in ["fast", "rules", "kss-punct", "kss-fast", "kss-mecab", "kss-pecab"]}


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
    return 2 * sum(len(want & got) for want, got in pairs) / max(1, sum(len(want) + len(got) for want, got in pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with gold sets (*.txt)")
    parser.add_argument("--splitters", nargs="*", default=["fast", "rules", "regex (?<=[.!?])\\s"], choices=list(SPLITTERS))
    parser.add_argument("--speed", type=Path, help="JSON of KorQuAD, to measure speed on its paragraphs")
    options = parser.parse_args()

    sets = {path.stem: read_gold(path) for folder in options.folders for path in sorted(folder.glob("*.txt"))}
    print("| splitter |", " | ".join(sets), "| characters/s |\n|---|" + "---|" * (len(sets) + 1))
    for name in options.splitters:
        split, speed = SPLITTERS[name], "-"
        scores = [f"{score(split, documents):.3f}" for documents in sets.values()]
        if options.speed:
            articles = json.loads(options.speed.read_text(encoding="utf-8"))["data"]
            texts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
            seconds = []
            for _ in range(3):
                start = perf_counter()
                split(texts)
                seconds.append(perf_counter() - start)
            speed = f"{sum(map(len, texts)) / min(seconds):,.0f}"
        print(f"| {name} |", " | ".join(scores), f"| {speed} |")


if __name__ == "__main__":
    main()
