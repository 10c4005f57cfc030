# SPDX-License-Identifier: BSD-2-Clause
"""The demo, from low to high: words (what it prints), sql (asking a server past weir), weir
(running the program), story (what is shown and what must hold), main. It stands on clusterlib,
which knows nothing of it."""
