/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiters: in the order they came, granted or cancelled but never both, and no bit left behind. */
#include "core/waitq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define WAITERS 6

/* A world whose clock stands still and that counts what it is asked. */
static int parked, woken;
static int64_t clock_ns;

static void count_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	(void)word;
	(void)expected;
	parked++;
	clock_ns = deadline_ns;
}

static void count_wake(_Atomic uint32_t *word)
{
	(void)word;
	woken++;
}

static int64_t read_clock(void)
{
	return clock_ns;
}

static const struct wi_world still = {.park = count_park, .wake = count_wake, .now = read_clock};

static struct wi_seats seats;
static struct wi_waitq q;
static struct wi_seat *w[WAITERS];

static int set_up_in(const struct wi_world *world)
{
	wi_seats_init(&seats);
	wi_waitq_init(&q, &seats, world);
	for (int i = 0; i < WAITERS; i++)
		w[i] = wi_seats_take(&seats);
	parked = woken = 0;
	clock_ns = 0;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_in(&still);
}

static int set_up_for_threads(void **state)
{
	(void)state;
	return set_up_in(&wi_world_linux);
}

/* Every test leaves an empty queue, by the count and by the bits. */
static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(wi_load_rlx(&q.count), 0);
	assert_false(wi_waitq_has_waiter(&q));
	assert_false(wi_waitq_is_waited(&q));
	wi_seats_fini(&seats);
	return 0;
}

/* Joins the line after all who did before, and long enough ago to be served at once. */
static void announce(struct wi_seat *seat)
{
	static _Atomic int64_t arrivals;

	wi_waitq_announce(&q, seat, q.world->now() - WI_SEC + wi_add_rlx(&arrivals, 1));
}

static void assert_outcome(const struct wi_seat *seat, enum wi_verdict verdict, uint32_t value)
{
	struct wi_outcome o = wi_waitq_outcome(seat);

	assert_int_equal(o.verdict, verdict);
	assert_int_equal(o.value, value);
}

static void nobody_waits_nobody_is_granted(void **state)
{
	(void)state;
	assert_false(wi_waitq_is_waited(&q));
	assert_false(wi_waitq_grant(&q, 1, true));
	wi_waitq_refuse(&q, 1);
	assert_int_equal(woken, 0);
}

static void grants_go_in_the_order_of_arrival(void **state)
{
	static const int order[] = {4, 0, 5, 2};

	(void)state;
	for (int i = 0; i < 4; i++)
		announce(w[order[i]]);
	assert_true(wi_waitq_is_waited(&q));
	assert_true(wi_waitq_has_waiter(&q));
	for (int i = 0; i < 4; i++) {
		assert_true(wi_waitq_grant(&q, 100 + (uint32_t)i, true));
		assert_outcome(w[order[i]], WI_GRANTED, 100 + (uint32_t)i);
		assert_int_equal(woken, i + 1); /* one wake a grant */
		for (int k = i + 1; k < 4; k++)
			assert_outcome(w[order[k]], WI_PENDING, 0);
		assert_int_equal(wi_waitq_pending(&q), 3 - i);
	}
	assert_false(wi_waitq_grant(&q, 9, true));
	for (int i = 0; i < 4; i++)
		wi_waitq_leave(&q, w[order[i]]);
}

static void order_holds_across_segments(void **state)
{
	struct wi_seat *far[70];

	(void)state;
	for (int i = 0; i < 70; i++)
		far[i] = wi_seats_take(&seats);
	announce(far[69]);
	announce(w[0]);
	assert_true(wi_waitq_grant(&q, 1, true));
	assert_outcome(far[69], WI_GRANTED, 1);
	assert_true(wi_waitq_grant(&q, 2, true));
	assert_outcome(w[0], WI_GRANTED, 2);
	wi_waitq_leave(&q, far[69]);
	wi_waitq_leave(&q, w[0]);
}

