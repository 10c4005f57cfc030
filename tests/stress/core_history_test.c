/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories of real threads on a core, in every shape of load, and what must be true of each: holds
 * of one slot never overlap; nobody fails, or sleeps on, beside a free slot; those who have slept
 * for longer than the core's patience are served in order; deadlines are kept; a put wakes at most
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "support/core_store.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS_MAX 64

static struct test_history history;

/* ---- shapes ---- */

static const struct test_shape shapes[] = {
	{.name = "many threads, few slots", .threads = 32, .values = 2, .tries = 1, .shorts = 3},
	{.name = "the same, with holds",
         .threads = 16,
         .values = 3,
         .tries = 1,
         .shorts = 3,
         .hold_ns = 400000,
         .pause_ns = 400000,
         .pauses = 4},
	{.name = "long waits",
         .threads = 12,
         .values = 2,
         .shorts = 1,
         .hold_ns = 2000000,
         .pause_ns = 300000,
         .pauses = 6},
	{.name = "few threads, many slots",
         .threads = 4,
         .values = 40,
         .at_once = 4,
         .tries = 4,
         .shorts = 4},
	{.name = "as many as there are",
         .threads = 8,
         .values = 8,
         .tries = 4,
         .shorts = 2,
         .hold_ns = 50000,
         .pause_ns = 50000,
         .pauses = 2},
	{.name = "now enough, now not",
         .threads = 6,
         .values = 4,
         .at_once = 2,
         .tries = 2,
         .shorts = 4,
         .hold_ns = 30000,
         .pause_ns = 200000,
         .pauses = 2},
	{.name = "threads come and go",
         .threads = 8,
         .values = 3,
         .tries = 2,
         .shorts = 3,
         .hold_ns = 50000,
         .pauses = 3,
         .churn = true},
	{.name = "another's hands",
         .threads = 12,
         .values = 6,
         .tries = 2,
         .shorts = 3,
         .pass_on = true},
	{.name = "a sweeper about",
         .threads = 8,
         .values = 4,
         .tries = 2,
         .shorts = 3,
         .sweep = true},
	{.name = "one CPU, few slots",
         .threads = 16,
         .values = 2,
         .tries = 1,
         .shorts = 3,
         .hold_ns = 100000,
         .pauses = 1,
         .one_cpu = true},
	{.name = "one CPU, enough slots",
         .threads = 8,
         .values = 8,
         .tries = 4,
         .shorts = 2,
         .one_cpu = true},
};

static void fail_if(const char *wrong, const char *where)
{
	if (wrong)
		fail_msg("%s: %s", where, wrong);
}

static void run_once(const struct test_shape *s, double seconds)
{
	assert_true(test_core_open(s->values));
	fail_if(test_shape_run(s, &test_core_store, &history, seconds), s->name);
	fail_if(test_history_audit(&history), s->name);
	assert_true(history.n_takes > 0);
	fail_if(test_core_audit(s->values, history.n_takes), s->name);
	test_core_close();
}

/* Many short histories say more than a long one: they begin and end more often. */
static void run_shape(const struct test_shape *s, double seconds)
{
	int64_t end_ns = wi_now_ns() + (int64_t)(seconds * 1e9);
	struct test_history_facts facts = {0};

	do {
		run_once(s, seconds < 0.15 ? seconds : 0.15);
		test_history_add_facts(&history, &facts);
	} while (wi_now_ns() < end_ns);
	test_history_print(s->name, s->pause_one_in != 0, &facts);
}

static void every_shape_leaves_a_history_that_can_be(void **state)
{
	double seconds = test_seconds(9) / (double)WI_ARRAY_LEN(shapes) / 2;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(shapes); i++) {
		struct test_shape paused = shapes[i];

		run_shape(&shapes[i], seconds);
		paused.pause_one_in = 24;
		run_shape(&paused, seconds);
	}
}

/*
 * ---- a duel: one gives, one waits, and nothing else ever happens that could wake a sleeper ----
 */

enum { SLEPT, TIMED_OUT, MEETINGS };

static _Atomic uint64_t arrived;
static _Atomic bool is_over, is_lost, was_handed_over;

