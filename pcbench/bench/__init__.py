"""The ``pcbench bench`` command: training steps that are correct first, and then timed."""
