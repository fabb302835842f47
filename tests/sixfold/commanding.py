"""Commands run in the process of the tests, on a data directory of the test's."""

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from sixfold.cli import app


class Commands:
    """`sixfold`, with its settings in the environment."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.key_file = directory / "keys" / "master.key"
        self.environment = {
            "SIXFOLD_DATA": str(self.data),
            "SIXFOLD_VAULT_MASTER_KEY": str(self.key_file),
            "COLUMNS": "200",
        }

    def run(self, *arguments: str) -> str:
        """What a command prints."""
        result = self._invoke(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """What a command that fails says."""
        result = self._invoke(*arguments)
        assert result.exit_code == 1, result.output
        return str(result.exception)

    def misused(self, *arguments: str) -> str:
        """What a command says that was called wrongly."""
        result = self._invoke(*arguments)
        assert result.exit_code == 2, result.output
        return result.output

    def _invoke(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, env=self.environment)
