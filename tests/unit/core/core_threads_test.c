/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Free list, caches and waiters between threads: nothing is lost or doubled, and nobody is
 * forgotten. The interleavings that matter are replayed by scripted stops; the rest is left to
 * chance.
 */
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "core/cache.h"
#include "support/plain_core.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct test_stop at;
static struct wi_seat *late; /* of a waiter that has announced itself and looked already */

static int set_up(void **state)
{
	(void)state;
	late = NULL;
	return plain_core_begin(&wi_world_linux);
}

/* ---- two threads, by script ---- */

static struct script {
	void (*first)(struct test_thread *);     /* stopped at a point */
	void (*meanwhile)(struct test_thread *); /* what the second does then */
} script;

static void play(struct test_thread *self)
{
	if (self->number == 0) {
		(void)plain_seat();
		test_stop_arm(&at);
		script.first(self);
		test_stop_arm(NULL);
		/* Before this thread ends, which would give back what it kept. */
		self->count[2] = late ? wi_waitq_outcome(late).verdict : 0;
		return;
	}
	test_stop_await(&at);
	script.meanwhile(self);
	test_stop_release(&at);
}

static struct test_thread both[2];

static void run_script(const char *point, void (*first)(struct test_thread *),
                       void (*meanwhile)(struct test_thread *))
{
	at = (struct test_stop){.point = point, .visit = 1};
	script = (struct script){.first = first, .meanwhile = meanwhile};
	test_threads_run(2, play, NULL, -1, both);
	assert_null(test_first_wrong(both, 2));
}

/* Waits for a minute at most: a lost wakeup fails the test rather than hang it. */
static void wait_for_one(struct test_thread *self)
{
	struct wi_outcome o = wi_core_wait(&plain_core, plain_seat(), wi_now_ns() + 20 * WI_SEC);

	self->count[0] = o.verdict == WI_GRANTED ? o.value : 0;
	if (o.verdict == WI_PENDING)
		test_wrong(self, "waited in vain");
}

static void wait_not_at_all(struct test_thread *self)
{
	struct wi_outcome o = wi_core_wait(&plain_core, plain_seat(), 1);

	self->count[0] = o.verdict == WI_GRANTED ? o.value : 0;
	self->count[1] = o.verdict;
}

static void give_1(struct test_thread *self)
{
	(void)self;
	wi_core_give(&plain_core, 1);
}

static void put_1(struct test_thread *self)
{
	(void)self;
	wi_core_put(&plain_core, plain_seat(), 1);
}

static void a_giver_sees_who_has_announced_but_not_looked(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, give_1);
	assert_int_equal(both[0].count[0], 1);
	assert_int_equal(plain_drain(), 0);
}

static void push_behind_the_waiters_back(struct test_thread *self)
{
	(void)self;
	wi_freelist_push(&plain_core.list[0], &plain_core.table, 3);
}

/* A giver pushed before it could see the waiter: the waiter's third phase finds it. */
static void a_waiter_looks_again_after_it_announced(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, push_behind_the_waiters_back);
	assert_int_equal(both[0].count[0], 3);
	assert_int_equal(plain_drain(), 0);
}

static void put_in_a_third_seat(struct test_thread *self)
{
	(void)self;
	wi_cache_put_shared(wi_seats_take(&plain_core.seats), 3);
}

static void a_waiter_looks_into_the_caches_after_it_announced(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, put_in_a_third_seat);
	assert_int_equal(both[0].count[0], 3);
	assert_int_equal(plain_drain(), 0);
}

/* Everybody waits since the beginning of time. */
static void lose_patience(void)
{
	for (int i = 0; i < WI_SEATS_A_SEGMENT; i++)
		wi_store_rlx(&wi_segment_at(&plain_core.seats, 0)->since[i], 0);
}

static void grant_1_and_push_2(struct test_thread *self)
{
	lose_patience();
	give_1(self); /* granted: the waiter has announced itself */
	wi_freelist_push(&plain_core.list[0], &plain_core.table, 2);
}

/* Granted one and found another: one is kept, the other goes on. */
static void who_was_granted_and_found_keeps_one(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, grant_1_and_push_2);
	assert_int_equal(both[0].count[0], 1);
	assert_int_equal(plain_drain(), 1);
}

