/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories of real threads: what each of them took and gave back, and when; and what must be true
 * of every history, whatever the threads did.
 *
 * Each thread writes a lane of its own, so that logging orders nothing: no lock, no shared line,
 * only readings of the monotonic clock, which do not drain a store buffer. An operation happens at
 * some moment between `invoked` and `returned`. The checkers use nothing else: what they call wrong
 * is wrong, whenever in between the moment was.
 */
#ifndef WEIR_TEST_HISTORY_H
#define WEIR_TEST_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/*
 * Now; and what the caller does next is not done before. A processor may read memory ahead of its
 * clock, and an operation would have happened before it is said to begin. Drains no store buffer.
 */
static inline int64_t test_beginning_ns(void)
{
	int64_t now_ns = wi_now_ns();

#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_lfence();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
	return now_ns;
}

enum test_op_kind {
	TEST_TAKE,  /* a checkout, whether it got something or not */
	TEST_PUT,   /* a checkin */
	TEST_LEAVE, /* a thread ends: may move one value from its cache to where takers look */
	TEST_SWEEP, /* may move any number of them, while takers look from place to place */
};

struct test_op {
	enum test_op_kind kind;
	uint32_t value; /* what was taken or put, from 1; TAKE: 0 if it got nothing in time */
	uint32_t seat;  /* the thread's, as far as the test knows */
	uint32_t wakes; /* how many sleepers' words it woke */
	int64_t invoked_ns, returned_ns;
	int64_t deadline_ns; /* TAKE: 0: a try that does not wait */
	int64_t parked_ns;   /* TAKE: when it first slept; 0: it did not */
	int64_t overdue_ns;  /* TAKE: when it went to sleep again and had slept for so long */
	int64_t ready_ns;    /* since then it was ready for so long, and had no processor */
	/* PUT: the take that it ends; TAKE: the put that ends it (set by close) */
	struct test_op *of;
	struct test_op *next; /* PUT: the next take of this value (set by close) */
	struct test_op *last; /* TAKE: the put before it of this value (set by close) */
	void *handle;         /* the test's */
	bool waited;          /* TAKE: it did not find anything at its first look */
};

struct test_lane {
	struct test_op *ops;
	uint32_t n, room;
};

struct test_history {
	struct test_op *ops; /* of all lanes */
	uint32_t room;
	struct test_lane *lanes;
	uint32_t n_lanes, lanes_max;
	int64_t seen_late_ns;           /* so long may it take until all see what was put */
	uint32_t values;                /* they are 1 to this; all free at the beginning */
	struct test_op **takes, **puts; /* after close: by value and time; by time */
	uint32_t n_takes, n_puts;
	uint32_t *first; /* of each value, in takes; one more at the end */
	char wrong[512]; /* what the last checker that failed saw */
};

/* Room for so many lanes, and so many operations in all of them. false: no memory. */
bool test_history_init(struct test_history *h, uint32_t lanes_max, uint32_t room);
void test_history_fini(struct test_history *h);

/* Begins anew with so many lanes, which share the room, and so many values. */
void test_history_begin(struct test_history *h, uint32_t lanes, uint32_t values);

/* The lane's thread: begins an operation, now. NULL: the lane is full. */
struct test_op *test_op_begin(struct test_lane *lane, enum test_op_kind kind);

/* The thread that began it: the operation ends, now. */
void test_op_end(struct test_op *op);

/* All threads have ended: sorts. False if the history cannot be: a value that is not one. */
bool test_history_close(struct test_history *h);

/* ---- checkers, after close: true, or false and h->wrong says what was seen ---- */

/* No value is held by two at once; and what was put had been taken. Exact. O(n log n). */
bool test_holds_never_overlap(struct test_history *h);

/*
 * Nobody is told "none", by a try or at a deadline, while more values were free throughout the call
 * than others may have moved from place to place meanwhile, or kept in a cache from which they were
 * just taking.
 */
bool test_nobody_fails_beside_a_free_one(struct test_history *h);

/*
 * Nobody sleeps for longer than this beside a value that lies free. The time without a processor
 * does not count, here and below.
 */
bool test_nobody_sleeps_beside_a_free_one(struct test_history *h, int64_t bound_ns);

/*
 * Of those who have slept for longer than `patience_ns` and still do, the one who came first gets
 * what is put next. Younger ones may come first only for what was put earlier, or by a grant that
 * was meant for an elder's earlier wait in the same seat.
 */
bool test_sleepers_are_served_in_order(struct test_history *h, int64_t patience_ns);

/*
 * No wait ends without a value before its deadline, none sleeps beyond it by more than the slack;
 * and what is not sleep takes no second.
 */
bool test_deadlines_are_kept(struct test_history *h, int64_t slack_ns);

/* No put wakes more than one. */
bool test_a_put_wakes_at_most_one(struct test_history *h);

/* ---- what a history was like ---- */

struct test_history_facts {
	uint64_t histories, takes, failures, waits, sleeps, puts;
	uint64_t overtakings; /* of sleepers, by those who began later and got something earlier */
	int64_t longest_ns;   /* wait that got something */
	int64_t latest_ns;    /* after its deadline */
};

/* Adds this history's to what is there. */
void test_history_add_facts(const struct test_history *h, struct test_history_facts *facts);

/* One line. */
void test_history_print(const char *name, bool paused, const struct test_history_facts *facts);

#endif
