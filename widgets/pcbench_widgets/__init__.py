"""The notebook face of pcbench: one widget with a circuit view, the compiled layout and a training dashboard."""

from .builder import Document
from .workbench import Workbench, layout, monitor, show

__all__ = ["Document", "Workbench", "layout", "monitor", "show"]