static void refuse_and_push(struct test_thread *self)
{
	(void)self;
	wi_core_refuse(&plain_core, 5);
	wi_freelist_push(&plain_core.list[0], &plain_core.table, 2);
}

static void who_was_refused_and_found_keeps_what_it_found(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, refuse_and_push);
	assert_int_equal(both[0].count[0], 2);
}

/* The giver found nobody and pushed; before its second look a waiter comes and helps itself. */
static void a_waiter_takes_what_a_giver_has_just_pushed(void **state)
{
	(void)state;
	run_script("core.give.pushed", give_1, wait_not_at_all);
	assert_int_equal(both[1].count[0], 1);
	assert_int_equal(plain_drain(), 0);
}

/*
 * A waiter that looked before the push and announced before it: only the giver's second look can
 * find it.
 */
static void announce_without_looking(struct test_thread *self)
{
	(void)self;
	late = wi_seats_take(&plain_core.seats);
	wi_waitq_announce(&plain_core.waitq, late, plain_core.world->now() - WI_SEC);
	wi_bias_revoke(&plain_core.bias);
}

static void leave_the_line(void)
{
	wi_waitq_leave(&plain_core.waitq, late);
	wi_bias_release(&plain_core.bias);
}

static void a_giver_looks_again_after_it_pushed(void **state)
{
	(void)state;
	run_script("core.give.pushed", give_1, announce_without_looking);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(late))); /* it will look */
	assert_true(wi_waitq_cancel(late));
	leave_the_line();
	assert_int_equal(plain_drain(), 1);
}

/* Where there is no membarrier, nobody comes by the window of a biased put. */
static const char *after_a_put(void)
{
	return wi_bias_is_whole(&plain_core.bias) ? "cache.put.cached" : "core.put.cached";
}

/* The bias is gone: the slot is taken back, and handed over to one who has waited so long. */
static void a_putter_looks_again_after_it_cached(void **state)
{
	(void)state;
	if (!wi_bias_is_whole(&plain_core.bias))
		/* without membarrier there is no biased put; the next test is all there is */
		skip();
	run_script(after_a_put(), put_1, announce_without_looking);
	assert_int_equal(both[0].count[2], WI_GRANTED);
	assert_int_equal(wi_waitq_outcome(late).value, 1);
	leave_the_line();
	assert_int_equal(plain_drain(), 0);
}

/* The waiter is nudged, and will look into the caches. */
static void a_putter_nudges_after_it_cached_where_all_exchange(void **state)
{
	(void)state;
	wi_bias_revoke(&plain_core.bias);
	run_script("core.put.cached", put_1, announce_without_looking);
	wi_bias_release(&plain_core.bias);
	assert_int_equal(both[0].count[2], WI_PENDING);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(late)));
	/* It did not look; but the putter ended, and threads that end hand over what they keep. */
	assert_int_equal(wi_waitq_outcome(late).value, 1);
	leave_the_line();
	assert_int_equal(plain_drain(), 0);
}

static void a_waiter_steals_what_a_putter_has_just_cached(void **state)
{
	(void)state;
	run_script(after_a_put(), put_1, wait_not_at_all);
	assert_int_equal(both[1].count[0], 1);
	wi_bias_revoke(&plain_core.bias);
	run_script("core.put.cached", put_1, wait_not_at_all);
	wi_bias_release(&plain_core.bias);
	assert_int_equal(both[1].count[0], 1);
	assert_int_equal(plain_drain(), 0);
}

/* It has not left: givers still see its bit. */
static void give_up_for_late_and_wait(struct test_thread *self)
{
	if (!wi_waitq_cancel(late))
		test_wrong(self, "granted before the giver decided");
	wait_not_at_all(self);
}

/*
 * The giver chose the waiter, which gives up: the slot stays with the giver, and is idle in the
 * end.
 */
static void a_grant_to_one_who_gave_up_is_not_lost(void **state)
{
	struct wi_seat *seat = wi_seats_take(&plain_core.seats);

	(void)state;
	late = seat;
	wi_waitq_announce(&plain_core.waitq, seat, plain_core.world->now() - WI_SEC);
	at = (struct test_stop){.point = "waitq.decide.chosen", .visit = 1};
	script.first = give_1;
	script.meanwhile = give_up_for_late_and_wait;
	test_threads_run(2, play, NULL, -1, both);
	/* the second found nothing: the giver had it */
	assert_int_equal(both[1].count[1], WI_PENDING);
	wi_waitq_leave(&plain_core.waitq, seat);
	assert_int_equal(plain_drain(), 1);
}

