/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Free list, caches and waiters together, as one thread sees them: a slot is in exactly one place,
 * nobody waits while one is idle, and a sweep finds every idle one. What happens between threads is
 * in core_threads_test.c.
 */
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "support/plain_core.h"
#include "support/watchdog.h"

static _Atomic int64_t clock_ns;
static _Atomic int wakes, shorts;
/* a slot that is put on the list, past all waiters, while somebody sleeps */
static uint32_t appears;

/* Sleeping takes as long as it may, in no time. */
static void sleep_through(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	(void)word;
	(void)expected;
	if (appears)
		wi_freelist_push(&plain_core.list[0], &plain_core.table, appears);
	appears = 0;
	wi_store_rlx(&clock_ns, deadline_ns);
}

static void count_wake(_Atomic uint32_t *word)
{
	(void)word;
	wi_add_rlx(&wakes, 1);
}

static int64_t read_clock(void)
{
	return wi_load_rlx(&clock_ns);
}

static bool fence(void)
{
	return wi_world_linux.fence_heavy();
}

static const struct wi_world quick = {
	.park = sleep_through, .wake = count_wake, .fence_heavy = fence, .now = read_clock};

static int set_up(void **state)
{
	(void)state;
	wi_store_rlx(&clock_ns, 1000);
	wi_store_rlx(&wakes, 0);
	wi_store_rlx(&shorts, 0);
	appears = 0;
	return plain_core_begin(&quick);
}

static void what_was_never_given_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(plain_take(), WI_SLOT_NONE);
}

static void a_thread_gets_its_last_slot_back(void **state)
{
	(void)state;
	wi_core_give(&plain_core, 1);
	wi_core_give(&plain_core, 2);
	wi_core_give(&plain_core, 3);
	assert_int_equal(plain_take(), 3);
	assert_int_equal(plain_take(), 2);
	wi_core_put(&plain_core, plain_seat(), 3);
	assert_int_equal(plain_take(), 3);
	wi_core_put(&plain_core, plain_seat(), 3);
	wi_core_put(&plain_core, plain_seat(), 2); /* the cache is full: to the list */
	assert_int_equal(plain_take(), 3);
	assert_int_equal(plain_take(), 2);
	assert_int_equal(plain_take(), 1);
	assert_int_equal(plain_take(), WI_SLOT_NONE);
}

static void what_others_keep_is_found(void **state)
{
	struct wi_seat *other = wi_seats_take(&plain_core.seats), *far = NULL;

	(void)state;
	wi_core_put(&plain_core, other, 4);
	assert_int_equal(plain_take(), 4);
	for (int i = 0; i < 100; i++)
		far = wi_seats_take(&plain_core.seats); /* in another segment */
	wi_core_put(&plain_core, far, 5);
	assert_int_equal(plain_take(), 5);
	assert_int_equal(plain_take(), WI_SLOT_NONE);
}

static void a_wait_ends_at_its_deadline_with_nothing(void **state)
{
	struct wi_outcome o = wi_core_wait(&plain_core, plain_seat(), 5000);

	(void)state;
	assert_int_equal(o.verdict, WI_PENDING);
	assert_int_equal(wi_load_rlx(&clock_ns), 5000);
	wi_core_give(&plain_core, 1); /* the one who gave up is not granted anything */
	assert_int_equal(wi_load_rlx(&wakes), 0);
	assert_int_equal(plain_take(), 1);
}

static void count_short(void *arg)
{
	(void)arg;
	wi_add_rlx(&shorts, 1);
}

static void only_who_will_sleep_says_that_slots_are_short(void **state)
{
	(void)state;
	plain_core.on_short = count_short;
	wi_core_give(&plain_core, 1);
	assert_int_equal(wi_core_wait(&plain_core, plain_seat(), 5000).verdict, WI_GRANTED);
	assert_int_equal(wi_load_rlx(&shorts), 0);
	assert_int_equal(wi_core_wait(&plain_core, plain_seat(), 5000).verdict, WI_PENDING);
	assert_int_equal(wi_load_rlx(&shorts), 1);
}

static void who_gives_up_takes_a_last_look(void **state)
{
	struct wi_outcome o;

	(void)state;
	appears = 2;
	o = wi_core_wait(&plain_core, plain_seat(), 5000);
	assert_int_equal(o.verdict, WI_GRANTED);
	assert_int_equal(o.value, 2);
}

static void a_shut_core_refuses_waiters_and_gives_what_is_idle(void **state)
{
	struct wi_outcome o;

	(void)state;
	wi_core_give(&plain_core, 1);
	wi_core_shut(&plain_core, 9);
	o = wi_core_wait(&plain_core, plain_seat(), 5000);
	assert_int_equal(o.verdict, WI_GRANTED);
	o = wi_core_wait(&plain_core, plain_seat(), 5000);
	assert_int_equal(o.verdict, WI_REFUSED);
	assert_int_equal(o.value, 9);
	assert_int_equal(wi_load_rlx(&clock_ns), 1000); /* without sleeping */
}

