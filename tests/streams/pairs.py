"""Pairs of a log and a store, as a host sees them: opened, lost in a crash, opened again."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from connectors.log.sqlite import SqliteLog
from connectors.store.generations import active_generation
from connectors.store.sqlite import SqliteCommitter
from connectors.store.tables import view_table
from schemas.catalog import Catalog
from streams.fold import Fold
from streams.memory import MemoryLog, MemoryStore


class MemoryPair:
    def __init__(self, catalog: Catalog):
        self.log: Any = MemoryLog(catalog.topics.values())
        self.store: Any = MemoryStore(self.log)

    def crash(self):
        """What is in memory here stands for what would be on disk."""

    def rows(self, fold: Fold) -> dict[str, Any]:
        """Every row of every view of a fold, by view."""
        built = self.store._built[self.store._active[fold.name]]
        return {view.__name__: built.rows.get(view, {}) for view in fold.views}

    def close(self):
        pass


class SqlitePair:
    def __init__(self, catalog: Catalog):
        self._directory = tempfile.mkdtemp()
        self._open()
        self.log.create(catalog.topics.values())

    def crash(self):
        """Only what was committed is there afterwards."""
        self.log.close()
        self._open()

    def rows(self, fold: Fold) -> dict[str, Any]:
        reader = self.log.reader()
        number = active_generation(reader, fold.name)
        return {
            view.__name__: sorted(reader.execute(f"SELECT * FROM {view_table(view, number).name}"))
            for view in fold.views
        }

    def close(self):
        self.log.close()
        shutil.rmtree(self._directory)

    def _open(self):
        self.log: Any = SqliteLog(Path(self._directory) / "log.db", "NORMAL", watermark_bytes=0)
        self.store: Any = SqliteCommitter(self.log)
