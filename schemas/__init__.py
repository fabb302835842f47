"""What may be written: event types and the catalog that is built from them.

This room imports nothing of ours; every other room imports it.
"""