static void refusing_once_does_not_shut(void **state)
{
	(void)state;
	wi_core_refuse(&plain_core, 3);
	assert_int_equal(wi_core_wait(&plain_core, plain_seat(), 5000).verdict, WI_PENDING);
}

static void sums_go_over_all_slots(void **state)
{
	static const uint32_t times[] = {3, 1, 0, 2};
	uint64_t lent, returned;

	(void)state;
	for (uint32_t i = 0; i < WI_ARRAY_LEN(times); i++)
		for (uint32_t n = 0; n < times[i]; n++)
			plain_count_lending(i + 1);
	wi_core_sums(&plain_core, &lent, &returned);
	assert_int_equal(lent, 4); /* two by the first, one of which is out, and so on */
	assert_int_equal(returned, 2);
}

/* ---- sweeping ---- */

static uint32_t swept_slot[PLAIN_SLOTS];
static int n_swept;

static bool is_even(void *arg, uint32_t slot)
{
	(void)arg;
	return slot % 2 == 0;
}

static bool is_none(void *arg, uint32_t slot)
{
	(void)arg;
	(void)slot;
	return false;
}

static void note_swept(void *arg, uint32_t slot)
{
	(void)arg;
	swept_slot[n_swept++] = slot;
}

static void a_sweep_takes_what_is_wanted_from_lists_and_caches(void **state)
{
	struct wi_seat *other = wi_seats_take(&plain_core.seats);
	bool seen[PLAIN_SLOTS + 1] = {false};

	(void)state;
	n_swept = 0;
	for (uint32_t s = 1; s <= 4; s++)
		wi_core_give(&plain_core, s);
	wi_core_put(&plain_core, other, 5);
	wi_core_put(&plain_core, plain_seat(), 6);
	wi_core_sweep(&plain_core, is_even, note_swept, NULL);
	assert_int_equal(n_swept, 3);
	for (int i = 0; i < 3; i++)
		seen[swept_slot[i]] = true;
	assert_true(seen[2] && seen[4] && seen[6]);
	assert_int_equal(plain_drain(), 3);
}

static void a_sweep_leaves_the_order_of_the_list(void **state)
{
	(void)state;
	n_swept = 0;
	for (uint32_t s = 1; s <= 5; s++)
		wi_core_give(&plain_core, s);
	wi_core_sweep(&plain_core, is_none, note_swept, NULL);
	wi_core_sweep(&plain_core, is_none, note_swept, NULL);
	assert_int_equal(n_swept, 0);
	for (uint32_t s = 5; s >= 1; s--)
		assert_int_equal(plain_take(), s);
	assert_int_equal(plain_take(), WI_SLOT_NONE);
}

static int idle_seen[2];

static bool count_idle(void *arg, uint32_t slot)
{
	uint32_t other = wi_freelist_pop(&plain_core.list[0], &plain_core.table);
	int list = 0;

	(void)arg;
	(void)slot;
	if (!other) {
		other = wi_freelist_pop(&plain_core.list[1], &plain_core.table);
		list = 1;
	}
	if (other)
		wi_freelist_push(&plain_core.list[list], &plain_core.table, other);
	idle_seen[other != 0]++;
	return false;
}

/* A taker that comes in the middle of a sweep still finds all but the one being looked at. */
static void a_sweep_hides_one_slot_at_a_time(void **state)
{
	(void)state;
	memset(idle_seen, 0, sizeof(idle_seen));
	for (uint32_t s = 1; s <= 3; s++)
		wi_core_give(&plain_core, s);
	wi_core_sweep(&plain_core, count_idle, note_swept, NULL);
	assert_int_equal(idle_seen[0], 0);
	assert_true(idle_seen[1] >= 3);
	assert_int_equal(plain_drain(), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, plain_core_end)
	const struct CMUnitTest tests[] = {
		TEST(what_was_never_given_is_not_there),
		TEST(a_thread_gets_its_last_slot_back),
		TEST(what_others_keep_is_found),
		TEST(a_wait_ends_at_its_deadline_with_nothing),
		TEST(only_who_will_sleep_says_that_slots_are_short),
		TEST(who_gives_up_takes_a_last_look),
		TEST(a_shut_core_refuses_waiters_and_gives_what_is_idle),
		TEST(refusing_once_does_not_shut),
		TEST(sums_go_over_all_slots),
		TEST(a_sweep_takes_what_is_wanted_from_lists_and_caches),
		TEST(a_sweep_leaves_the_order_of_the_list),
		TEST(a_sweep_hides_one_slot_at_a_time),
	};

	test_watchdog(90, "unit.core.core");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
