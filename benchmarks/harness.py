"""What the benchmarks share: contestants in processes of their own, taken in turns.

A script runs itself again for every contestant, with the python of that contestant's environment
and on cores of its own, so that no contestant meets the threads, memory or packages of another. The
child prints a line of JSON for each thing that it measured (`send_row`), which the parent collects
(`run_child`). A machine that others use drifts: contestants take turns for several rounds
(`take_turns`), and ratios within a round do not drift.
"""
import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

MARK = "RESULT "  # begins a line of a child that is a row for its parent


def make_parser(text: str) -> argparse.ArgumentParser:
    "A parser of the command line whose help shows a script's docstring as it stands."
    return argparse.ArgumentParser(description=text,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)


def send_row(row: dict) -> None:
    "In a child: hand a row to the parent."
    print(MARK + json.dumps(row), flush=True)


def thread_settings(threads: int) -> dict[str, str]:
    "Environment variables that bound the threads of TensorFlow, PyTorch, BLAS and tokenizers."
    libraries = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS",
                 "TF_NUM_INTRAOP_THREADS"]
    return {name: str(threads) for name in libraries} | {"TF_NUM_INTEROP_THREADS": "1"}


def run_child(
    script: str, # the script that calls: `__file__`
    arguments: Iterable, # of the command line; made strings
    python: str | None = None, # of another environment; the one that runs if not given
    cores: Sequence[int] = (), # to run on, with a thread on each; all, unbounded, if empty
    env: dict[str, str] | None = None, # environment variables on top
) -> Iterator[dict]: # the rows that the child sends, as they come
    """Run a script in a process of its own.

    What else it prints goes to stderr. Raises subprocess.CalledProcessError if it fails.
    """
    threads = thread_settings(len(cores)) if cores else {}
    process = subprocess.Popen(
        [python or sys.executable, script, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | threads | (env or {}),
        preexec_fn=partial(os.sched_setaffinity, 0, cores) if cores else None)
    with process:
        for line in process.stdout:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
            else:
                print(line, end="", file=sys.stderr, flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def take_turns(
    contestants: Sequence, # anything that `run` knows them by
    rounds: int, # times that each of them runs
    run: Callable[..., Iterable[dict]], # contestant -> its rows
    show: Callable[[dict], object] = lambda row: None, # called with each row when it comes
    save: Path | None = None, # JSON file, written anew after each contestant
) -> list[dict]: # all rows, each with its `round` and the machine's `load` (of the last minute)
    "Run all contestants one by one, round by round; one that fails is named and passed over."
    results = []
    for number in range(rounds):
        for contestant in contestants:
            try:
                for row in run(contestant):
                    results.append({**row, "round": number, "load": os.getloadavg()[0]})
                    show(results[-1])
            except subprocess.CalledProcessError as error:
                print(f"{contestant}: failed with exit status {error.returncode}", flush=True)
            if save:
                save.write_text(json.dumps(results, indent=1))
    return results


def read_korquad(path: Path) -> list[str]:
    "The paragraphs of a file of KorQuAD 1.0."
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
