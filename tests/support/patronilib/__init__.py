# SPDX-License-Identifier: BSD-2-Clause
"""The parts of tests/support/patroni, from low to high: member, fleet, words, main. What they
have in common with tests/support/cluster is clusterlib's. Standard library only."""
