"""Lends the memory of `reserve` to each TLS handshake of an application or a library."""

import sys


def install(reserve):
    """Has `ssl` and `tls` borrow from `reserve` (see firmware/reserve.py) while they wrap a socket."""
    import ssl

    wrap = ssl.SSLContext.wrap_socket

    def wrap_socket(*args, **settings):
        reserve.lend()
        try:
            return wrap(*args, **settings)
        finally:
            reserve.take()

    ssl.SSLContext.wrap_socket = wrap_socket
    sys.modules["tls"] = ssl  # whose context is one of `tls`
