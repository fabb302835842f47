"""The folds that are run here are those of the runtime's own tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "streams"))
