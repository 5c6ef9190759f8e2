"""The third lesson as a class runs it, cell by cell, in a kernel of its own. (The others are run in a browser.)"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

LESSON = Path(__file__).parents[1] / "notebooks" / "03-learning-by-counting.ipynb"

#: What the lesson promises, asked after its last cell.
PROMISES = """
assert [round(c.item(), 4) for c in count / len(days)] == [0.4849, 0.5151], "the step by hand"
by_name = {block.name: block for block in pcb.fit(guess, days, method="em", epochs=1).model.circuit.blocks}
assert torch.allclose(new[by_name["day"].parameter].flatten().float(), count / len(days), atol=1e-6), "is EM's"
assert abs(ask("smokes", cough=2).probabilities[0, 1] - 0.632) < 0.05, "it found who coughs"
assert abs(ask("fever", cough=2).mean[0] - 38.4) < 0.1
assert fate[32, 0.001].max() - fate[32, 0.001][-1] > 0.05, "many nodes learn a few rows by heart"
assert min(fate[2, 0.1][-1], fate[32, 3.0][-1]) > fate[32, 0.001][-1], "fewer nodes or a pseudocount do not"
assert first[1] > first[0] + 0.1, "the circuit helps to read"
assert second[0] > first[0] + 0.1, "and to learn to read"
"""


def test_learning_by_counting_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    notebook = nbformat.read(LESSON, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PROMISES))
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", ()))
    assert "warning" not in printed.lower()
    shown = [o for c in notebook.cells for o in c.get("outputs", ()) if o.output_type == "display_data" or "data" in o]
    assert sum("application/vnd.jupyter.widget-view+json" in o["data"] for o in shown) == 2
