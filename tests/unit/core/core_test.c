/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Free list, caches and waiters together: a slot is in exactly one place, nobody waits while one is
 * idle, first come first served. The interleavings that matter are replayed by scripted stops; the
 * rest is left to chance.
 */
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "core/cache.h"
#include "core/desk.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 6

static struct wi_core core;
static struct wi_slot slots[SLOTS + 1];
static _Atomic int64_t clock_ns;
static _Atomic int wakes, shorts;
/* a slot that is put on the list, past all waiters, while somebody sleeps */
static uint32_t appears;

static struct test_stop at;
static struct wi_seat *late; /* of a waiter that has announced itself and looked already */

/* Sleeping takes as long as it may, in no time. */
static void sleep_through(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	(void)word;
	(void)expected;
	if (appears)
		wi_freelist_push(&core.list[0], &core.table, appears);
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

static int set_up_in(const struct wi_world *world)
{
	struct wi_table table = {(char *)slots, sizeof(struct wi_slot), SLOTS};

	memset(&core, 0, sizeof(core));
	memset(slots, 0, sizeof(slots));
	wi_store_rlx(&clock_ns, 1000);
	wi_store_rlx(&wakes, 0);
	wi_store_rlx(&shorts, 0);
	appears = 0;
	late = NULL;
	return wi_core_init(&core, table, world) ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_in(&quick);
}

static int set_up_for_threads(void **state)
{
	(void)state;
	return set_up_in(&wi_world_linux);
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(wi_core_waiting(&core), 0);
	assert_false(wi_waitq_is_waited(&core.waitq));
	wi_core_fini(&core);
	return 0;
}

static struct wi_seat *my_seat(void)
{
	return wi_desk_seat(&core);
}

static uint32_t take(void)
{
	return wi_core_take(&core, my_seat());
}

/* How many slots are idle; all of them are taken out. */
static int drain(void)
{
	bool seen[SLOTS + 1] = {false};
	uint32_t slot;
	int n = 0;

	for (; (slot = take()); n++) {
		assert_true(slot <= SLOTS);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	return n;
}

/* ---- one thread ---- */

static void what_was_never_given_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(take(), WI_SLOT_NONE);
}

static void a_thread_gets_its_last_slot_back(void **state)
{
	(void)state;
	wi_core_give(&core, 1);
	wi_core_give(&core, 2);
	wi_core_give(&core, 3);
	assert_int_equal(take(), 3);
	assert_int_equal(take(), 2);
	wi_core_put(&core, my_seat(), 3);
	assert_int_equal(take(), 3);
	wi_core_put(&core, my_seat(), 3);
	wi_core_put(&core, my_seat(), 2); /* the cache is full: to the list */
	assert_int_equal(take(), 3);
	assert_int_equal(take(), 2);
	assert_int_equal(take(), 1);
	assert_int_equal(take(), WI_SLOT_NONE);
}

static void what_others_keep_is_found(void **state)
{
	struct wi_seat *other = wi_seats_take(&core.seats), *far = NULL;

	(void)state;
	wi_core_put(&core, other, 4);
	assert_int_equal(take(), 4);
	for (int i = 0; i < 100; i++)
		far = wi_seats_take(&core.seats); /* in another segment */
	wi_core_put(&core, far, 5);
	assert_int_equal(take(), 5);
	assert_int_equal(take(), WI_SLOT_NONE);
}

static void a_wait_ends_at_its_deadline_with_nothing(void **state)
{
	struct wi_outcome o = wi_core_wait(&core, my_seat(), 5000);

	(void)state;
	assert_int_equal(o.verdict, WI_PENDING);
	assert_int_equal(wi_load_rlx(&clock_ns), 5000);
	wi_core_give(&core, 1); /* the one who gave up is not granted anything */
	assert_int_equal(wi_load_rlx(&wakes), 0);
	assert_int_equal(take(), 1);
}

static void count_short(void *arg)
{
	(void)arg;
	wi_add_rlx(&shorts, 1);
}

static void only_who_will_sleep_says_that_slots_are_short(void **state)
{
	(void)state;
	core.on_short = count_short;
	wi_core_give(&core, 1);
	assert_int_equal(wi_core_wait(&core, my_seat(), 5000).verdict, WI_GRANTED);
	assert_int_equal(wi_load_rlx(&shorts), 0);
	assert_int_equal(wi_core_wait(&core, my_seat(), 5000).verdict, WI_PENDING);
	assert_int_equal(wi_load_rlx(&shorts), 1);
}

static void who_gives_up_takes_a_last_look(void **state)
{
	struct wi_outcome o;

	(void)state;
	appears = 2;
	o = wi_core_wait(&core, my_seat(), 5000);
	assert_int_equal(o.verdict, WI_GRANTED);
	assert_int_equal(o.value, 2);
}

static void a_shut_core_refuses_waiters_and_gives_what_is_idle(void **state)
{
	struct wi_outcome o;

	(void)state;
	wi_core_give(&core, 1);
	wi_core_shut(&core, 9);
	o = wi_core_wait(&core, my_seat(), 5000);
	assert_int_equal(o.verdict, WI_GRANTED);
	o = wi_core_wait(&core, my_seat(), 5000);
	assert_int_equal(o.verdict, WI_REFUSED);
	assert_int_equal(o.value, 9);
	assert_int_equal(wi_load_rlx(&clock_ns), 1000); /* without sleeping */
}

static void refusing_once_does_not_shut(void **state)
{
	(void)state;
	wi_core_refuse(&core, 3);
	assert_int_equal(wi_core_wait(&core, my_seat(), 5000).verdict, WI_PENDING);
}

/* As the pool above counts: odd while lent. The holder's alone, so no locked instruction. */
static void count_lending(uint32_t slot)
{
	_Atomic uint64_t *lend = &slots[slot].lend;

	wi_store_rlx(lend, wi_load_rlx(lend) + 1);
}

static void sums_go_over_all_slots(void **state)
{
	static const uint32_t times[] = {3, 1, 0, 2};
	uint64_t lent, returned;

	(void)state;
	for (uint32_t i = 0; i < WI_ARRAY_LEN(times); i++)
		for (uint32_t n = 0; n < times[i]; n++)
			count_lending(i + 1);
	wi_core_sums(&core, &lent, &returned);
	assert_int_equal(lent, 4); /* two by the first, one of which is out, and so on */
	assert_int_equal(returned, 2);
}

/* ---- sweeping ---- */

static uint32_t swept_slot[SLOTS];
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
	struct wi_seat *other = wi_seats_take(&core.seats);
	bool seen[SLOTS + 1] = {false};

	(void)state;
	n_swept = 0;
	for (uint32_t s = 1; s <= 4; s++)
		wi_core_give(&core, s);
	wi_core_put(&core, other, 5);
	wi_core_put(&core, my_seat(), 6);
	wi_core_sweep(&core, is_even, note_swept, NULL);
	assert_int_equal(n_swept, 3);
	for (int i = 0; i < 3; i++)
		seen[swept_slot[i]] = true;
	assert_true(seen[2] && seen[4] && seen[6]);
	assert_int_equal(drain(), 3);
}

