"""``WS /v1/stream``: frames from clients over a WebSocket; see ``docs/websocket.md``."""
