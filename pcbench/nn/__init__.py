"""Circuits inside neural networks: a module whose log-likelihood PyTorch differentiates."""

from .module import CircuitModule

__all__ = ["CircuitModule"]