static void a_sweep_leaves_the_order_of_the_list(void **state)
{
	(void)state;
	n_swept = 0;
	for (uint32_t s = 1; s <= 5; s++)
		wi_core_give(&core, s);
	wi_core_sweep(&core, is_none, note_swept, NULL);
	wi_core_sweep(&core, is_none, note_swept, NULL);
	assert_int_equal(n_swept, 0);
	for (uint32_t s = 5; s >= 1; s--)
		assert_int_equal(take(), s);
	assert_int_equal(take(), WI_SLOT_NONE);
}

static int idle_seen[2];

static bool count_idle(void *arg, uint32_t slot)
{
	uint32_t other = wi_freelist_pop(&core.list[0], &core.table);
	int list = 0;

	(void)arg;
	(void)slot;
	if (!other) {
		other = wi_freelist_pop(&core.list[1], &core.table);
		list = 1;
	}
	if (other)
		wi_freelist_push(&core.list[list], &core.table, other);
	idle_seen[other != 0]++;
	return false;
}

/* A taker that comes in the middle of a sweep still finds all but the one being looked at. */
static void a_sweep_hides_one_slot_at_a_time(void **state)
{
	(void)state;
	memset(idle_seen, 0, sizeof(idle_seen));
	for (uint32_t s = 1; s <= 3; s++)
		wi_core_give(&core, s);
	wi_core_sweep(&core, count_idle, note_swept, NULL);
	assert_int_equal(idle_seen[0], 0);
	assert_true(idle_seen[1] >= 3);
	assert_int_equal(drain(), 3);
}

/* ---- two threads, by script ---- */

static struct script {
	void (*first)(struct test_thread *);     /* stopped at a point */
	void (*meanwhile)(struct test_thread *); /* what the second does then */
} script;

static void play(struct test_thread *self)
{
	if (self->number == 0) {
		(void)my_seat();
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
	struct wi_outcome o = wi_core_wait(&core, my_seat(), wi_now_ns() + 20 * WI_SEC);

	self->count[0] = o.verdict == WI_GRANTED ? o.value : 0;
	if (o.verdict == WI_PENDING)
		test_wrong(self, "waited in vain");
}

static void wait_not_at_all(struct test_thread *self)
{
	struct wi_outcome o = wi_core_wait(&core, my_seat(), 1);

	self->count[0] = o.verdict == WI_GRANTED ? o.value : 0;
	self->count[1] = o.verdict;
}

static void give_1(struct test_thread *self)
{
	(void)self;
	wi_core_give(&core, 1);
}

static void put_1(struct test_thread *self)
{
	(void)self;
	wi_core_put(&core, my_seat(), 1);
}

static void a_giver_sees_who_has_announced_but_not_looked(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, give_1);
	assert_int_equal(both[0].count[0], 1);
	assert_int_equal(drain(), 0);
}

