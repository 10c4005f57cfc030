/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes wrong with real servers while a test writes: sessions of the role app are terminated,
 * most of all those whose commits are done and wait for a standby; and the primary is killed and
 * the standby promoted that has received the most. For a cluster with two standbys of which one
 * has to acknowledge (synchronous_standby_names), so that nothing acknowledged is lost.
 */
#ifndef WEIR_TEST_TROUBLE_H
#define WEIR_TEST_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "support/cluster.h"

/* The thread's that makes it, as the cluster is. */
struct test_trouble {
	struct test_cluster *cluster;
	int primary;
	int gone; /* the server that is down; -1 at first: none */
	uint64_t terminated, failovers;
	struct wi_rng rng;
};

/*
 * For so long, and the time that a failover takes in the middle of it; from 40 s on every 20 s, and
 * the old primary comes back. By the choices of test_seed(). Ends the process if the servers do not
 * obey, as nothing then says anything about weir.
 */
void test_trouble_make(struct test_trouble *trouble, double seconds);

/* Once: ends sessions that have committed and wait for a standby. */
void test_trouble_in_commit(struct test_trouble *trouble);

#endif
