"""Archives a log in small stretches, and says after each how far it is: made to be killed."""

import sys
from pathlib import Path

from lake_events import CATALOG

from batch import backlog
from batch.archive import archive
from batch.lake import Lake
from connectors.log.sqlite import SqliteLog

backlog.READ_RECORDS = 10
backlog.STRETCH_RECORDS = 20
log = SqliteLog(Path(sys.argv[1]), "NORMAL")
archive(Lake(Path(sys.argv[2]), CATALOG), log, lambda p: print(p.done, p.total, flush=True))
log.close()
