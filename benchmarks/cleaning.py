"""Speed of clean_text against the cleaner that most Korean tutorials follow, on the same texts in one run.

    python benchmarks/cleaning.py ../shared/corpora/petitions_*.jsonl --column content

The peer is written after the rules of KcBERT (https://github.com/Beomi/KcBERT): its character class with the emoji
of the emoji package, its URL pattern, soynlp's repeat_normalize(2), and one `datasets.map` call a document. The two
take turns; the fastest of the rounds counts, and what is reported is their ratio.
"""
import argparse
import re
import tempfile
from time import perf_counter

import datasets
import emoji
from soynlp.normalizer import repeat_normalize

from korean_bert.cleaning import clean_corpus, clean_text

known_emoji = "".join(emoji.EMOJI_DATA if hasattr(emoji, "EMOJI_DATA") else emoji.UNICODE_EMOJI["en"])
not_allowed = re.compile(f"[^ .,?!/@$%~％·∼()\x00-\x7Fㄱ-ㅣ가-힣{known_emoji}]+")
url_pattern = re.compile(r"https?://(www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-a-zA-Z0-9()@:%_+.~#?&/=]*)")

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="JSON lines, one document each")
    parser.add_argument("--column", default="text", help="column that holds the text")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--copies", type=int, default=1, help="times the corpus is repeated for datasets.map")
    parser.add_argument("--num_proc", type=int, nargs="*", default=[1, 2], help="processes of clean_corpus")
    options = parser.parse_args()
    datasets.disable_progress_bars()

    corpus = datasets.load_dataset("json", data_files=options.files, split="train").rename_column(options.column, "text")
    corpus = corpus.filter(lambda row: bool(row["text"]))
    texts = corpus["text"][:]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {sum(map(len, texts)):,} characters, {megabytes:.2f} MB\n")

    seconds = race({PEER: lambda: [peer_clean(t) for t in texts], "clean_text": lambda: [clean_text(t) for t in texts]}, options.rounds)
    print("bare function, one core")
    for name, value in seconds.items():
        print(f"  {name:28} {megabytes / value:6.1f} MB/s   {seconds[PEER] / value:.2f}x")

    with tempfile.TemporaryDirectory() as folder:  # on disk, as a downloaded corpus is
        datasets.concatenate_datasets([corpus] * options.copies).save_to_disk(folder)
        corpus = datasets.load_from_disk(folder)
        runners = {PEER: lambda: corpus.map(lambda row: {"text": peer_clean(row["text"])}, load_from_cache_file=False)}
        for processes in options.num_proc:
            runners[f"clean_corpus, num_proc={processes}"] = lambda n=processes: clean_corpus(corpus, n if n > 1 else None)
        seconds = race(runners, options.rounds)
    print(f"\nthrough datasets.map, {options.copies} x the corpus")
    for name, value in seconds.items():
        print(f"  {name:28} {megabytes * options.copies / value:6.1f} MB/s   {seconds[PEER] / value:.2f}x")


if __name__ == "__main__":
    main()
