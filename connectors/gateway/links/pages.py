"""The pages that people see where a link does not simply lead on: plain HTML, without scripts."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from litestar import Response

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem}"
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}"
    "input,button{margin:.5rem 0 1rem;padding:.6rem}"
    "[role=alert]{border-left:.3rem solid;padding-left:.7rem}"
    ":root{color-scheme:light dark}"
)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
<main>
<h1>{title}</h1>
{content}
</main>
</html>
"""

_FORM = """\
{alert}<form method="post">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="off" required autofocus>
<button>Continue</button>
</form>"""

# No form-action: Chrome applies it to where the form's answer redirects to, which is anywhere.
_POLICY = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def message(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A page that says why there is no redirect."""
    return _page(status, text, "", headers)


def password_form(
    status: int = 200, alert: str = "", headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """A page that asks for a link's password.

    Args:
        alert: what went wrong the last time.
    """
    said = f'<p role="alert">{escape(alert)}</p>\n' if alert else ""
    title = "This link needs a password"
    return _page(status, title, _FORM.format(alert=said), headers)


def _page(
    status: int, title: str, content: str, headers: Mapping[str, str] | None
) -> Response[bytes]:
    page = _PAGE.format(title=escape(title), style=_STYLE, content=content)
    return Response(
        page.encode(),
        status_code=status,
        media_type="text/html",
        headers=_HEADERS | dict(headers or {}),
    )
