"""The invited changes of the lesson work: 01 to 03 with corpora of the reader's own.

Notebooks 00 to 03 run in order, in one folder, as a reader runs them, with CORPUS (and TEXT_COLUMN) in
the environment: .txt files, a .csv with a column of another name, JSON nested as KorQuAD's. What is
saved by 01 and 02 is read by the next. Tests of the notebooks, which run on the sample whatever the
corpus is, are left out: `nbdev_test` has run them.
"""
import csv
import json
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "nbs"
SAMPLE = Path(__file__).parent.parent / "korean_bert/data/sample.jsonl"


def write_corpora(folder: Path, texts: list[str]) -> dict[str, dict[str, str]]:
    "Three corpora in a folder, and the environment that names each."
    (folder / "내_글").mkdir()
    for number, text in enumerate(texts):
        one = text.replace("\n\n", "\n")  # documents of a .txt file end at empty lines
        (folder / f"내_글/{number}.txt").write_text(one, encoding="utf-8")
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["번호", "내용"], *enumerate(texts)])
    articles = [{"title": str(number), "paragraphs": [{"context": text, "qas": []}]}
                for number, text in enumerate(texts)]
    (folder / "korquad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    return {"txt": {"CORPUS": "내_글/*.txt"},
            "csv": {"CORPUS": "reviews.csv", "TEXT_COLUMN": "내용"},
            "korquad": {"CORPUS": "korquad.json", "TEXT_COLUMN": "data.paragraphs.context"}}


def run_notebook(name: str, folder: Path) -> str:
    "Run a notebook's lesson in a folder; what it printed. A cell that fails ends it all."
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"
                      and not cell.source.startswith(("#@title 테스트", "#| slow"))]
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)


texts = [json.loads(line)["text"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()[:150]]
with tempfile.TemporaryDirectory() as folder:
    corpora = write_corpora(Path(folder), texts)
    for kind, environment in corpora.items():
        os.environ.pop("TEXT_COLUMN", None)
        os.environ.update(environment, HF_DATASETS_CACHE=f"{folder}/cache")
        saved, start = Path(folder, "runs/lesson"), time.monotonic()
        for name in ["00_setup", "01_cleaning", "02_tokenizer", "03_nsp"]:
            said = run_notebook(name, Path(folder))
            if name == "01_cleaning":
                assert f"전체 {len(texts)}편 가운데 {len(texts)}편으로 실습합니다" in said, said[:500]
            if name > "02":
                assert f"01에서 저장한 문서 {len(texts)}편" in said, said[:500]
        assert (saved / "tokenizer/tokenizer.json").exists()
        for path in sorted(saved.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        print(f"{kind}: 00 to 03 in {time.monotonic() - start:.0f} s", flush=True)
