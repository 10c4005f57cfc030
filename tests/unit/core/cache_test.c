/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread's cache: room for one, kept until taken or stolen, by exactly one. */
#include "core/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct wi_bias bias;
static struct wi_seat seat;
static _Atomic uint64_t taken[3]; /* by the owner, by thieves, put */

/* As the core does it, in either mode. */
static uint32_t take(void)
{
	uint32_t slot = wi_cache_take(&bias, &seat);

	if (slot)
		return slot;
	(void)wi_pin(&bias, &seat);
	slot = wi_cache_take_shared(&seat);
	wi_unpin(&seat);
	return slot;
}

static bool put(uint32_t slot)
{
	bool there;

	if (!wi_cache_may_put(&bias, &seat))
		return wi_cache_put_shared(&seat, slot);
	(void)wi_pin(&bias, &seat);
	there = wi_cache_put(&bias, &seat, slot);
	wi_unpin(&seat);
	return there || wi_load_rlx(&bias.word); /* the bias has gone: there all the same */
}

static uint32_t steal(void)
{
	uint32_t slot;

	wi_bias_revoke(&bias);
	slot = wi_cache_steal(&seat);
	wi_bias_release(&bias);
	return slot;
}

static int set_up(void **state)
{
	(void)state;
	memset(&seat, 0, sizeof(seat));
	wi_bias_init(&bias, &wi_world_linux);
	memset(taken, 0, sizeof(taken));
	return 0;
}

static void what_was_put_is_taken_once(void **state)
{
	(void)state;
	assert_int_equal(take(), WI_SLOT_NONE);
	assert_true(put(5));
	assert_int_equal(take(), 5);
	assert_int_equal(take(), WI_SLOT_NONE);
}

static void there_is_room_for_one(void **state)
{
	(void)state;
	assert_true(put(5));
	assert_false(put(6));
	assert_int_equal(take(), 5);
	assert_true(put(6));
}

static void what_was_stolen_is_gone(void **state)
{
	(void)state;
	assert_int_equal(steal(), WI_SLOT_NONE);
	assert_true(put(65535));
	assert_int_equal(steal(), 65535);
	assert_int_equal(steal(), WI_SLOT_NONE);
	assert_int_equal(take(), WI_SLOT_NONE);
}

/* One of the two is stopped at the point, and the other tries meanwhile. */
static const struct race {
	const char *point;
	bool owner_stops;
	bool revoked; /* before either begins */
	uint32_t stopped_gets, other_gets;
} races[] = {
	/* A biased take that has begun is as good as done: the thief passes by. */
	{"cache.take.taking", true, false, 7, 0},
	{"cache.take.seen", true, false, 7, 0},
	/* Both exchange: seeing is not having. */
	{"cache.take_shared.seen", true, true, 0, 7},
	{"cache.steal.out", false, false, 0, 7},
	{"cache.steal.seen", false, false, 0, 7},
};

static struct test_stop between;
static const struct race *now_racing;

static void thief_or_owner(struct test_thread *self)
{
	bool stops = self->number == 0, owner = stops == now_racing->owner_stops;

	if (stops)
		test_stop_arm(&between);
	else
		test_stop_await(&between);
	self->count[0] = owner ? take() : steal();
	if (stops)
		test_stop_arm(NULL);
	else
		test_stop_release(&between);
}

static void exactly_one_of_thief_and_owner_gets_it(void **state)
{
	struct test_thread reports[2];

	for (size_t i = 0; i < WI_ARRAY_LEN(races); i++) {
		now_racing = &races[i];
		set_up(state);
		/* Where there is no membarrier, no take is biased. */
		if (now_racing->owner_stops && !now_racing->revoked && !wi_bias_is_whole(&bias))
			continue;
		if (now_racing->revoked)
			wi_bias_revoke(&bias);
		between = (struct test_stop){.point = now_racing->point, .visit = 1};
		assert_true(put(7));
		test_threads_run(2, thief_or_owner, NULL, -1, reports);
		assert_int_equal(reports[0].count[0], now_racing->stopped_gets);
		assert_int_equal(reports[1].count[0], now_racing->other_gets);
		if (now_racing->revoked)
			wi_bias_release(&bias);
	}
}

/* ---- the bias ---- */

static bool no_fence(void)
{
	return false;
}

static int64_t clock_ns;

static int64_t read_clock(void)
{
	return clock_ns;
}

static void sleep_through(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	(void)word;
	(void)expected;
	clock_ns = deadline_ns;
}

static int fences;

static bool count_fence(void)
{
	fences++;
	return true;
}

