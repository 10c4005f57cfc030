/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writers and readers through a router while its primary changes: how long writes and reads stopped
 * by the clients' clock, what failed, and, by a witness that asks each server past weir, when the
 * new primary was one. Real servers; threads that only report, for the main thread to judge.
 */
#ifndef WEIR_TEST_GAP_H
#define WEIR_TEST_GAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#define GAP_THREADS 4 /* of writers, and of readers */

/* Calls that went well, and the longest time between two of them that followed each other. */
struct test_gap_side {
	_Atomic uint64_t served;
	_Atomic int64_t last_ns;
	_Atomic int64_t longest_ns, from_ns; /* under the lock */
	_Atomic uint64_t lost;               /* the connection ended under a statement */
	_Atomic uint64_t ended;              /* 57P01 to 57P03 */
	_Atomic uint64_t read_only;          /* 25006 */
	_Atomic uint64_t other;              /* another SQLSTATE; see `words` */
	_Atomic uint64_t no_checkout;        /* see `words` */
};

struct test_gap {
	weir_router *router;
	struct test_gap_side writes, reads;
	_Atomic int64_t promoted_ns; /* the witness: another server than before is no standby */
	char old[WEIR_ERROR_HOST];   /* who took the writes at the beginning */
	/* under the lock: the last write that `old` served, the first that another one did */
	_Atomic int64_t last_old_ns, first_new_ns;
	char words[WEIR_ERROR_TEXT]; /* the first failure of its kind; under the lock */
};

/* Makes the table that the writers fill. false: see words. */
bool test_gap_prepare(struct test_gap *gap, weir_router *router);

/*
 * Begins: from here on gaps are counted. urls: one a server, ended by NULL, for the witness, who
 * calls nobody promoted that is the primary now. Runs until test_gap_end; false: it did not begin.
 */
bool test_gap_begin(struct test_gap *gap, const char *const *urls);

/* How long writes stopped between the old primary and the new one; -1: there is none. */
int64_t test_gap_stopped_ns(const struct test_gap *gap);

/* Waits until writes and reads have been served after from_ns, or timeout_ms. */
bool test_gap_await_writes(struct test_gap *gap, int64_t from_ns, int64_t timeout_ms);

/* Ends and joins all threads. */
void test_gap_end(struct test_gap *gap);

/* A line of what happened; order_ns: when the primary was told to go. */
void test_gap_print(const struct test_gap *gap, const char *what, int64_t order_ns);

#endif
