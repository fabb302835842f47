import io

import structlog

from sixfold.logging import configure


def test_what_is_logged_goes_to_what_is_standard_error_then(capsys, monkeypatch):
    with io.StringIO() as closed, monkeypatch.context() as replaced:
        replaced.setattr("sys.stderr", closed)
        configure()
    try:
        structlog.get_logger().warning("late", key="value")
        assert "event=late key=value" in capsys.readouterr().err
    finally:
        structlog.reset_defaults()
