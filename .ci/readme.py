"""Write README.md from nbs/index.ipynb: its markdown cells, with links that hold from the repository's root."""
import json
import re
from pathlib import Path

root = Path(__file__).resolve().parent.parent
cells = json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))["cells"]
parts = ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "markdown"]
text = re.sub(r"\]\((\w+\.ipynb)", r"](nbs/\1", "\n\n".join(parts)).replace("](../", "](")
note = "<!-- Made from nbs/index.ipynb by .ci/readme.py; edit that. -->"
(root / "README.md").write_text(f"{note}\n\n{text}\n", encoding="utf-8")
