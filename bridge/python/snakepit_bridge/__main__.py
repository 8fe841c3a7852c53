"""``python3 -m snakepit_bridge``: started by the gateway, never by hand."""

from .boot import main

main()
