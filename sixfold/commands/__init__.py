"""The commands of `sixfold`, a module for each noun."""
