"""Mistakes of users: each has its own exception and a message with place, value and expectation, and changes nothing."""
