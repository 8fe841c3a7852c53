from snakepit_bridge import tool


@tool(name="chosen.name", idempotent=True)
def chosen():
    return 1


def other():
    return 2
