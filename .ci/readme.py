"""Write README.md from nbs/index.ipynb: its markdown cells, with links that hold from the repository's root."""
import json
from pathlib import Path

root = Path(__file__).resolve().parent.parent
cells = json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))["cells"]
parts = ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "markdown"]
note = "<!-- Made from nbs/index.ipynb by .ci/readme.py; edit that. -->"
(root / "README.md").write_text("\n\n".join([note, *parts]) + "\n", encoding="utf-8")
