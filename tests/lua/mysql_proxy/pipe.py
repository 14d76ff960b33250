"""Values over a pipe, the counterpart of pipe.lua."""


def encode(value):
    if value is None:
        return b"n"
    if value is True or value is False:
        return b"t" if value else b"f"
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, (list, tuple)):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(held) for key, held in value.items()) + b"e"


def _after(stream, first):
    if first in (b"n", b"t", b"f"):
        return {b"n": None, b"t": True, b"f": False}[first]
    if first == b"i":
        digits = b""
        while (byte := _exactly(stream, 1)) != b"e":
            digits += byte
        return int(digits)
    if first == b"l":
        made = []
        while (byte := _exactly(stream, 1)) != b"e":
            made.append(_after(stream, byte))
        return made
    if first == b"d":
        made = {}
        while (byte := _exactly(stream, 1)) != b"e":
            name = _after(stream, byte).decode()
            made[name] = decode(stream)
        return made
    digits = first
    while (byte := _exactly(stream, 1)) != b":":
        digits += byte
    return _exactly(stream, int(digits))


def _exactly(stream, length):
    data = stream.read(length) if length else b""
    if len(data) != length:
        raise EOFError("the stand-in has ended")
    return data


def decode(stream):
    """The next value; strings are bytes, names of a table str."""
    return _after(stream, _exactly(stream, 1))
