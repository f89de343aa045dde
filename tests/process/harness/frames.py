"""Frames for tests that talk to a port themselves: the examples of wire/README.md."""

import os

_README = os.path.join(os.path.dirname(__file__), "..", "..", "..", "wire", "README.md")


def example(name):
    """The bytes of the hexdump behind "<!-- example: NAME -->"."""
    with open(_README) as file:
        text = file.read().split(f"<!-- example: {name} -->\n```\n")[1].split("```")[0]
    data = bytearray()
    for line in text.splitlines():
        data += bytes.fromhex(line[4:].split("|")[0])
    return bytes(data)
