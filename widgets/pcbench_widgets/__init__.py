"""The notebook face of pcbench: one widget with a circuit view, the compiled layout and a training dashboard."""

from .workbench import Workbench, layout, monitor, show

__all__ = ["Workbench", "layout", "monitor", "show"]
