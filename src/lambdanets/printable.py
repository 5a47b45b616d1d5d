r"""Names and counts as they can be shown: on a terminal, in a table, on a page.

A file may be called anything: with line breaks, with sequences that recolour or rewrite a terminal, with letters that
turn the reading direction, in bytes that are no text at all.
"""


def printable(name: object) -> str:
    r"""The name with every character that would not be seen as itself escaped: \n, \x1b, \u202e, \xff for a stray byte.

    What is returned can be encoded as UTF-8 and takes one line.
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(name))


def counted(count: int, thing: str) -> str:
    """So many things, such as 1 image or 1,200 images."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _escaped(letter: str) -> str:
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:  # how Python holds a byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
