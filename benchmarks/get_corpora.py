"""Fetch the real Korean text that the benchmarks and the slow tests read, and check it.

    python benchmarks/get_corpora.py                        # everything, into ../shared/corpora
    python benchmarks/get_corpora.py FOLDER --only korquad  # files whose name begins so

| file | what | licence |
|---|---|---|
| korquad_v1.0_dev.json | KorQuAD 1.0 dev, as it is: paragraphs of Korean Wikipedia | CC BY-ND 2.0 KR |
| petitions_*.jsonl | petitions to the Blue House, three months, as they are | KOGL type 1 |
| nsmc_*.jsonl | 24,000 raw reviews of NSMC, balanced, drawn once: nsmc_ids.txt | CC0 1.0 |
| tensorflow_docs_ko.jsonl | Korean prose of TensorFlow's documentation | CC BY 4.0 (code Apache 2.0) |

Each comes from a commit of a public repository. The last two are made of the repositories' archives
(some hundred MB are read, nothing of them is kept): NSMC's reviews are looked up by their numbers;
of the documentation stay the paragraphs of at least 20 characters, at least 40 % of them Hangul,
without code blocks, buttons, images, links' addresses and tags, of pages with two or more of them.
How the reviews were drawn was not recorded, so their numbers are. A file that is there already with
the right SHA-256 is left alone; one with another is never written. Needs nothing but Python.
"""
import argparse
import hashlib
import json
import os
import re
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from urllib.request import urlopen

from harness import make_parser

RAW, ARCHIVE = "https://raw.githubusercontent.com", "https://codeload.github.com"
PETITIONS = f"{RAW}/lovit/petitions_archive/03dc3f3d69e03a0a4885350c6991e328fc0a6b81/petitions_"
NSMC = f"{ARCHIVE}/e9t/nsmc/tar.gz/cc0670e872d4ac27bfe36c87456783004b39ef6c"
DOCS = f"{ARCHIVE}/tensorflow/docs-l10n/tar.gz/7cb584af651df3863a3bebc93674163f8dc6db7b"
KORQUAD = (f"{RAW}/korquad/korquad.github.io/61d7d6682948375dd8f06ef27e788fd19982af38"
           "/dataset/KorQuAD_v1.0_dev.json")
IDS = Path(__file__).parent / "nsmc_ids.txt"  # 20,000 to learn from, then 4,000 to test on
HANGUL = re.compile("[가-힣]")


# === What is made of what comes ===
def keep(stream: IO[bytes]) -> bytes:
    return stream.read()


def open_members(stream: IO[bytes], folder: str) -> Iterator[tuple[str, bytes]]:
    "The files of a folder of a repository's archive, one after the other."
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for member in archive:
            path = member.name.partition("/")[2]  # the first part names repository and commit
            if member.isfile() and path.startswith(folder):
                yield path, archive.extractfile(member).read()


def as_lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def draw_reviews(stream: IO[bytes], some: slice) -> bytes:
    "Reviews by their numbers; 9 and 10 of 10 are positive, 1 to 4 negative."
    wanted = IDS.read_text().split()[some]
    found = dict.fromkeys(wanted)
    for _, content in open_members(stream, "raw/"):
        for review in json.loads(content):
            if review["review_id"] in found:
                found[review["review_id"]] = review
    if missing := [number for number in wanted if found[number] is None]:
        raise ValueError(f"expected review {missing[0]} in the archive, and {len(missing) - 1} more")
    return as_lines([{"id": number, "document": found[number]["review"],
                      "label": int(int(found[number]["rating"]) > 4)} for number in wanted])


def find_paragraphs(page: str) -> list[str]:
    "The Korean prose of a page in Markdown."
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    page = re.sub(r'<table class="tfo-notebook-buttons".*?</table>', "", page, flags=re.DOTALL)
    page = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", page)
    page = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", page)
    parts = [part.strip() for part in re.sub(r"<[^>]+>", " ", page).split("\n\n")]
    return [part for part in parts
            if len(part) >= 20 and len(HANGUL.findall(part)) >= 0.4 * len(part)]


