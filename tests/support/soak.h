/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rounds of a soak, each drawn from its seed: a pool or a router is opened, used by many threads
 * while its servers fail, brought to rest, counted, and closed. stress/soak_test.c runs them.
 */
#ifndef WEIR_TEST_SOAK_H
#define WEIR_TEST_SOAK_H

#include <stdint.h>

#include <weir/weir.h>

#include "support/threads.h"

/* What the users of a round have seen; the indexes of test_thread.count. */
enum {
	SOAK_GOT,
	SOAK_TIMED_OUT,
	SOAK_REFUSED,
	SOAK_THREADS,
	SOAK_LATEST_NS,
	SOAK_PASSED_ON,
	SOAK_KILLED,
};

#define SOAK_THREADS_MAX 64

struct soak_round {
	uint64_t seed;
	double seconds;
	struct wi_rng rng;
	char line[600];  /* what it was like */
	char wrong[400]; /* "" if all was well */
};

/* Makes what the calling thread keeps: it has used a pool once. false: it could not. */
bool soak_warm_up(void);

/* Each fills line, and wrong if something was. */
void soak_pool_round(struct soak_round *round);
void soak_router_round(struct soak_round *round);

/* The first thing wrong stays. Always false. */
bool soak_wrong(struct soak_round *round, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- what both kinds of round share ---- */

/*
 * New servers: their sessions are numbered from the beginning, and held by one at a time.
 * host_of tells the servers apart; NULL if there is one. Fewer than `max` connections wait for
 * another's hand at any time: one at least stays in circulation.
 */
void soak_begin_sessions(int (*host_of)(const weir_conn *conn), int64_t max);

/*
 * Holds for a while (mostly not at all, at times up to 300 us, seldom 3 ms), then discards the
 * connection or gives it back, perhaps dirty, perhaps by way of another thread.
 */
void soak_use(struct test_thread *self, weir_conn *conn);

/* Gives back what still waits for another's hand; returns how many. Nobody else is about. */
uint64_t soak_clear_board(struct test_thread *self);

/* When a checkout began, as far as its deadline is concerned. */
struct soak_begun {
	int64_t timeout_ms, at_ns, ready_ns;
};

struct soak_begun soak_begin(struct test_thread *self);

/* Counts an outcome; notes one that cannot be right, and how late it came. */
void soak_count(struct test_thread *self, weir_status status, const struct soak_begun *begun,
                const weir_error *error);

/* Runs `step` again and again until *stop, in threads that end after a while if `churn`. */
void soak_repeat(struct test_thread *self, bool churn, void (*step)(struct test_thread *self));

/* Whether two numbers agree; if not, that is what was wrong. */
bool soak_agree(struct soak_round *round, const char *what, uint64_t here, uint64_t there);

/* One of n values. */
int64_t soak_one_of(struct wi_rng *rng, const int64_t *values, uint32_t n);

#define SOAK_ONE_OF(rng, ...)                                                                      \
	soak_one_of((rng), (const int64_t[]){__VA_ARGS__},                                         \
	            sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

#endif