static void push_behind_the_waiters_back(struct test_thread *self)
{
	(void)self;
	wi_freelist_push(&core.list[0], &core.table, 3);
}

/* A giver pushed before it could see the waiter: the waiter's third phase finds it. */
static void a_waiter_looks_again_after_it_announced(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, push_behind_the_waiters_back);
	assert_int_equal(both[0].count[0], 3);
	assert_int_equal(drain(), 0);
}

static void put_in_a_third_seat(struct test_thread *self)
{
	(void)self;
	wi_cache_put_shared(wi_seats_take(&core.seats), 3);
}

static void a_waiter_looks_into_the_caches_after_it_announced(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, put_in_a_third_seat);
	assert_int_equal(both[0].count[0], 3);
	assert_int_equal(drain(), 0);
}

/* Everybody waits since the beginning of time. */
static void lose_patience(void)
{
	for (int i = 0; i < WI_SEATS_A_SEGMENT; i++)
		wi_store_rlx(&wi_segment_at(&core.seats, 0)->since[i], 0);
}

static void grant_1_and_push_2(struct test_thread *self)
{
	lose_patience();
	give_1(self); /* granted: the waiter has announced itself */
	wi_freelist_push(&core.list[0], &core.table, 2);
}

/* Granted one and found another: one is kept, the other goes on. */
static void who_was_granted_and_found_keeps_one(void **state)
{
	(void)state;
	run_script("core.wait.announced", wait_for_one, grant_1_and_push_2);
	assert_int_equal(both[0].count[0], 1);
	assert_int_equal(drain(), 1);
}

static void refuse_and_push(struct test_thread *self)
{
	(void)self;
	wi_core_refuse(&core, 5);
	wi_freelist_push(&core.list[0], &core.table, 2);
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
	assert_int_equal(drain(), 0);
}

/*
 * A waiter that looked before the push and announced before it: only the giver's second look can
 * find it.
 */
static void announce_without_looking(struct test_thread *self)
{
	(void)self;
	late = wi_seats_take(&core.seats);
	wi_waitq_announce(&core.waitq, late, core.world->now() - WI_SEC);
	wi_bias_revoke(&core.bias);
}

static void leave_the_line(void)
{
	wi_waitq_leave(&core.waitq, late);
	wi_bias_release(&core.bias);
}

static void a_giver_looks_again_after_it_pushed(void **state)
{
	(void)state;
	run_script("core.give.pushed", give_1, announce_without_looking);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(late))); /* it will look */
	assert_true(wi_waitq_cancel(late));
	leave_the_line();
	assert_int_equal(drain(), 1);
}

/* Where there is no membarrier, nobody comes by the window of a biased put. */
static const char *after_a_put(void)
{
	return wi_bias_is_whole(&core.bias) ? "cache.put.cached" : "core.put.cached";
}

/* The bias is gone: the slot is taken back, and handed over to one who has waited so long. */
static void a_putter_looks_again_after_it_cached(void **state)
{
	(void)state;
	if (!wi_bias_is_whole(&core.bias))
		/* without membarrier there is no biased put; the next test is all there is */
		skip();
	run_script(after_a_put(), put_1, announce_without_looking);
	assert_int_equal(both[0].count[2], WI_GRANTED);
	assert_int_equal(wi_waitq_outcome(late).value, 1);
	leave_the_line();
	assert_int_equal(drain(), 0);
}

/* The waiter is nudged, and will look into the caches. */
static void a_putter_nudges_after_it_cached_where_all_exchange(void **state)
{
	(void)state;
	wi_bias_revoke(&core.bias);
	run_script("core.put.cached", put_1, announce_without_looking);
	wi_bias_release(&core.bias);
	assert_int_equal(both[0].count[2], WI_PENDING);
	assert_true(wi_waitq_word_has_token(wi_waitq_word(late)));
	/* It did not look; but the putter ended, and threads that end hand over what they keep. */
	assert_int_equal(wi_waitq_outcome(late).value, 1);
	leave_the_line();
	assert_int_equal(drain(), 0);
}

