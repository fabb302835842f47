"""Short links: the gateway's side."""
