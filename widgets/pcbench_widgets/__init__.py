"""The notebook face of pcbench."""
