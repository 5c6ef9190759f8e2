"""Learning: EM on all rows or on batches, gradients, schedules, and the loop with its events, checkpoints and handle."""

from .checkpoint import saved_events
from .em import EMStep, full_batch_em, mini_batch_em
from .events import KINDS, Event
from .fit import fit
from .method import EM, METHODS, Gradient, Method, MiniBatchEM
from .run import Run
from .schedule import SCHEDULES, Constant, Cosine, OneCycle, Power, Schedule

__all__ = [
    "EM",
    "KINDS",
    "METHODS",
    "SCHEDULES",
    "Constant",
    "Cosine",
    "EMStep",
    "Event",
    "Gradient",
    "Method",
    "MiniBatchEM",
    "OneCycle",
    "Power",
    "Run",
    "Schedule",
    "fit",
    "full_batch_em",
    "mini_batch_em",
    "saved_events",
]
