/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The judge of histories (support/history.h) on histories of the core's own code in which every
 * step is known: what the core may do it has to pass, in whatever order the threads come. The clock
 * is a number that each reading raises.
 */
#include "support/history.h"

#include <string.h>

#include "base/clock.h"
#include "core/desk.h"
#include "sched/scene.h"

/* With its whole tag: long executions by chance would get around a short one. */
#undef WI_TAG_BITS
#include "core/freelist.c"

#define LANES 4
#define OPS 16

static struct test_op ops[LANES * OPS];
static struct test_lane lanes[LANES];
static struct test_history history;
static int64_t readings;
static bool is_seen_late; /* what was put need not be visible yet when the put has ended */

int64_t wi_now_ns(void)
{
	return ++readings;
}

/* ---- operations, written down ---- */

static struct test_op *begin(enum test_op_kind kind)
{
	struct test_op *op = test_op_begin(&history.lanes[sched_self()], kind);

	sched_check(op);
	op->seat = scene_seat()->number;
	return op;
}

static void end(struct test_op *op)
{
	if (!is_seen_late)
		sched_settle();
	test_op_end(op);
	sched_note("%s %u", op->kind == TEST_TAKE ? "took" : "put", op->value);
}

static struct test_op *try(void)
{
	struct test_op *op = begin(TEST_TAKE);

	op->value = scene_take();
	end(op);
	return op;
}

static struct test_op *wait_until(int64_t deadline_ns)
{
	struct test_op *op = begin(TEST_TAKE);

	op->deadline_ns = INT64_MAX;
	op->value = scene_take();
	if (!op->value) {
		op->waited = true;
		op->value = scene_wait(deadline_ns);
	}
	end(op);
	return op;
}

static void put_by(struct test_op *take, void (*put)(uint32_t slot))
{
	struct test_op *op;

	if (!take->value)
		return;
	op = begin(TEST_PUT);
	op->value = take->value;
	op->of = take;
	put(op->value);
	end(op);
}

/* Set up: lane i has just given it back, to its cache. */
static void put_by_lane(int i, uint32_t slot)
{
	struct test_op *take = test_op_begin(&history.lanes[i], TEST_TAKE), *put;

	take->value = slot;
	test_op_end(take);
	put = test_op_begin(&history.lanes[i], TEST_PUT);
	put->value = slot;
	put->of = take;
	scene_cache(i, slot);
	test_op_end(put);
}

/* ---- what the threads do ---- */

static void try_once(void)
{
	(void)try();
}

static void try_put(void)
{
	put_by(try(), scene_put);
}

static void try_put_twice(void)
{
	try_put();
	try_put();
}

static void get_put(void)
{
	put_by(wait_until(INT64_MAX), scene_put);
}

static void get_give(void)
{
	put_by(wait_until(INT64_MAX), scene_give);
}

static void get_keep_give(void)
{
	struct test_op *first = wait_until(INT64_MAX), *other = try();

	put_by(first, scene_put);
	put_by(other, scene_put);
}

/* Ends, and so gives away what it keeps: until when, nobody sees. */
static void leave(void)
{
	begin(TEST_LEAVE)->returned_ns = INT64_MAX;
	sched_thread_exit();
}

static struct test_op *get(void)
{
	switch (sched_choose(4)) {
	case 0:
		return wait_until(INT64_MAX);
	case 1:
		return wait_until(sched_now() + WI_MS / 4);
	default:
		return try();
	}
}

/* By chance: tries, short waits and long ones, of one or of two; to the cache or past it. */
static void use(void)
{
	for (int i = 0; i < 3; i++) {
		struct test_op *one = get(), *other = sched_choose(3) ? NULL : try();

		if (other)
			put_by(other, scene_put);
		put_by(one, sched_choose(4) ? scene_put : scene_give);
	}
	if (sched_choose(2))
		leave();
}

/* ---- how they begin ---- */

static void begin_history(uint32_t slots, int threads)
{
	scene_make(slots, threads);
	memset(&history, 0, sizeof(history));
	history.ops = ops;
	history.room = LANES * OPS;
	history.lanes = lanes;
	history.lanes_max = LANES;
	test_history_begin(&history, LANES, slots);
}

static void one_in_a_cache(void)
{
	begin_history(1, 3);
	put_by_lane(0, 1);
}

static void one_in_a_cache_seen_late(void)
{
	is_seen_late = true;
	begin_history(1, 2);
	scene_list(1);
}

static void two_in_caches(void)
{
	begin_history(2, 4);
	put_by_lane(0, 1);
	put_by_lane(1, 2);
}

static void three_listed(void)
{
	begin_history(3, 3);
	for (uint32_t slot = 1; slot <= 3; slot++)
		scene_list(slot);
}

static void one_cached_one_listed(void)
{
	begin_history(2, 4);
	put_by_lane(0, 1);
	scene_list(2);
}

/* ---- judged ---- */

static void judge(void)
{
	static char wrong[sizeof(history.wrong)];
	bool ok;

	scene_conserved();
	ok = test_history_close(&history) && test_holds_never_overlap(&history) &&
	     test_nobody_fails_beside_a_free_one(&history);
	memcpy(wrong, history.wrong, sizeof(wrong));
	test_history_begin(&history, LANES, history.values); /* what it has allocated goes */
	if (!ok)
		sched_fail("%s", wrong);
}

#define JUDGED .at_rest = scene_nobody_forgotten, .at_end = judge

static const struct sched_scenario scenarios[] = {
	{
		.name = "an_owner_comes_too_late",
		.set_up = one_in_a_cache,
		.thread = {{"A", try_once}, {"B", try_once}, {"C", try_once}},
		JUDGED,
		.bounds = {.switches = 3, .total = 3},
	},
	{
		.name = "a_put_is_seen_late",
		.set_up = one_in_a_cache_seen_late,
		.thread = {{"A", try_put}, {"B", try_once}},
		JUDGED,
		.bounds = {.switches = 1, .looks = 1, .total = 2},
		.as_x86 = true,
		.must_fail = "a try got nothing",
	},
	{
		.name = "enough_in_the_list",
		.set_up = three_listed,
		.thread = {{"A", try_once}, {"B", try_once}, {"C", try_once}},
		JUDGED,
		.bounds = {.switches = 2, .total = 2},
	},
	{
		.name = "two_owners",
		.set_up = two_in_caches,
		.thread = {{"A", try_once}, {"B", try_once}, {"C", try_put}},
		JUDGED,
		.bounds = {.switches = 2, .total = 2},
		.random = 10000,
	},
	{
		.name = "tries_and_puts",
		.set_up = one_cached_one_listed,
		.thread = {{"A", try_put_twice}, {"B", try_put_twice}, {"C", try_put}},
		JUDGED,
		.bounds = {.switches = 1, .total = 1},
		.random = 10000,
	},
	{
		.name = "waits_beside_a_try",
		.set_up = two_in_caches,
		.thread = {{"A", get_keep_give}, {"B", get_put}, {"C", get_give}, {"D", try_put}},
		JUDGED,
		.bounds = {.switches = 1, .total = 1},
		.random = 10000,
	},
	{
		.name = "anything_by_chance",
		.set_up = two_in_caches,
		.thread = {{"A", use}, {"B", use}, {"C", use}, {"D", use}},
		JUDGED,
		.only_by_chance = true,
		.random = 5000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}
