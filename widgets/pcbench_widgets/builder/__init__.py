"""The builder: a circuit under construction, and the rules of its edits."""

from .document import Document, Edited
from .draft import Refusal
from .kept import Unsaved, unsaved

__all__ = ["Document", "Edited", "Refusal", "Unsaved", "unsaved"]
