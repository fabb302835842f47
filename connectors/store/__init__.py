"""Stores of views and state, and the commit that writes them."""
