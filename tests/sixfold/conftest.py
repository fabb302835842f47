"""The client is tested on the real gateway of the connectors' tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "connectors"))
