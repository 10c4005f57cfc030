# SPDX-License-Identifier: BSD-2-Clause
"""A port that stays ours while its server is down.

The port is found by binding it, and the socket is kept, bound and never listening. With
SO_REUSEADDR on it, PostgreSQL (which sets it too) can bind and listen beside it; another
fixture, which looks for a port without SO_REUSEADDR, cannot take it; and who connects while the
server is down is refused. Ports lie below the range for outgoing connections: there, a client
that keeps trying a dead port would sooner or later be given that very port, and talk to itself."""
import random
import socket

from clusterlib.world import Failed


def hold():
    """A socket that holds a free port of 127.0.0.1; close it to give the port up."""
    chance = random.SystemRandom()
    for _ in range(200):
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", chance.randrange(15000, lowest_outgoing())))
        except OSError:
            held.close()
            continue
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return held
    raise Failed("found no free port on 127.0.0.1")


def lowest_outgoing():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low = int(file.read().split()[0])
    except (OSError, ValueError):
        low = 32768
    return low if low >= 16000 else 32768