static void who_cancelled_is_passed_over(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(wi_waitq_cancel(w[0])); /* and has not left yet */
	assert_outcome(w[0], WI_CANCELLED, 0);
	assert_true(wi_waitq_grant(&q, 3, true));
	assert_outcome(w[0], WI_CANCELLED, 0);
	assert_outcome(w[1], WI_GRANTED, 3);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

static void only_cancelled_waiters_leave_the_slot_with_the_giver(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(wi_waitq_cancel(w[0]));
	assert_true(wi_waitq_cancel(w[1]));
	assert_false(wi_waitq_grant(&q, 3, true));
	assert_false(wi_waitq_has_waiter(&q)); /* though their bits are still set */
	assert_true(wi_waitq_is_waited(&q));
	assert_int_equal(woken, 0);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

static void a_grant_that_came_first_stands(void **state)
{
	(void)state;
	announce(w[0]);
	assert_true(wi_waitq_grant(&q, 7, true));
	assert_false(wi_waitq_cancel(w[0]));
	assert_outcome(w[0], WI_GRANTED, 7);
	wi_waitq_leave(&q, w[0]);
}

static void refusing_ends_every_wait_with_the_reason(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		announce(w[i]);
	assert_true(wi_waitq_grant(&q, 1, true));
	wi_waitq_refuse(&q, 42);
	assert_outcome(w[0], WI_GRANTED, 1); /* not taken back */
	assert_outcome(w[1], WI_REFUSED, 42);
	assert_outcome(w[2], WI_REFUSED, 42);
	assert_false(wi_waitq_cancel(w[1]));
	for (int i = 0; i < 3; i++)
		wi_waitq_leave(&q, w[i]);
}

static void a_seat_waits_again_as_the_last(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(wi_waitq_cancel(w[0]));
	wi_waitq_leave(&q, w[0]);
	announce(w[0]);
	assert_outcome(w[0], WI_PENDING, 0);
	assert_true(wi_waitq_grant(&q, 1, true));
	assert_outcome(w[1], WI_GRANTED, 1);
	assert_true(wi_waitq_grant(&q, 2, true));
	assert_outcome(w[0], WI_GRANTED, 2);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

/* ---- barging: nudges, the token, patience ---- */

static void nobody_is_served_before_its_patience_ends(void **state)
{
	(void)state;
	wi_waitq_announce(&q, w[0], clock_ns);
	clock_ns += WI_PATIENCE_NS - 1;
	assert_false(wi_waitq_grant(&q, 4, true));
	clock_ns++;
	assert_true(wi_waitq_grant(&q, 4, true));
	assert_outcome(w[0], WI_GRANTED, 4);
	assert_false(wi_waitq_leave(&q, w[0]));
}

static void the_first_is_nudged_and_only_it(void **state)
{
	(void)state;
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_NOBODY);
	announce(w[3]);
	announce(w[1]);
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_GIVEN);
	assert_int_equal(woken, 1);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(w[3])));
	assert_false(wi_waitq_word_has_token(wi_waitq_word(w[1])));
	assert_outcome(w[3], WI_PENDING, 0);
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_HELD);
	assert_int_equal(woken, 1);
	assert_true(wi_waitq_yield_token(&q, w[3]));
	assert_false(wi_waitq_yield_token(&q, w[3]));
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_GIVEN);
	assert_true(wi_waitq_cancel(w[3]));
	assert_true(wi_waitq_leave(&q, w[3])); /* and says that it had the token */
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_GIVEN);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(w[1])));
	assert_true(wi_waitq_cancel(w[1]));
	assert_true(wi_waitq_leave(&q, w[1]));
}

static void a_grant_leaves_the_token_where_it_is(void **state)
{
	(void)state;
	announce(w[0]);
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_GIVEN);
	assert_true(wi_waitq_grant(&q, 9, true));
	assert_outcome(w[0], WI_GRANTED, 9);
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_HELD);
	assert_true(wi_waitq_leave(&q, w[0]));
	assert_int_equal(wi_waitq_nudge(&q), WI_NUDGE_NOBODY);
}

static void who_says_it_is_overdue_is_served_whatever_the_clock_says(void **state)
{
	(void)state;
	wi_waitq_announce(&q, w[0], clock_ns);
	assert_false(wi_waitq_has_overdue(&q));
	wi_waitq_say_overdue(&q, w[0]);
	assert_true(wi_waitq_has_overdue(&q));
	assert_true(wi_waitq_grant(&q, 2, true));
	assert_false(wi_waitq_has_overdue(&q)); /* though it has not left */
	assert_false(wi_waitq_leave(&q, w[0]));
	assert_int_equal(wi_load_rlx(&q.overdue), 0);
}

static void parking_on_a_word_that_is_decided_does_not_sleep(void **state)
{
	(void)state;
	announce(w[0]);
	wi_waitq_park(&q, w[0], wi_waitq_word(w[0]), clock_ns + 5);
	assert_int_equal(parked, 1);
	assert_true(wi_waitq_grant(&q, 2, true));
	wi_waitq_park(&q, w[0], wi_waitq_word(w[0]), clock_ns + 5);
	assert_int_equal(parked, 1);
	wi_waitq_leave(&q, w[0]);
}