static void a_waiter_steals_what_a_putter_has_just_cached(void **state)
{
	(void)state;
	run_script(after_a_put(), put_1, wait_not_at_all);
	assert_int_equal(both[1].count[0], 1);
	wi_bias_revoke(&core.bias);
	run_script("core.put.cached", put_1, wait_not_at_all);
	wi_bias_release(&core.bias);
	assert_int_equal(both[1].count[0], 1);
	assert_int_equal(drain(), 0);
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
	struct wi_seat *seat = wi_seats_take(&core.seats);

	(void)state;
	late = seat;
	wi_waitq_announce(&core.waitq, seat, core.world->now() - WI_SEC);
	at = (struct test_stop){.point = "waitq.decide.chosen", .visit = 1};
	script.first = give_1;
	script.meanwhile = give_up_for_late_and_wait;
	test_threads_run(2, play, NULL, -1, both);
	/* the second found nothing: the giver had it */
	assert_int_equal(both[1].count[1], WI_PENDING);
	wi_waitq_leave(&core.waitq, seat);
	assert_int_equal(drain(), 1);
}

static void shut_core(struct test_thread *self)
{
	(void)self;
	wi_core_shut(&core, 4);
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

static _Atomic int owner[SLOTS + 1];

static bool one_in_four(void *arg, uint32_t slot)
{
	return wi_rng_below(arg, 4) == 0 && slot;
}

static void give_straight_back(void *arg, uint32_t slot)
{
	(void)arg;
	wi_core_give(&core, slot);
}

static void user(struct test_thread *self)
{
	struct wi_seat *seat = my_seat();
	uint32_t slot = wi_core_take(&core, seat);

	if (!slot) {
		int64_t patience = wi_rng_below(&self->rng, 4)
		                           ? wi_rng_below(&self->rng, 200) * 1000
		                           : 20 * WI_SEC;
		struct wi_outcome o = wi_core_wait(&core, seat, wi_now_ns() + patience);

		if (o.verdict == WI_PENDING) {
			if (patience > WI_SEC)
				test_wrong(self, "a wakeup was lost");
			return;
		}
		slot = o.value;
	}
	if (wi_swap_acq_rel(&owner[slot], self->number + 1) != 0)
		test_wrong(self, "slot %u is in two hands", slot);
	count_lending(slot);
	self->count[0]++;
	count_lending(slot);
	if (wi_swap_acq_rel(&owner[slot], 0) != self->number + 1)
		test_wrong(self, "slot %u was let go by another", slot);
	if (wi_rng_below(&self->rng, 4))
		wi_core_put(&core, seat, slot);
	else
		wi_core_give(&core, slot);
}

static void users_and_a_sweeper(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		if (self->number == 0)
			wi_core_sweep(&core, one_in_four, give_straight_back, &self->rng);
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
		wi_core_give(&core, s);
	test_yields(16);
	test_threads_run(THREADS, users_and_a_sweeper, NULL, test_seconds(1), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, THREADS));
	wi_core_sums(&core, &lent, &returned);
	assert_int_equal(lent, test_sum(reports, THREADS, 0));
	assert_int_equal(returned, lent);
	assert_int_equal(drain(), 3);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define THREADED(test) cmocka_unit_test_setup_teardown(test, set_up_for_threads, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALONE(what_was_never_given_is_not_there),
		ALONE(a_thread_gets_its_last_slot_back),
		ALONE(what_others_keep_is_found),
		ALONE(a_wait_ends_at_its_deadline_with_nothing),
		ALONE(only_who_will_sleep_says_that_slots_are_short),
		ALONE(who_gives_up_takes_a_last_look),
		ALONE(a_shut_core_refuses_waiters_and_gives_what_is_idle),
		ALONE(refusing_once_does_not_shut),
		ALONE(sums_go_over_all_slots),
		ALONE(a_sweep_takes_what_is_wanted_from_lists_and_caches),
		ALONE(a_sweep_leaves_the_order_of_the_list),
		ALONE(a_sweep_hides_one_slot_at_a_time),
		THREADED(a_giver_sees_who_has_announced_but_not_looked),
		THREADED(a_waiter_looks_again_after_it_announced),
		THREADED(a_waiter_looks_into_the_caches_after_it_announced),
		THREADED(who_was_granted_and_found_keeps_one),
		THREADED(who_was_refused_and_found_keeps_what_it_found),
		THREADED(a_waiter_takes_what_a_giver_has_just_pushed),
		THREADED(a_giver_looks_again_after_it_pushed),
		THREADED(a_putter_looks_again_after_it_cached),
		THREADED(a_putter_nudges_after_it_cached_where_all_exchange),
		THREADED(a_waiter_steals_what_a_putter_has_just_cached),
		THREADED(a_grant_to_one_who_gave_up_is_not_lost),
		THREADED(who_announces_while_the_core_is_shut_is_refused),
		THREADED(nothing_is_lost_or_doubled_and_nobody_forgotten),
	};

	test_watchdog(90, "unit.core.core");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
