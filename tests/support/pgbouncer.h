/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A real PgBouncer before the primary of a test's cluster, one at a time. It ends with the process
 * that has started it. For the test's own thread, which it fails where something cannot be done.
 */
#ifndef WEIR_TEST_PGBOUNCER_H
#define WEIR_TEST_PGBOUNCER_H

#include <stdbool.h>

#include "support/cluster.h"

bool test_bouncer_is_installed(void);

/* Returns when it answers. more: lines for its section [pgbouncer]. */
void test_bouncer_start(const struct test_cluster *cluster, const char *more);

/* Of the one that was started last: postgresql://app@127.0.0.1:port/shop */
const char *test_bouncer_url(void);

/* Ends it, with its clients, if it runs. */
void test_bouncer_stop(void);

#endif
