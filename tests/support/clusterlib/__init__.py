# SPDX-License-Identifier: BSD-2-Clause
"""The parts of tests/support/cluster, from low to high: world, processes, guard, ports, postgres,
tls, node, fleet, words, foreground, main. Each imports only those before it. Standard library
only."""
