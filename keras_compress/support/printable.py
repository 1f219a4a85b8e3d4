"""Text from files, made safe to show: no control or invisible characters."""


def printable(text: str, keep: str = "") -> str:
    r"""Write the characters of a text that cannot be shown as escapes.

    A name in a file may hold whatever its author wants: escape sequences that recolour a terminal
    or set its title, line feeds, characters that reverse the direction of what follows.

    Args:
        text: Any text.
        keep: Characters that stay although they cannot be shown, such as line feeds.

    Returns:
        The text, with an escape like those of Python for each character that is not printable
        (Unicode's categories Other and Separator, except the space).

    Example:
        >>> print(printable("conv\x1b[31m größe"))
        conv\x1b[31m größe
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
