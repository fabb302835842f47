"""What touches the world: log, transport, stores, vault, gateway, channels, sources."""
