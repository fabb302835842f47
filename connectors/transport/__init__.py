"""Faust transports: how agents are fed from each kind of log."""
