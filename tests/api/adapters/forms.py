"""A tool that takes a form."""


def form(image: bytes, lang: str = "en", n: int = 0) -> dict:
    """What it was given."""
    return {"bytes": len(image), "lang": lang, "n": n}
