"""The notebook face of pcbench: one widget with a builder, a circuit view, the compiled layout and a training dashboard."""

from .builder import Document
from .workbench import Workbench, build, layout, monitor, show

__all__ = ["Document", "Workbench", "build", "layout", "monitor", "show"]
