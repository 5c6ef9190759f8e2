"""Files: one format a file, each with how to recognise it by content, how to read and how to write it."""

from .state import load_state, save_state

__all__ = ["load_state", "save_state"]
