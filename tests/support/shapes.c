/* SPDX-License-Identifier: BSD-2-Clause */
/* The shapes' threads; shapes.h tells the idea. */
#include "support/shapes.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "core/waitq.h"
#include "support/process.h"
#include "support/threads.h"

#define OPS_MAX 240000 /* in all lanes together */
#define HANDS 8
#define BOARD 8

/* ---- the watched world ---- */

static _Thread_local struct test_op *watched;
static _Thread_local const _Atomic uint32_t *watched_word;
static _Thread_local int64_t woke_ns;
static struct wi_world watched_world;
static pthread_once_t world_once = PTHREAD_ONCE_INIT;

static void note_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	/* It woke when its patience had ended, and has said so before it came here. */
	if (watched && word == watched_word && watched->parked_ns && !watched->overdue_ns &&
	    woke_ns >= watched->parked_ns + WI_PATIENCE_MOST_NS)
		watched->overdue_ns = wi_now_ns();
	/* Naps on other words are not waits for a slot. */
	if (watched && word == watched_word && !watched->parked_ns) {
		watched->ready_ns = -test_ready_ns();
		watched->parked_ns = wi_now_ns();
	}
	wi_world_linux.park(word, expected, deadline_ns);
	woke_ns = wi_now_ns();
}

static void note_wake(_Atomic uint32_t *word)
{
	if (watched)
		watched->wakes++;
	wi_world_linux.wake(word);
}

static void make_world(void)
{
	watched_world = wi_world_linux;
	watched_world.park = note_park;
	watched_world.wake = note_wake;
}

const struct wi_world *test_watched_world(void)
{
	pthread_once(&world_once, make_world);
	return &watched_world;
}

void test_watch(struct test_op *op, struct wi_seat *seat)
{
	op->seat = seat->number;
	watched_word = &seat->word;
	watched = op;
}

void test_unwatch(void)
{
	if (watched->parked_ns)
		watched->ready_ns += test_ready_ns();
	watched = NULL;
}

/* ---- sleeping ---- */

static _Atomic int64_t worst_lag_ns;

