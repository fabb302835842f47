"""Short links: their keys and aliases, what a link may be, and when it redirects."""