static void shut_core(struct test_thread *self)
{
	(void)self;
	wi_core_shut(&plain_core, 4);
}

static void who_announces_while_the_core_is_shut_is_refused(void **state)
{
	(void)state;
	run_script("waitq.announce.counted", wait_not_at_all, shut_core);
	assert_int_equal(both[0].count[1], WI_REFUSED);
	run_script("core.wait.announced", wait_not_at_all, shut_core);
	assert_int_equal(both[0].count[1], WI_REFUSED);
}

/* ---- chance ---- */

static _Atomic int owner[PLAIN_SLOTS + 1];

static bool one_in_four(void *arg, uint32_t slot)
{
	return wi_rng_below(arg, 4) == 0 && slot;
}

static void give_straight_back(void *arg, uint32_t slot)
{
	(void)arg;
	wi_core_give(&plain_core, slot);
}

static void user(struct test_thread *self)
{
	struct wi_seat *seat = plain_seat();
	uint32_t slot = wi_core_take(&plain_core, seat);

	if (!slot) {
		int64_t patience = wi_rng_below(&self->rng, 4)
		                           ? wi_rng_below(&self->rng, 200) * 1000
		                           : 20 * WI_SEC;
		struct wi_outcome o = wi_core_wait(&plain_core, seat, wi_now_ns() + patience);

		if (o.verdict == WI_PENDING) {
			if (patience > WI_SEC)
				test_wrong(self, "a wakeup was lost");
			return;
		}
		slot = o.value;
	}
	if (wi_swap_acq_rel(&owner[slot], self->number + 1) != 0)
		test_wrong(self, "slot %u is in two hands", slot);
	plain_count_lending(slot);
	self->count[0]++;
	plain_count_lending(slot);
	if (wi_swap_acq_rel(&owner[slot], 0) != self->number + 1)
		test_wrong(self, "slot %u was let go by another", slot);
	if (wi_rng_below(&self->rng, 4))
		wi_core_put(&plain_core, seat, slot);
	else
		wi_core_give(&plain_core, slot);
}

static void users_and_a_sweeper(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		if (self->number == 0)
			wi_core_sweep(&plain_core, one_in_four, give_straight_back, &self->rng);
		else
			user(self);
	}
}

static void nothing_is_lost_or_doubled_and_nobody_forgotten(void **state)
{
	enum { THREADS = 7 };
	struct test_thread reports[THREADS];
	uint64_t lent, returned;

	(void)state;
	memset(owner, 0, sizeof(owner));
	for (uint32_t s = 1; s <= 3; s++)
		wi_core_give(&plain_core, s);
	test_yields(16);
	test_threads_run(THREADS, users_and_a_sweeper, NULL, test_seconds(1), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, THREADS));
	wi_core_sums(&plain_core, &lent, &returned);
	assert_int_equal(lent, test_sum(reports, THREADS, 0));
	assert_int_equal(returned, lent);
	assert_int_equal(plain_drain(), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, plain_core_end)
	const struct CMUnitTest tests[] = {
		TEST(a_giver_sees_who_has_announced_but_not_looked),
		TEST(a_waiter_looks_again_after_it_announced),
		TEST(a_waiter_looks_into_the_caches_after_it_announced),
		TEST(who_was_granted_and_found_keeps_one),
		TEST(who_was_refused_and_found_keeps_what_it_found),
		TEST(a_waiter_takes_what_a_giver_has_just_pushed),
		TEST(a_giver_looks_again_after_it_pushed),
		TEST(a_putter_looks_again_after_it_cached),
		TEST(a_putter_nudges_after_it_cached_where_all_exchange),
		TEST(a_waiter_steals_what_a_putter_has_just_cached),
		TEST(a_grant_to_one_who_gave_up_is_not_lost),
		TEST(who_announces_while_the_core_is_shut_is_refused),
		TEST(nothing_is_lost_or_doubled_and_nobody_forgotten),
	};

	test_watchdog(90, "unit.core.core_threads");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
