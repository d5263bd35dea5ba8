"""Speed of clean_text against the cleaner that most Korean tutorials follow, on the same texts.

    python benchmarks/cleaning.py ../shared/corpora/petitions_*.jsonl --column content

The peer is written after the rules of KcBERT (https://github.com/Beomi/KcBERT): its character class
with the emoji of the emoji package, its URL pattern, soynlp's repeat_normalize(2), and one
`datasets.map` call a document. The two take turns in one process; the fastest of the rounds counts,
and what is reported is their ratio. Needs the extra `tutorial`.
"""
import argparse
import re
import tempfile
from functools import partial
from time import perf_counter

import datasets
import emoji
from harness import make_parser
from soynlp.normalizer import repeat_normalize

from korean_bert.cleaning import clean_corpus, clean_text

known_emoji = "".join(emoji.EMOJI_DATA if hasattr(emoji, "EMOJI_DATA")
                      else emoji.UNICODE_EMOJI["en"])
not_allowed = re.compile(f"[^ .,?!/@$%~％·∼()\x00-\x7Fㄱ-ㅣ가-힣{known_emoji}]+")
url_pattern = re.compile(r"https?://(www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b"
                         r"([-a-zA-Z0-9()@:%_+.~#?&/=]*)")

PEER = "KcBERT's rules"


def peer_clean(text: str) -> str:
    return repeat_normalize(url_pattern.sub("", not_allowed.sub(" ", text)).strip(), num_repeats=2)


def race(runners: dict, rounds: int) -> dict[str, float]:
    "Seconds of the fastest round of each, taken in turns."
    best = {}
    for _ in range(rounds):
        for name, run in runners.items():
            start = perf_counter()
            run()
            best[name] = min(best.get(name, float("inf")), perf_counter() - start)
    return best


def print_speeds(seconds: dict[str, float], megabytes: float) -> None:
    for name, value in seconds.items():
        speed, ratio = megabytes / value, seconds[PEER] / value
        print(f"  {name:28} {speed:6.1f} MB/s   {ratio:.2f}x")


def race_functions(texts: list[str], rounds: int) -> dict[str, float]:
    "Seconds of the bare functions."
    return race({PEER: lambda: [peer_clean(text) for text in texts],
                 "clean_text": lambda: [clean_text(text) for text in texts]}, rounds)


def race_maps(corpus: datasets.Dataset, options: argparse.Namespace) -> dict[str, float]:
    "Seconds of the maps over a corpus that lies on disk, as a downloaded one does."
    with tempfile.TemporaryDirectory() as folder:
        datasets.concatenate_datasets([corpus] * options.copies).save_to_disk(folder)
        corpus = datasets.load_from_disk(folder)

        def map_peer() -> None:
            corpus.map(lambda row: {"text": peer_clean(row["text"])}, load_from_cache_file=False)

        def map_ours(processes: int) -> None:
            clean_corpus(corpus, processes if processes > 1 else None)
        return race({PEER: map_peer} | {f"clean_corpus, num_proc={n}": partial(map_ours, n)
                                        for n in options.num_proc}, options.rounds)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    option = parser.add_argument
    option("files", nargs="+", help="JSON lines, one document each")
    option("--column", default="text", help="column that holds the text")
    option("--rounds", type=int, default=7)
    option("--copies", type=int, default=1, help="times the corpus is repeated for datasets.map")
    option("--num_proc", type=int, nargs="*", default=[1, 2], help="processes of clean_corpus")
    return parser.parse_args()


def main() -> None:
    options = parse()
    datasets.disable_progress_bars()
    corpus = datasets.load_dataset("json", data_files=options.files, split="train")
    if options.column != "text":
        corpus = corpus.rename_column(options.column, "text")
    corpus = corpus.filter(lambda row: bool(row["text"]))
    texts = corpus["text"][:]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {sum(map(len, texts)):,} characters, {megabytes:.2f} MB\n")

    print("bare function, one core")
    print_speeds(race_functions(texts, options.rounds), megabytes)
    print(f"\nthrough datasets.map, {options.copies} x the corpus")
    print_speeds(race_maps(corpus, options), megabytes * options.copies)


if __name__ == "__main__":
    main()
