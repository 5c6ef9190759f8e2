"""Commands that measure: quality, speed, memory. Not tests; each prints a table and exits with 1 when a bar is missed."""