static void the_largest_slot_and_reason_fit(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(wi_waitq_grant(&q, WI_SLOTS_MAX, true));
	wi_waitq_refuse(&q, 1000000);
	assert_outcome(w[0], WI_GRANTED, WI_SLOTS_MAX);
	assert_outcome(w[1], WI_REFUSED, 1000000);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

/* ---- interleavings ---- */

static struct test_stop in_grant;
static _Atomic uint32_t granted;

static void grant_and_stop(struct test_thread *self)
{
	if (self->number != 0) {
		test_stop_await(&in_grant);
		((void (*)(void))self->arg)();
		test_stop_release(&in_grant);
		return;
	}
	test_stop_arm(&in_grant);
	self->count[0] = wi_waitq_grant(&q, 8, true);
	test_stop_arm(NULL);
}

/*
 * Runs meanwhile() while a giver of slot 8 stands at the named point; whether its grant succeeded.
 */
static bool grant_with(const char *point, void (*meanwhile)(void))
{
	struct test_thread reports[2];

	in_grant = (struct test_stop){.point = point, .visit = 1};
	test_threads_run(2, grant_and_stop, (void *)(uintptr_t)meanwhile, -1, reports);
	return reports[0].count[0];
}

static void give_up(void)
{
	wi_store_rlx(&granted, !wi_waitq_cancel(w[0]));
	wi_waitq_leave(&q, w[0]);
}

static void give_up_and_wait_again(void)
{
	give_up();
	announce(w[0]);
}

static void a_waiter_that_gives_up_before_the_decision_gets_nothing(void **state)
{
	(void)state;
	announce(w[0]);
	assert_false(grant_with("waitq.decide.chosen", give_up));
	assert_false(wi_load_rlx(&granted));
	assert_outcome(w[0], WI_CANCELLED, 0);
}

static void a_giver_that_chose_one_who_left_gives_to_the_next(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(grant_with("waitq.decide.chosen", give_up));
	assert_outcome(w[0], WI_CANCELLED, 0);
	assert_outcome(w[1], WI_GRANTED, 8);
	wi_waitq_leave(&q, w[1]);
}

/*
 * The stopped giver's slot goes to the seat's later wait: harmless, and no bit or count is left
 * over.
 */
static void a_late_decision_serves_the_next_wait_of_the_same_seat(void **state)
{
	(void)state;
	announce(w[0]);
	assert_true(grant_with("waitq.decide.chosen", give_up_and_wait_again));
	assert_outcome(w[0], WI_GRANTED, 8);
	assert_false(wi_waitq_grant(&q, 9, true)); /* it waits for nothing any more */
	wi_waitq_leave(&q, w[0]);
}

static void join_the_line(void)
{
	announce(w[1]);
}

static void who_comes_while_a_giver_chooses_waits_on(void **state)
{
	(void)state;
	announce(w[0]);
	assert_true(grant_with("waitq.decide.chosen", join_the_line));
	assert_outcome(w[0], WI_GRANTED, 8);
	assert_outcome(w[1], WI_PENDING, 0);
	assert_true(wi_waitq_grant(&q, 9, true));
	assert_outcome(w[1], WI_GRANTED, 9);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

static void serve_the_first(void)
{
	wi_store_rlx(&granted, wi_waitq_grant(&q, 9, true));
}

static void two_givers_serve_two(void **state)
{
	(void)state;
	announce(w[0]);
	announce(w[1]);
	assert_true(grant_with("waitq.decide.chosen", serve_the_first));
	assert_true(wi_load_rlx(&granted));
	/* the first giver was overtaken, and went to the next */
	assert_outcome(w[0], WI_GRANTED, 9);
	assert_outcome(w[1], WI_GRANTED, 8);
	wi_waitq_leave(&q, w[0]);
	wi_waitq_leave(&q, w[1]);
}

static void a_stopped_giver_holds_up_nobody(void **state)
{
	(void)state;
	announce(w[0]);
	grant_with("waitq.decide.chosen", serve_the_first);
	assert_true(wi_load_rlx(&granted)); /* with the slot of the giver that was not stopped */
	assert_outcome(w[0], WI_GRANTED, 9);
	wi_waitq_leave(&q, w[0]);
}

/* ---- chance ---- */

#define SLOTS 2
static _Atomic uint32_t owner[SLOTS + 1];
static _Atomic uint32_t pile[SLOTS]; /* slots that no waiter took; 0: none */

static _Atomic bool is_held; /* somebody has held one: the least that is to happen */

static uint32_t from_pile(void)
{
	for (int i = 0; i < SLOTS; i++) {
		uint32_t slot = wi_swap_acq_rel(&pile[i], 0);

		if (slot)
			return slot;
	}
	return 0;
}

static void to_pile(uint32_t slot)
{
	for (;;) {
		for (int i = 0; i < SLOTS; i++) {
			uint32_t none = 0;

			if (wi_cas_acq_rel(&pile[i], &none, slot))
				return;
		}
	}
}

static void hold(struct test_thread *self, uint32_t slot)
{
	if (wi_swap_acq_rel(&owner[slot], 1) != 0)
		test_wrong(self, "slot %u granted to two", slot);
	self->count[0]++;
	wi_store_rlx(&is_held, true);
	if (wi_swap_acq_rel(&owner[slot], 0) != 1)
		test_wrong(self, "slot %u let go by two", slot);
}

static struct wi_outcome sleep_until(struct wi_seat *mine, int64_t deadline_ns)
{
	for (;;) {
		struct wi_outcome o = wi_waitq_outcome(mine);

		if (o.verdict != WI_PENDING || wi_now_ns() >= deadline_ns)
			return o;
		wi_waitq_park(&q, mine, wi_waitq_word(mine), deadline_ns);
	}
}

static void wait_and_give(struct test_thread *self)
{
	struct wi_seat *mine = w[self->number];

	while (!wi_load_rlx(self->stop) || !wi_load_rlx(&is_held)) {
		int64_t patience = wi_rng_below(&self->rng, 100) * 1000;
		uint32_t slot = from_pile();
		struct wi_outcome o = {WI_GRANTED, slot};

		if (!slot) {
			announce(mine);
			o = sleep_until(mine, wi_now_ns() + patience);
			if (o.verdict == WI_PENDING && !wi_waitq_cancel(mine))
				o = wi_waitq_outcome(mine);
			wi_waitq_leave(&q, mine);
		}
		if (o.verdict != WI_GRANTED)
			continue;
		hold(self, o.value);
		if (!wi_waitq_grant(&q, o.value, true))
			to_pile(o.value);
	}
}

static void slots_are_neither_doubled_nor_lost_between_givers_and_quitters(void **state)
{
	struct test_thread reports[WAITERS];
	bool seen[SLOTS + 1] = {false};
	uint32_t slot;
	int n = 0;

	(void)state;
	for (uint32_t i = 0; i < SLOTS; i++)
		wi_store_rlx(&pile[i], i + 1);
	test_yields(16);
	test_threads_run(WAITERS, wait_and_give, NULL, test_seconds(0.5), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, WAITERS));
	assert_true(test_sum(reports, WAITERS, 0) > 0);
	for (; (slot = from_pile()); n++) {
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	assert_int_equal(n, SLOTS);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALONE(nobody_waits_nobody_is_granted),
		ALONE(grants_go_in_the_order_of_arrival),
		ALONE(order_holds_across_segments),
		ALONE(who_cancelled_is_passed_over),
		ALONE(only_cancelled_waiters_leave_the_slot_with_the_giver),
		ALONE(a_grant_that_came_first_stands),
		ALONE(refusing_ends_every_wait_with_the_reason),
		ALONE(a_seat_waits_again_as_the_last),
		ALONE(nobody_is_served_before_its_patience_ends),
		ALONE(the_first_is_nudged_and_only_it),
		ALONE(a_grant_leaves_the_token_where_it_is),
		ALONE(who_says_it_is_overdue_is_served_whatever_the_clock_says),
		ALONE(parking_on_a_word_that_is_decided_does_not_sleep),
		ALONE(the_largest_slot_and_reason_fit),
		ALONE(a_waiter_that_gives_up_before_the_decision_gets_nothing),
		ALONE(a_giver_that_chose_one_who_left_gives_to_the_next),
		ALONE(a_late_decision_serves_the_next_wait_of_the_same_seat),
		ALONE(who_comes_while_a_giver_chooses_waits_on),
		ALONE(two_givers_serve_two),
		ALONE(a_stopped_giver_holds_up_nobody),
		cmocka_unit_test_setup_teardown(
			slots_are_neither_doubled_nor_lost_between_givers_and_quitters,
			set_up_for_threads, tear_down),
	};

	test_watchdog(60, "unit.core.waitq");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