void test_nap(int64_t ns)
{
	int64_t end = wi_now_ns() + ns, late, worst = wi_load_rlx(&worst_lag_ns);
	struct timespec at = {.tv_sec = (time_t)(end / WI_SEC), .tv_nsec = (long)(end % WI_SEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
	late = wi_now_ns() - end;
	while (late > worst && !wi_cas_rlx(&worst_lag_ns, &worst, late))
		;
}

int64_t test_slack_ns(void)
{
	return 50 * WI_MS * test_slowness() + 2 * wi_load_rlx(&worst_lag_ns);
}

#define METERS_MAX 16

static pthread_t meter[METERS_MAX];
static int n_meters;
static _Atomic bool is_measured;

static void *measure_lag(void *unused)
{
	(void)unused;
	while (wi_load_rlx(&is_measured))
		test_nap(WI_MS);
	return NULL;
}

/* Where threads have no affinity, they sleep anywhere. */
static void start_meter(int cpu)
{
	pthread_attr_t attr;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	(void)pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	if (pthread_create(&meter[n_meters], &attr, measure_lag, NULL) == 0)
		n_meters++;
	pthread_attr_destroy(&attr);
}

void test_measure_lag(bool on)
{
	cpu_set_t all;

	if (on && sched_getaffinity(0, sizeof(all), &all) == 0) {
		wi_store_rlx(&is_measured, true);
		for (int cpu = 0; cpu < CPU_SETSIZE && n_meters < METERS_MAX; cpu++)
			if (CPU_ISSET(cpu, &all))
				start_meter(cpu);
	} else {
		wi_store_rlx(&is_measured, false);
		while (n_meters > 0)
			pthread_join(meter[--n_meters], NULL);
	}
}

void test_pin(bool one_cpu)
{
	static cpu_set_t before;
	static bool is_pinned;
	cpu_set_t one;
	int cpu = 0;

	if (one_cpu == is_pinned)
		return;
	is_pinned = one_cpu;
	if (!one_cpu) {
		sched_setaffinity(0, sizeof(before), &before);
		return;
	}
	sched_getaffinity(0, sizeof(before), &before);
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* ---- a shape ---- */

/* What all threads of a run share. */
struct run {
	const struct test_shape *shape;
	const struct test_store *store;
	struct test_history *h;
	pthread_barrier_t done;                 /* of all lanes */
	_Atomic(struct test_op *) board[BOARD]; /* takes whose values wait for another hand */
	_Atomic bool is_begun;                  /* something was taken */
};

/* A lane's thread, or one of its threads. */
struct hand {
	struct run *run;
	struct test_thread *self; /* for its rng and its words */
	struct test_lane *lane;
	struct test_op *held[HANDS];
	uint32_t n_held;
};

bool test_shapes_init(struct test_history *h, int threads_max)
{
	/* a sweeper's, and the main thread's */
	return test_history_init(h, (uint32_t)threads_max + 2, OPS_MAX);
}

static void maybe_nap(struct hand *hand, int64_t up_to_ns)
{
	if (up_to_ns && wi_rng_below(&hand->self->rng, 8) < hand->run->shape->pauses)
		test_nap(wi_rng_below(&hand->self->rng, (uint32_t)up_to_ns));
}

static int64_t some_timeout(struct hand *hand)
{
	const struct test_shape *s = hand->run->shape;
	uint32_t of_8 = wi_rng_below(&hand->self->rng, 8);

	if (of_8 < s->tries)
		return 0;
	/* Who holds one and waits for another has to end by itself: others may do the same. */
	if (of_8 < s->tries + s->shorts || hand->n_held)
		return 1 + wi_rng_below(&hand->self->rng, 2000000);
	return TEST_PATIENT_NS;
}

static void put(struct hand *hand, struct test_op *take)
{
	struct test_op *op = test_op_begin(hand->lane, TEST_PUT);

	op->value = take->value;
	op->handle = take->handle;
	op->of = take;
	test_watch(op, hand->run->store->seat());
	hand->run->store->put(op);
	test_unwatch();
	test_op_end(op);
}

/* Puts it, or leaves it to another and puts what somebody else has left. */
static void put_or_pass_on(struct hand *hand, struct test_op *take)
{
	const struct test_shape *s = hand->run->shape;
	/* One value at least stays in circulation. */
	uint32_t places = s->values - 1 < BOARD ? s->values - 1 : BOARD;

	if (s->pass_on && places && wi_rng_below(&hand->self->rng, 4))
		take = wi_swap_acq_rel(&hand->run->board[wi_rng_below(&hand->self->rng, places)],
		                       take);
	if (take)
		put(hand, take);
}

static void take(struct hand *hand)
{
	int64_t timeout_ns = some_timeout(hand);
	struct test_op *op = test_op_begin(hand->lane, TEST_TAKE);

	test_watch(op, hand->run->store->seat());
	if (!hand->run->store->take(op, timeout_ns))
		test_wrong(hand->self, "a take failed");
	test_unwatch();
	test_op_end(op);
	if (op->value) {
		hand->held[hand->n_held++] = op;
		wi_store_rlx(&hand->run->is_begun, true);
	} else if (timeout_ns == TEST_PATIENT_NS) {
		test_wrong(hand->self, "one who waits was forgotten");
	}
}

static void put_one(struct hand *hand)
{
	uint32_t i = wi_rng_below(&hand->self->rng, hand->n_held);
	struct test_op *op = hand->held[i];

	hand->held[i] = hand->held[--hand->n_held];
	put_or_pass_on(hand, op);
}

static void step(struct hand *hand)
{
	uint32_t at_once = hand->run->shape->at_once ? hand->run->shape->at_once : 1;

	if (hand->n_held < at_once && (!hand->n_held || wi_rng_below(&hand->self->rng, 2))) {
		take(hand);
		maybe_nap(hand, hand->n_held ? hand->run->shape->hold_ns : 0);
	} else {
		put_one(hand);
		maybe_nap(hand, hand->run->shape->pause_ns);
	}
}

/* Room to put all that is held, and for one step and an end more. */
static bool has_room(const struct hand *hand)
{
	return hand->lane->n + HANDS + 4 <= hand->lane->room;
}

static void put_all(struct hand *hand)
{
	while (hand->n_held)
		put_one(hand);
}

static void *live_briefly(void *arg)
{
	struct hand *hand = arg;
	uint32_t steps = 1 + wi_rng_below(&hand->self->rng, 12);

	while (steps-- && has_room(hand))
		step(hand);
	put_all(hand);
	return NULL;
}

/* A thread that ends gives away what it kept, and that may take a while. */
static bool one_generation(struct hand *hand)
{
	struct test_op *end;
	pthread_t thread;

	if (pthread_create(&thread, NULL, live_briefly, hand) != 0) {
		test_wrong(hand->self, "no thread");
		return false;
	}
	pthread_join(thread, NULL);
	end = test_op_begin(hand->lane, TEST_LEAVE);
	test_op_end(end);
	/* It began to end after its last operation. */
	if (end > hand->lane->ops)
		end->invoked_ns = end[-1].returned_ns;
	hand->self->count[0]++;
	return true;
}

static void sweep(struct hand *hand)
{
	while (!wi_load_rlx(hand->self->stop) && has_room(hand)) {
		struct test_op *op = test_op_begin(hand->lane, TEST_SWEEP);

		hand->run->store->sweep(&hand->self->rng);
		test_op_end(op);
		test_nap(100000);
	}
}

/* Not before something was taken: a busy machine may spend all of the time on other things. */
static bool is_time_over(const struct hand *hand)
{
	return wi_load_rlx(hand->self->stop) && wi_load_rlx(&hand->run->is_begun);
}

static void use(struct hand *hand)
{
	while (!is_time_over(hand) && has_room(hand)) {
		if (!hand->run->shape->churn)
			step(hand);
		else if (!one_generation(hand))
			break;
	}
	put_all(hand);
}

static void lane_main(struct test_thread *self)
{
	struct run *run = self->arg;
	struct hand hand = {run, self, &run->h->lanes[self->number], {NULL}, 0};

	if (self->number < run->shape->threads)
		use(&hand);
	else if (run->shape->sweep)
		sweep(&hand);
	/*
	 * A thread that ends moves what it kept from its cache to the list, which nobody has
	 * written down here: so none ends while another may be looking.
	 */
	pthread_barrier_wait(&run->done);
}

#define THREADS_MAX 128

const char *test_shape_run(const struct test_shape *shape, const struct test_store *store,
                           struct test_history *h, double seconds)
{
	static struct test_thread reports[THREADS_MAX + 1];
	struct run run = {.shape = shape, .store = store, .h = h};
	struct hand mine = {.run = &run, .self = &reports[0]};
	const char *wrong;

	if (shape->threads > THREADS_MAX || (uint32_t)shape->threads + 2 > h->lanes_max)
		return "too many threads";
	test_history_begin(h, (uint32_t)shape->threads + 2,
	                   shape->numbers ? shape->numbers : shape->values);
	mine.lane = &h->lanes[shape->threads + 1];
	pthread_barrier_init(&run.done, NULL, (unsigned)shape->threads + 1);
	test_measure_lag(true);
	test_pin(shape->one_cpu);
	test_yields(shape->pause_one_in);
	test_threads_run(shape->threads + 1, lane_main, &run, seconds, reports);
	test_yields(0);
	test_measure_lag(false);
	pthread_barrier_destroy(&run.done);
	test_pin(false);
	wrong = test_first_wrong(reports, shape->threads + 1);
	for (int i = 0; i < BOARD; i++)
		if (wi_load_rlx(&run.board[i]))
			put(&mine, wi_load_rlx(&run.board[i]));
	if (wrong)
		return wrong;
	return test_history_close(h) ? NULL : h->wrong;
}
