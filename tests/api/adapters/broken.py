"""An adapter that cannot be imported."""

raise RuntimeError("the cable is unplugged")
