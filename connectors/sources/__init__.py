"""Importers of real files."""
