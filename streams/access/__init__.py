"""Access: the API keys and token-signing keys that the gateway lets in."""
