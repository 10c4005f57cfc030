/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread is stopped for good in each marked window of the core, one after the other, while the
 * others go on: every one of them still gets slots, nobody waits for longer than the core's
 * patience and what the machine takes, and only the slot in the stopped thread's hands is missing.
 */
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "core/desk.h"
#include "support/points.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 4
#define THREADS 8 /* the first is stopped, the last sweeps */
#define ENOUGH 60 /* slots that each other thread gets while it stands still */

enum { GOT, LONGEST_NS, CAME_BY_NS };

static struct wi_core core;
static struct wi_slot slots[SLOTS + 1];
static struct test_stop stop;
static _Atomic int out;          /* slots in the others' hands */
static _Atomic int still_hungry; /* threads that have not got enough since the stop */
static bool is_window_of_bias;   /* where it is to be stopped */

static void begin(void)
{
	struct wi_table table = {(char *)slots, sizeof(struct wi_slot), SLOTS};

	memset(&core, 0, sizeof(core));
	memset(slots, 0, sizeof(slots));
	assert_true(wi_core_init(&core, table, &wi_world_linux));
	for (uint32_t s = 1; s <= SLOTS; s++)
		wi_core_give(&core, s);
}

static int take_all(void)
{
	int n = 0;

	while (wi_core_take(&core, wi_desk_seat(&core)))
		n++;
	return n;
}

/* ---- users ---- */

/*
 * To be stopped in a window of a biased core, one has to be the first there since the bias came
 * back. In a core that is short for most of the time, on a busy machine, that may take minutes: so
 * whoever is to be stopped brings it back, whenever it can be.
 */
static void seek_the_window(const struct test_thread *self)
{
	if (self->number == 0 && is_window_of_bias)
		wi_bias_restore(&core.bias);
}

static uint32_t get(struct test_thread *self)
{
	struct wi_seat *seat = wi_desk_seat(&core);
	uint32_t slot, kind = wi_rng_below(&self->rng, 4);
	int64_t ready_ns, begun_ns, waited_ns;
	struct wi_outcome o;

	seek_the_window(self);
	slot = wi_core_take(&core, seat);
	if (slot || kind == 0)
		return slot;
	ready_ns = test_ready_ns();
	begun_ns = wi_now_ns();
	o = wi_core_wait(&core, seat,
	                 begun_ns +
	                         (kind == 1 ? wi_rng_below(&self->rng, 1500000) : TEST_PATIENT_NS));
	waited_ns = wi_now_ns() - begun_ns - (test_ready_ns() - ready_ns);
	if (self->number && waited_ns > (int64_t)self->count[LONGEST_NS])
		self->count[LONGEST_NS] = (uint64_t)waited_ns;
	if (self->number && kind > 1 && o.verdict != WI_GRANTED)
		test_wrong(self, "a waiter was forgotten");
	return o.verdict == WI_GRANTED ? o.value : WI_SLOT_NONE;
}

static void give(struct test_thread *self, uint32_t slot)
{
	if (wi_rng_below(&self->rng, 8))
		wi_core_put(&core, wi_desk_seat(&core), slot);
	else
		wi_core_give(&core, slot);
}

static void use(struct test_thread *self)
{
	uint32_t slot = get(self);

	if (!slot)
		return;
	wi_add_acq_rel(&out, self->number != 0);
	self->count[GOT]++;
	if (wi_rng_below(&self->rng, 4) == 0)
		test_nap(wi_rng_below(&self->rng, 60000));
	if (wi_rng_below(&self->rng, 32) == 0)
		test_nap(2 * WI_PATIENCE_MOST_NS); /* or nobody's patience would end */
	wi_sub_acq_rel(&out, self->number != 0);
	give(self, slot);
}

/*
 * In one of four spells of time one thread is alone, and as quick as it can: the bias comes back.
 */
static bool is_calm(void)
{
	return (uint64_t)wi_now_ns() / (2 * WI_MS) % 4 == 0;
}

static bool is_alone(int number)
{
	return (uint64_t)wi_now_ns() / (8 * WI_MS) % (THREADS - 1) == (uint64_t)number;
}

static void use_quickly(void)
{
	for (int n = 0; n < 2 * WI_REBIAS_AFTER; n++) {
		uint32_t slot = wi_core_take(&core, wi_desk_seat(&core));

		if (slot)
			wi_core_put(&core, wi_desk_seat(&core), slot);
	}
}

/* Now the pool is short, now it is not, so that every window is come by. */
static void use_by_fits(struct test_thread *self)
{
	if (is_calm()) {
		if (is_alone(self->number))
			use_quickly();
		test_nap(200000);
		return;
	}
	for (uint32_t n = wi_rng_below(&self->rng, 40); n; n--)
		use(self);
	if (wi_rng_below(&self->rng, 4) == 0)
		test_nap(wi_rng_below(&self->rng, 600000));
}

