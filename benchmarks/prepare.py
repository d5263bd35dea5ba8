"""What preparing costs: `prepare` on one machine against `korean_bert_prepare` with workers.

    python benchmarks/prepare.py ../shared/corpora

The documents of get_corpora.py's folder without the reviews, once and `--copies` times (each copy of a
document begins with its number, so that none is dropped), in 8 files. For each way, in a process of its
own: CPU seconds of it and of all that it started, stage by stage, and the memory of the largest process.
From the differences between the two sizes, where the time that libraries take to load falls out: CPU
seconds a million characters, and what they come to for 100 GB and 1 TB of Korean text.
"""
import argparse
import json
import os
import resource
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from harness import make_parser, read_korquad, run_child, send_row

FILES, SHARDS = 8, 4
WAYS = {"one machine": 0, "1 worker": 1, "2 workers": 2}
BYTES = 2.3  # of a character of Korean text in UTF-8, as these corpora have it (printed)


def read_documents(folder: Path) -> list[str]:
    texts = read_korquad(folder / "korquad_v1.0_dev.json")
    for path in sorted(folder.glob("*.jsonl")):
        column = {"pet": "content", "ten": "text"}.get(path.name[:3])
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if column else []
        texts += [row[column] for row in rows]
    return [text for text in texts if text]


def write_files(texts: list[str], copies: int, folder: Path) -> None:
    folder.mkdir()
    numbered = [f"{i}번째 {text}" for i in range(copies) for text in texts]
    for i in range(FILES):
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in numbered[i::FILES]]
        (folder / f"{i}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def measure(corpus: str, workers: int) -> None:
    "Prepare a run, and send the CPU seconds of each stage and the largest memory."
    from korean_bert import runs, scale
    from korean_bert.config import preset

    stages, run_stage = {}, scale._run_local

    def timed(name, *arguments):
        begin = cpu_seconds()
        run_stage(name, *arguments)
        stages[name] = cpu_seconds() - begin

    scale._run_local = timed
    with tempfile.TemporaryDirectory() as folder:
        config = preset("base", corpus=corpus, output_dir=folder, base_checkpoint="builtin",
                        num_proc=1, shards=SHARDS if workers else 1, slow_is_fine=True,
                        validation_size=0.05)
        begin = cpu_seconds()
        if workers:
            report = scale.prepare_at_scale(config, "local", workers)
        else:
            report = runs.prepare(config)[2]
        stages["all"] = cpu_seconds() - begin
    largest = max(resource.getrusage(who).ru_maxrss
                  for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    send_row({"stages": stages, "memory": largest << 10, "pairs": report["train"]["pairs"]})


def show(rows: dict, characters: int, copies: int) -> None:
    names = list(dict.fromkeys(name for row in rows.values() for name in row["stages"]))
    print("| way | copies | pairs | largest process, MiB | " + " | ".join(names)
          + " |\n" + "|---" * (4 + len(names)) + "|")
    for (way, times), row in rows.items():
        cells = (f"{row['stages'][name]:.1f}" if name in row["stages"] else "" for name in names)
        print(f"| {way} | {times} | {row['pairs']:,} | {row['memory'] / 2**20:.0f} | "
              + " | ".join(cells) + " |")
    print("\n| way | stage | CPU s a million characters | CPU hours for 100 GB | for 1 TB |\n"
          "|---|---|---|---|---|")
    for way in WAYS:
        once, more = rows[way, 1]["stages"], rows[way, copies]["stages"]
        for name in names:
            if name in once:
                rate = (more[name] - once[name]) / ((copies - 1) * characters / 1e6)
                hours = rate * 100e9 / BYTES / 1e6 / 3600
                print(f"| {way} | {name} | {rate:.2f} | {hours:,.0f} | {10 * hours:,.0f} |")


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("corpora", help="folder of get_corpora.py")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.alone is not None:
        return measure(options.corpora, options.alone)
    texts, rows = read_documents(Path(options.corpora)), defaultdict(dict)
    characters = sum(map(len, texts))
    size = sum(len(text.encode()) for text in texts) / characters
    print(f"{len(texts):,} documents, {characters:,} characters, {size:.2f} bytes a character")
    with tempfile.TemporaryDirectory() as folder:
        for copies in (1, options.copies):
            corpus = Path(folder, str(copies))
            write_files(texts, copies, corpus)
            for way, workers in WAYS.items():
                for row in run_child(__file__, [corpus, "--alone", workers]):
                    rows[way, copies] = row
                    print(way, copies, json.dumps(row), flush=True)
    show(rows, characters, options.copies)


if __name__ == "__main__":
    main()
