"""The notebook face of pcbench: one widget with a builder, a circuit view, the compiled layout, a training
dashboard and a teaching lab."""

from .alone import build, lab, layout, monitor, show
from .builder import Document, Unsaved, unsaved
from .workbench import Workbench

__all__ = ["Document", "Unsaved", "Workbench", "build", "lab", "layout", "monitor", "show", "unsaved"]
