"""For processes whose PYTHONPATH names this folder, workers included: no network, and a list of who tried."""

from __future__ import annotations

import os
import sys
from typing import Any

_FAMILIES = (2, 10)  # AF_INET, AF_INET6: importing socket here would load it everywhere
_TALKING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_ASKING = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request")


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    # Making one is no offence: urllib3, which wfdb imports, tries whether there is IPv6.
    if event in _ASKING or (event in _TALKING and args[0].family in _FAMILIES):
        with open(os.environ["OFFLINE_LOG"], "a", encoding="utf-8") as file:
            file.write(f"{event} {args[1:]}\n")
        raise OSError("no network in this test")


sys.addaudithook(_refuse)