static bool at_random(void *rng, uint32_t slot)
{
	(void)slot;
	return wi_rng_below(rng, 3) == 0;
}

static void give_back(void *rng, uint32_t slot)
{
	(void)rng;
	wi_core_give(&core, slot);
}

/* ---- one stands still ---- */

static bool stands(void)
{
	return wi_load_acq(&stop.state) == 1;
}

static bool is_over(void)
{
	return wi_load_acq(&stop.state) == 2;
}

static void user(struct test_thread *self)
{
	uint64_t got_before = 0;
	bool is_counting = false;

	while (!is_over()) {
		use_by_fits(self);
		if (!is_counting && stands()) {
			is_counting = true;
			got_before = self->count[GOT];
			self->count[LONGEST_NS] = 0;
		}
		if (is_counting && got_before != UINT64_MAX &&
		    self->count[GOT] - got_before >= ENOUGH) {
			got_before = UINT64_MAX;
			wi_sub_acq_rel(&still_hungry, 1);
		}
	}
}

static void stopped_one(struct test_thread *self)
{
	(void)wi_desk_seat(&core);
	test_stop_arm(&stop);
	while (!is_over())
		use_by_fits(self);
	test_stop_arm(NULL);
}

static void sweep(struct test_thread *self)
{
	if (!is_calm())
		wi_core_sweep(&core, at_random, give_back, &self->rng);
	test_nap(500000);
}

/*
 * Ends the round when everybody has had enough; or, if the window is not come by, when it is late.
 */
static void sweeper(struct test_thread *self)
{
	int64_t begun_ns = wi_now_ns(), late_ns = begun_ns + 20 * WI_SEC * test_slowness();

	while (!stands() && wi_now_ns() < late_ns)
		sweep(self);
	self->count[GOT] = stands();
	self->count[CAME_BY_NS] = (uint64_t)(wi_now_ns() - begun_ns);
	while (stands() && wi_load_acq(&still_hungry))
		sweep(self);
	test_stop_release(&stop);
}

static void body(struct test_thread *self)
{
	if (self->number == 0)
		stopped_one(self);
	else if (self->number == THREADS - 1)
		sweeper(self);
	else
		user(self);
}

/* Windows of a biased core. Where there is no membarrier, nobody comes by. */
static bool is_of_bias(const char *point)
{
	return strcmp(point, "bias.revoke.fenced") == 0 || strcmp(point, "cache.put.alone") == 0 ||
	       strcmp(point, "cache.put.cached") == 0 || strcmp(point, "cache.take.seen") == 0;
}

static void stop_at(const char *point, int visit)
{
	struct test_thread reports[THREADS];
	int64_t longest_ns = 0;

	begin();
	is_window_of_bias = is_of_bias(point);
	stop = (struct test_stop){.point = point, .visit = visit};
	wi_store_rlx(&still_hungry, THREADS - 2);
	test_measure_lag(true);
	test_threads_run(THREADS, body, NULL, -1, reports);
	test_measure_lag(false);
	for (int i = 1; i < THREADS - 1; i++)
		if ((int64_t)reports[i].count[LONGEST_NS] > longest_ns)
			longest_ns = (int64_t)reports[i].count[LONGEST_NS];
	printf("%-24s come by after %.1f ms, longest wait %.1f ms\n", point,
	       (double)reports[THREADS - 1].count[CAME_BY_NS] / 1e6, (double)longest_ns / 1e6);
	if (test_first_wrong(reports, THREADS))
		fail_msg("stopped at %s: %s", point, test_first_wrong(reports, THREADS));
	if (!reports[THREADS - 1].count[GOT])
		fail_msg("nobody comes by %s", point);
	if (longest_ns > 4 * WI_PATIENCE_MOST_NS + test_slack_ns())
		fail_msg("stopped at %s: another waited %lld ns", point, (long long)longest_ns);
	assert_int_equal(take_all(), SLOTS);
	assert_int_equal(wi_core_waiting(&core), 0);
	wi_core_fini(&core);
}

static void a_thread_that_is_stopped_anywhere_holds_up_nobody(void **state)
{
	static const char *const points[] = {
#define POINT(name) name,
		TEST_POINTS(POINT)
#undef POINT
	};
	int64_t end_ns = wi_now_ns() + (int64_t)(test_seconds(4) * 1e9);
	bool can_bias = wi_world_linux.fence_heavy();
	int visit = (int)(test_seed() % 8);

	(void)state;
	do { /* each at least once */
		visit = 1 + visit % 8;
		for (size_t i = 0; i < WI_ARRAY_LEN(points); i++)
			if (can_bias || !is_of_bias(points[i]))
				stop_at(points[i], visit);
	} while (wi_now_ns() < end_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_is_stopped_anywhere_holds_up_nobody),
	};

	test_watchdog(280, "stress.stopped");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
