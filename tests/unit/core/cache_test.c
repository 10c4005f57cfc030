/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread's cache: room for one, kept until taken or stolen, by exactly one. */
#include "core/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/threads.h"
#include "support/watchdog.h"

static struct wi_seat seat;
static _Atomic uint64_t taken[3]; /* by the owner, by thieves, put */

static int set_up(void **state)
{
	(void)state;
	memset(&seat, 0, sizeof(seat));
	memset(taken, 0, sizeof(taken));
	return 0;
}

static void what_was_put_is_taken_once(void **state)
{
	(void)state;
	assert_int_equal(wi_cache_take(&seat), WI_SLOT_NONE);
	assert_true(wi_cache_put(&seat, 5));
	assert_int_equal(wi_cache_take(&seat), 5);
	assert_int_equal(wi_cache_take(&seat), WI_SLOT_NONE);
}

static void there_is_room_for_one(void **state)
{
	(void)state;
	assert_true(wi_cache_put(&seat, 5));
	assert_false(wi_cache_put(&seat, 6));
	assert_int_equal(wi_cache_take(&seat), 5);
	assert_true(wi_cache_put(&seat, 6));
}

static void what_was_stolen_is_gone(void **state)
{
	(void)state;
	assert_int_equal(wi_cache_steal(&seat), WI_SLOT_NONE);
	assert_true(wi_cache_put(&seat, 65535));
	assert_int_equal(wi_cache_steal(&seat), 65535);
	assert_int_equal(wi_cache_steal(&seat), WI_SLOT_NONE);
	assert_int_equal(wi_cache_take(&seat), WI_SLOT_NONE);
}

static struct test_stop between = {.visit = 1};

static void thief_or_owner(struct test_thread *self)
{
	bool owner = strcmp(between.point, "cache.take.seen") == 0;

	if (self->number == 0) {
		test_stop_arm(&between);
		self->count[0] = owner ? wi_cache_take(&seat) : wi_cache_steal(&seat);
		test_stop_arm(NULL);
		return;
	}
	test_stop_await(&between);
	self->count[0] = owner ? wi_cache_steal(&seat) : wi_cache_take(&seat);
	test_stop_release(&between);
}

/* Both have seen the slot; only the first to exchange gets it. */
static void seeing_is_not_having(void **state)
{
	static const char *const points[] = {"cache.take.seen", "cache.steal.seen"};
	struct test_thread reports[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		between = (struct test_stop){.point = points[i], .visit = 1};
		assert_true(wi_cache_put(&seat, 7));
		test_threads_run(2, thief_or_owner, NULL, -1, reports);
		assert_int_equal(reports[0].count[0], WI_SLOT_NONE);
		assert_int_equal(reports[1].count[0], 7);
	}
}

static void owner_and_thieves(struct test_thread *self)
{
	if (self->number != 0) {
		while (!wi_load_rlx(self->stop))
			if (wi_cache_steal(&seat))
				wi_add_rlx(&taken[1], 1);
		return;
	}
	while (!wi_load_rlx(self->stop)) {
		if (wi_cache_put(&seat, 1))
			wi_add_rlx(&taken[2], 1);
		else
			test_wrong(self, "the owner found room and then none");
		if (wi_cache_take(&seat))
			wi_add_rlx(&taken[0], 1);
	}
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
	left = wi_cache_take(&seat) != WI_SLOT_NONE;
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
		cmocka_unit_test_setup(seeing_is_not_having, set_up),
		cmocka_unit_test_setup(nothing_is_taken_twice_or_lost, set_up),
	};

	test_watchdog(60, "unit.core.cache");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
