"""Says what it does when it is asked how it is."""

from snakepit_bridge import BaseAdapter, CallContext, tool


class Asked(BaseAdapter):
    """Its health tells whether a tool of its is running."""

    def __init__(self):
        self.doing = "nothing"

    def health(self):
        """What it does, as if it had loaded that."""
        return {"loaded": [self.doing]}

    @tool
    def ask(self, ctx: CallContext):
        """Wait for another tool."""
        self.doing = "ask"
        ctx.call_tool("other")
        self.doing = "nothing"

    @tool
    async def aask(self, ctx: CallContext):
        """The same in a coroutine."""
        self.doing = "aask"
        await ctx.call_tool("other")
        self.doing = "nothing"