static void only_the_first_revoker_fences_and_the_bias_lingers_away(void **state)
{
	static const struct wi_world counting = {.fence_heavy = count_fence};

	(void)state;
	fences = 0;
	wi_bias_init(&bias, &counting);
	assert_true(wi_bias_is_whole(&bias));
	fences = 0;
	wi_bias_revoke(&bias);
	wi_bias_revoke(&bias);
	assert_int_equal(fences, 1);
	wi_bias_restore(&bias); /* held: nothing happens */
	wi_bias_release(&bias);
	wi_bias_restore(&bias);
	assert_false(wi_bias_is_whole(&bias));
	wi_bias_release(&bias);
	assert_false(wi_bias_is_whole(&bias));
	wi_bias_revoke(&bias); /* it lingered: no fence is needed */
	assert_int_equal(fences, 1);
	wi_bias_release(&bias);
	wi_bias_restore(&bias);
	assert_true(wi_bias_is_whole(&bias));
	wi_bias_revoke(&bias);
	assert_int_equal(fences, 2);
	wi_bias_release(&bias);
}

static void without_a_heavy_fence_there_is_no_bias(void **state)
{
	static const struct wi_world poor = {
		.fence_heavy = no_fence, .now = read_clock, .park = sleep_through};

	(void)state;
	wi_bias_init(&bias, &poor);
	assert_false(wi_bias_is_whole(&bias));
	assert_true(put(3));
	assert_int_equal(take(), 3);
	wi_bias_restore(&bias);
	assert_false(wi_bias_is_whole(&bias));
}

static void a_bias_whose_fence_is_taken_away_is_gone_for_ever(void **state)
{
	static struct wi_world shrinking = {
		.fence_heavy = count_fence, .now = read_clock, .park = sleep_through};

	(void)state;
	clock_ns = 0;
	wi_bias_init(&bias, &shrinking);
	shrinking.fence_heavy = no_fence;
	wi_bias_revoke(&bias);
	assert_true(clock_ns >= 10 * WI_MS); /* what was under way has settled */
	wi_bias_release(&bias);
	wi_bias_restore(&bias);
	assert_false(wi_bias_is_whole(&bias));
	assert_true(put(3));
	assert_int_equal(steal(), 3);
}

static void an_ended_core_cannot_be_pinned_open(void **state)
{
	(void)state;
	assert_true(wi_pin(&bias, &seat));
	wi_unpin(&seat);
	wi_bias_end(&bias, WI_BIAS_CLOSED);
	assert_false(wi_pin(&bias, &seat));
	assert_true(wi_is_pinned(&seat));
	wi_unpin(&seat);
	assert_false(wi_is_pinned(&seat));
}

/* ---- chance ---- */

static void owner_and_thieves(struct test_thread *self)
{
	if (self->number != 0) {
		while (!wi_load_rlx(self->stop))
			if (steal())
				wi_add_rlx(&taken[1], 1);
		return;
	}
	do { /* once at least, however late the owner begins beside thieves that never rest */
		if (put(1))
			wi_add_rlx(&taken[2], 1);
		else
			test_wrong(self, "the owner found room and then none");
		if (take())
			wi_add_rlx(&taken[0], 1);
	} while (!wi_load_rlx(self->stop));
}

static void nothing_is_taken_twice_or_lost(void **state)
{
	struct test_thread reports[3];
	uint64_t left;

	(void)state;
	test_yields(16);
	test_threads_run(3, owner_and_thieves, NULL, test_seconds(0.3), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, 3));
	left = take() != WI_SLOT_NONE;
	assert_int_equal(wi_load_rlx(&taken[0]) + wi_load_rlx(&taken[1]) + left,
	                 wi_load_rlx(&taken[2]));
	assert_true(wi_load_rlx(&taken[2]) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_was_put_is_taken_once, set_up),
		cmocka_unit_test_setup(there_is_room_for_one, set_up),
		cmocka_unit_test_setup(what_was_stolen_is_gone, set_up),
		cmocka_unit_test_setup(exactly_one_of_thief_and_owner_gets_it, set_up),
		cmocka_unit_test_setup(only_the_first_revoker_fences_and_the_bias_lingers_away,
	                               set_up),
		cmocka_unit_test_setup(without_a_heavy_fence_there_is_no_bias, set_up),
		cmocka_unit_test_setup(a_bias_whose_fence_is_taken_away_is_gone_for_ever, set_up),
		cmocka_unit_test_setup(an_ended_core_cannot_be_pinned_open, set_up),
		cmocka_unit_test_setup(nothing_is_taken_twice_or_lost, set_up),
	};

	test_watchdog(60, "unit.core.cache");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
