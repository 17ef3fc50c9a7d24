"""The few pages of HTML we serve: plain, readable without script, nothing loaded from elsewhere."""

import html

from starlette.routing import Match, Route
from starlette.types import Scope

STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:6px}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #8884}
summary{cursor:pointer;padding:.35rem 0}.method{display:inline-block;min-width:4.5rem;font-weight:600}
"""
# The pages hold no script at all; the policy says so.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class PlainRoute(Route):
    """A route beside the contract, such as /docs, which log and figures name by its template like any other."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As of its class, and leave the route where the line and the count of the request look for it."""
        match, more = super().matches(scope)
        return match, {**more, "route": self} if match is not Match.NONE else more


def page(title: str, body: str) -> str:
    """A whole page. `body` is trusted HTML: whoever calls has escaped what is not."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)} - Holdfast</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style><body>{body}'
    )
