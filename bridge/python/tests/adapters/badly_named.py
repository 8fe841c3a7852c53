from snakepit_bridge import tool


@tool(name="not allowed")
def anything():
    return 1