def read_docs(stream: IO[bytes]) -> bytes:
    "A row for each page of TensorFlow's Korean documentation."
    rows = []
    for path, content in open_members(stream, "site/ko/"):
        if not path.endswith((".md", ".ipynb")):
            continue
        page = content.decode()
        if path.endswith(".ipynb"):
            page = "\n\n".join("".join(cell["source"]) for cell in json.loads(page)["cells"]
                               if cell["cell_type"] == "markdown")
        if len(parts := find_paragraphs(page)) > 1:
            rows.append({"id": path, "title": parts[0].lstrip("#").strip()[:80],
                         "text": "\n\n".join(parts)})
    return as_lines(sorted(rows, key=lambda row: row["id"]))


# === The files ===
class Corpus(NamedTuple):
    url: str
    licence: str
    sha256: tuple[str, ...] # of the file; the documentation names a site in two ways
    make: Callable[[IO[bytes]], bytes] = keep


KOGL = "KOGL type 1 (public data of the Korean government)"
CORPORA = {
    "korquad_v1.0_dev.json": Corpus(KORQUAD, "CC BY-ND 2.0 KR", (
        "25ffeb51e6c51ec02c071b60a10188e10005c144110f0d876b26079d80a35bdf",)),
    "petitions_2017-08.jsonl": Corpus(PETITIONS + "2017-08", KOGL, (
        "13f09d466b6a8f5732bf5609f0799701dc397c5740d75275b5977bd9930c4729",)),
    "petitions_2019-04.jsonl": Corpus(PETITIONS + "2019-04", KOGL, (
        "6db47ca63b0f46731ec22a2043aa55bd2928efd620bf9cc8c52726f7962b2fc0",)),
    "petitions_2019-05.jsonl": Corpus(PETITIONS + "2019-05", KOGL, (
        "624dadd3d1f8b5ed9065e7b539095990dcb1babe40fb6b9d45f3feb025f8b5a6",)),
    "nsmc_train_20k.jsonl": Corpus(NSMC, "CC0 1.0", (
        "4fc71df3b062d5c1948570ed9609c8f2627146a99212a55527b163a0155df5a8",),
        lambda stream: draw_reviews(stream, slice(20_000))),
    "nsmc_test_4k.jsonl": Corpus(NSMC, "CC0 1.0", (
        "b1842af56a992841cf79ac396e526112c3ac5214574b74f78a8f0895ec168c85",),
        lambda stream: draw_reviews(stream, slice(20_000, None))),
    "tensorflow_docs_ko.jsonl": Corpus(DOCS, "CC BY 4.0 (code Apache 2.0)", (
        "9c2207a778d951230189c5d328d1a183b808bdddc2b1e26a31d781354285f714",
        "d03b815e82ba017e0d197ae0e66b3e05a980f0d7e7ad92ab432873fe5cb34854"), read_docs),
}


def fetch(name: str, corpus: Corpus, folder: Path, mirror: str | None) -> None:
    "Make one file, unless it is there; ValueError where it is not what it should be."
    path = folder / name
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() in corpus.sha256:
        print(f"{name}: there already. {corpus.licence}")
        return
    url = corpus.url.replace("https:/", mirror.rstrip("/")) if mirror else corpus.url
    with urlopen(url, timeout=60) as answer:
        content = corpus.make(answer)
    found = hashlib.sha256(content).hexdigest()
    if found not in corpus.sha256:
        raise ValueError(f"{url} has changed: expected SHA-256 {corpus.sha256[0]}, got {found}")
    part = path.with_name(name + ".part")
    part.write_bytes(content)
    os.replace(part, path)  # never half a file under the true name
    print(f"{name}: {len(content):,} bytes from {url}. {corpus.licence}")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/corpora"),
                        help="made if missing (default: ../shared/corpora)")
    parser.add_argument("--only", nargs="+", default=[""], help="how the wanted files' names begin")
    parser.add_argument("--mirror", help="a server with a folder for each host, for a machine that "
                                         "reaches nothing else")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    wanted = {name: corpus for name, corpus in CORPORA.items()
              if name.startswith(tuple(options.only))}
    if not wanted:
        sys.exit(f"expected one of {', '.join(CORPORA)}, got {', '.join(options.only)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, corpus in wanted.items():
        try:
            fetch(name, corpus, options.folder, options.mirror)
        except (OSError, ValueError, tarfile.TarError) as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    if failed:
        sys.exit("the same command goes on with what is missing")


if __name__ == "__main__":
    main()
