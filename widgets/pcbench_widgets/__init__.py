"""The notebook face of pcbench: one widget with a builder, a circuit view, the compiled layout, a training
dashboard and a teaching lab."""

from .builder import Document
from .workbench import Workbench, build, lab, layout, monitor, show

__all__ = ["Document", "Workbench", "build", "lab", "layout", "monitor", "show"]
