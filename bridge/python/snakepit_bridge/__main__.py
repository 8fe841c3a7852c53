"""``python3 -m snakepit_bridge``: started by the gateway, never by hand."""

from .zygote import main

main()
