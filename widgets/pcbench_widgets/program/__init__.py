"""Python's half of the compiled layout: maps of weights, flows, comparisons and compiled kernels, each made when asked for."""

from .part import ProgramPart

__all__ = ["ProgramPart"]
