"""The gateway of one process: HTTP on one port, over the log and the views of a data directory."""

from connectors.gateway.app import Deps, make_app
from connectors.gateway.dates import DateLine
from connectors.gateway.front import Front
from connectors.gateway.server import Server
from sixfold.platform import Platform
from sixfold.wiring import CATALOG


class Gateway:
    """Serves HTTP."""

    def __init__(self, platform: Platform, reuse_port: bool = False) -> None:
        settings = platform.settings.gateway.settings(reuse_port)
        deps = Deps(
            settings=settings,
            catalog=CATALOG,
            log=platform.log,
            store=platform.views,
            vault=platform.vault,
        )
        date = DateLine(0.0)
        self._server = Server(make_app(deps, []), Front(settings), date)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    async def start(self) -> None:
        """Take requests."""
        await self._server.start()

    async def stop(self) -> None:
        """Finish the requests in flight."""
        await self._server.stop()
