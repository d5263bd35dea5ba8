"""Memory of the batches of a growing number of pairs.

    python benchmarks/batches_memory.py

Made-up pairs of 3 to 24 tokens lie in Arrow files, as those of a run do. For each number of pairs, in
a process of its own: seconds until the first batch is there, milliseconds of a batch (the median of
the next hundred), and how much the process's own memory (RssAnon: without the pages of the files)
grew at most, from there to the first batch of the second epoch.
"""
import argparse
import os
import statistics
import tempfile
import threading
import time

import numpy as np
from harness import make_parser, run_child, send_row

CHUNK = 1_000_000  # pairs a file


def own_memory() -> int: # bytes
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


class PeakMemory:
    "The most that the process's own memory grew while this was entered."

    def __enter__(self):
        self.begin = self.peak = own_memory()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.done.wait(0.01):
            self.peak = max(self.peak, own_memory())

    def __exit__(self, *error) -> None:
        self.done.set()
        self.thread.join()


def write_pairs(folder: str, pairs: int) -> None:
    "Files of made-up pairs, the last one's length whatever is left."
    import pyarrow as pa

    rng = np.random.default_rng(0)
    for first in range(0, pairs, CHUNK):
        sizes = rng.integers(3, 25, min(CHUNK, pairs - first))
        offsets = np.append(0, np.cumsum(sizes)).astype(np.int32)
        ids = pa.ListArray.from_arrays(offsets, rng.integers(5, 4000, offsets[-1], np.int32))
        types = pa.ListArray.from_arrays(offsets, np.zeros(offsets[-1], np.int8))
        labels = pa.array(rng.integers(0, 2, len(sizes)).astype(np.int8))
        table = pa.table({"input_ids": ids, "token_type_ids": types, "next_sentence_label": labels})
        with pa.ipc.new_stream(os.path.join(folder, f"{first:012d}.arrow"), table.schema) as stream:
            stream.write_table(table, max_chunksize=10_000)


def measure(pairs: int) -> None:
    from datasets import Dataset, concatenate_datasets

    from korean_bert.cleaning import load_corpus
    from korean_bert.config import preset
    from korean_bert.masking import PretrainBatches
    from korean_bert.tokenizer import load_base_tokenizer, train_tokenizer

    texts, config = load_corpus("sample")["text"], preset("tiny")
    tokenizer = train_tokenizer(texts, 4000, load_base_tokenizer("builtin"))
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(folder, pairs)
        files = sorted(os.listdir(folder))
        table = concatenate_datasets([Dataset.from_file(os.path.join(folder, f)) for f in files])
        with PeakMemory() as memory:
            begin, seconds = time.perf_counter(), []
            batches = PretrainBatches(table, tokenizer, config)
            batches[0]
            first = time.perf_counter() - begin
            for index in range(1, 101):
                begin = time.perf_counter()
                batches[index]
                seconds.append(time.perf_counter() - begin)
            batches[len(batches) // 2], batches[len(batches)]
    send_row({"pairs": pairs, "first": first, "batch": statistics.median(seconds),
              "memory": memory.peak - memory.begin})


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", help="in millions", default=[1, 4, 16, 64])
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.alone:
        return measure(options.alone * CHUNK)
    print("| pairs | first batch, s | a batch, ms | own memory, MiB | bytes a pair |\n"
          + "|---" * 5 + "|")
    for millions in options.pairs:
        for row in run_child(__file__, ["--alone", millions]):
            print(f"| {row['pairs']:,} | {row['first']:.1f} | {1000 * row['batch']:.2f} | "
                  f"{row['memory'] / 2**20:.0f} | {row['memory'] / row['pairs']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