static void meet(struct test_thread *self)
{
	self->count[MEETINGS]++;
	wi_add_acq_rel(&arrived, 1);
	for (int spins = 0; wi_load_acq(&arrived) < 2 * self->count[MEETINGS]; spins++)
		if (spins > 1000)
			nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

/* Mostly next to nothing, at times up to a millisecond, so that both sides come first. */
static void delay(struct wi_rng *rng)
{
	static const uint32_t up_to_ns[] = {200, 2000, 20000, 1000000};
	uint32_t k = wi_rng_below(rng, 64);
	uint32_t which = k < 24 ? 0 : k < 56 ? 1 : k < 63 ? 2 : 3;
	int64_t until = wi_now_ns() + wi_rng_below(rng, up_to_ns[which]);

	while (wi_now_ns() < until)
		;
}

static struct test_op *duel_op(struct test_thread *self, enum test_op_kind kind)
{
	struct test_op *op = test_op_begin(&history.lanes[self->number], kind);

	return op;
}

static struct test_op *duel_take(struct test_thread *self, int64_t timeout_ns)
{
	struct test_op *op = duel_op(self, TEST_TAKE);

	test_watch(op, test_core_store.seat());
	(void)test_core_store.take(op, timeout_ns);
	test_unwatch();
	test_op_end(op);
	return op;
}

static void duel_put(struct test_thread *self, struct test_op *held)
{
	struct test_op *op = duel_op(self, TEST_PUT);

	op->value = held->value;
	op->of = held;
	test_watch(op, test_core_store.seat());
	test_core_store.put(op);
	test_unwatch();
	test_op_end(op);
}

/* Whether this duel is the last; decided by one, before both meet. */
static bool is_last(struct test_thread *self)
{
	if (self->number == 0)
		wi_store_rel(&is_over, wi_load_rlx(self->stop) || wi_load_rlx(&is_lost) ||
		                               history.lanes[0].n + 4 > history.lanes[0].room ||
		                               history.lanes[1].n + 4 > history.lanes[1].room);
	meet(self);
	return wi_load_acq(&is_over);
}

/*
 * Whoever has the slot gives, the other waits; where its deadline came first, the giver takes
 * again.
 */
static void duel(struct test_thread *self)
{
	bool may_time_out = *(const bool *)self->arg;
	struct test_op *held = self->number == 0 ? duel_take(self, 0) : NULL;

	while (!is_last(self)) {
		struct test_op *got = NULL;

		delay(&self->rng);
		if (held) {
			duel_put(self, held);
		} else {
			got = duel_take(self, may_time_out ? 1 + wi_rng_below(&self->rng, 40000)
			                                   : TEST_PATIENT_NS);
			self->count[SLEPT] += got->parked_ns != 0;
			self->count[TIMED_OUT] += !got->value;
			wi_store_rel(&was_handed_over, got->value != 0);
		}
		meet(self);
		if (got)
			held = got->value ? got : NULL;
		else if (wi_load_acq(&was_handed_over))
			held = NULL;
		else if (!(held = duel_take(self, 0))->value) /* nobody else is about */
			wi_store_rel(&is_lost, true);
		meet(self);
	}
	if (wi_load_acq(&is_lost))
		test_wrong(self, "the slot was lost");
	else if (held)
		duel_put(self, held);
}

static void run_duel(bool may_time_out, uint32_t pause_one_in)
{
	struct test_thread reports[2];

	assert_true(test_core_open(1));
	test_history_begin(&history, 2, 1);
	wi_store_rlx(&arrived, 0);
	wi_store_rlx(&is_lost, false);
	test_measure_lag(true);
	test_yields(pause_one_in);
	test_threads_run(2, duel, &may_time_out, test_seconds(4) / 4, reports);
	test_yields(0);
	test_measure_lag(false);
	assert_null(test_first_wrong(reports, 2));
	assert_true(test_history_close(&history));
	printf("%u hand-overs, %llu slept, %llu timed out%s\n", history.n_puts,
	       (unsigned long long)test_sum(reports, 2, SLEPT),
	       (unsigned long long)test_sum(reports, 2, TIMED_OUT), pause_one_in ? ", paused" : "");
	fail_if(test_history_audit(&history), "a duel");
	fail_if(test_core_audit(1, history.n_takes), "a duel");
	test_core_close();
}

static void one_gives_and_one_waits(void **state)
{
	(void)state;
	run_duel(false, 0);
	run_duel(false, 4);
}

static void one_gives_and_one_gives_up(void **state)
{
	(void)state;
	run_duel(true, 0);
	run_duel(true, 4);
}

static int set_up(void **state)
{
	(void)state;
	return test_shapes_init(&history, THREADS_MAX) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_history_fini(&history);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_gives_and_one_waits),
		cmocka_unit_test(one_gives_and_one_gives_up),
		cmocka_unit_test(every_shape_leaves_a_history_that_can_be),
	};

	test_watchdog(280, "stress.core_history");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
