/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper: rings that are not lost and not paid twice, due times, watches, and both ways to end.
 */
#include "pool/keeper.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/line.h"
#include "support/threads.h"
#include "support/watchdog.h"

/* A job that counts its turns and does what the test says in them. */
struct tester {
	struct wi_job job;
	_Atomic int turns;
	_Atomic int64_t wants; /* what the next turn returns */
	_Atomic bool finished;
	_Atomic int wound_up;
	_Atomic int ready; /* calls of the watch */
	struct wi_watch watch;
};

static struct wi_keeper *keeper;
static struct tester t;
static size_t bytes_before;
static _Atomic int abandoned;

static int64_t take_turn(struct wi_job *job, int64_t now_ns)
{
	struct tester *me = WI_CONTAINER_OF(job, struct tester, job);

	(void)now_ns;
	wi_add_rlx(&me->turns, 1);
	return wi_load_rlx(&me->wants);
}

static bool is_finished(struct wi_job *job)
{
	return wi_load_acq(&WI_CONTAINER_OF(job, struct tester, job)->finished);
}

static void wind_up(struct wi_job *job)
{
	wi_add_rlx(&WI_CONTAINER_OF(job, struct tester, job)->wound_up, 1);
}

static void became_ready(struct wi_watch *watch, uint32_t events)
{
	char rest[64];

	(void)!read(watch->fd, rest, sizeof(rest));
	wi_add_rlx(&WI_CONTAINER_OF(watch, struct tester, watch)->ready, events & EPOLLIN ? 1 : 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.job = (struct wi_job){.turn = take_turn, .is_finished = is_finished, .wind_up = wind_up};
	t.watch.fd = -1;
	t.watch.ready = became_ready;
	wi_store_rlx(&t.wants, WI_FOREVER);
	wi_store_rlx(&t.finished, true);
	wi_store_rlx(&abandoned, 0);
	bytes_before = wi_alloc_bytes();
	assert_int_equal(wi_keeper_create(&wi_world_linux, &keeper, NULL), WEIR_OK);
	wi_keeper_add(keeper, &t.job);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_keeper_free(keeper);
	assert_int_equal(wi_alloc_bytes(), bytes_before);
	return 0;
}

static void step(void)
{
	wi_keeper_round(keeper, false);
}

/* Polls for what another thread does; the watchdog bounds it. */
static void await_at_least(_Atomic int *count, int n)
{
	while (wi_load_acq(count) < n)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* ---- without a thread ---- */

static void every_job_has_its_turn_and_the_earliest_due_counts(void **state)
{
	struct tester other = t;

	(void)state;
	wi_keeper_add(keeper, &other.job);
	wi_store_rlx(&t.wants, 700);
	wi_store_rlx(&other.wants, 500);
	assert_int_equal(wi_keeper_round(keeper, false), 500);
	wi_store_rlx(&other.wants, WI_FOREVER);
	assert_int_equal(wi_keeper_round(keeper, false), 700);
	assert_int_equal(wi_load_rlx(&t.turns), 2);
	assert_int_equal(wi_load_rlx(&other.turns), 2);
}

static void a_watched_descriptor_is_told_of(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLIN));
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 0);
	eventfd_write(fd, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 1);
	assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLIN)); /* again is fine */
	eventfd_write(fd, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 2);
	assert_true(wi_keeper_watch(keeper, &t.watch, -1, 0));
	eventfd_write(fd, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 2);
	assert_int_equal(t.watch.fd, -1);
	close(fd);
}

static void another_wish_replaces_the_first(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLIN));
	assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLRDHUP | EPOLLET));
	eventfd_write(fd, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 0);
	assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLIN));
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 1);
	wi_keeper_watch(keeper, &t.watch, -1, 0);
	close(fd);
}

/* A library closes a descriptor and opens another, which gets the same number. */
static void a_number_that_is_used_again_is_watched_again(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), again;

	(void)state;
	for (int i = 0; i < 2; i++) { /* the same wish, and another */
		assert_true(wi_keeper_watch(keeper, &t.watch, fd, EPOLLIN));
		close(fd);
		again = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(again, fd);
		assert_true(wi_keeper_watch(keeper, &t.watch, again,
		                            i ? EPOLLIN | EPOLLRDHUP : EPOLLIN));
		eventfd_write(again, 1);
		step();
		assert_int_equal(wi_load_rlx(&t.ready), i + 1);
	}
	wi_keeper_watch(keeper, &t.watch, -1, 0);
	close(fd);
}

static void a_watch_moves_to_another_descriptor(void **state)
{
	int first = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	    second = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	assert_true(wi_keeper_watch(keeper, &t.watch, first, EPOLLIN));
	assert_true(wi_keeper_watch(keeper, &t.watch, second, EPOLLIN));
	eventfd_write(first, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 0);
	eventfd_write(second, 1);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 1);
	close(first); /* closed while not watched, and before its watch: no harm */
	close(second);
	assert_true(wi_keeper_watch(keeper, &t.watch, -1, 0));
}

/*
 * As where a forked child keeps a closed descriptor's file open: what was registered cannot be
 * taken out, and its watch may be gone when it is told. It is nobody's, whoever has the number now.
 */
static void what_cannot_be_taken_out_is_nobodys(void **state)
{
	int old = eventfd(0, EFD_NONBLOCK), kept = dup(old), new;
	struct tester gone = {.watch = {.fd = -1, .ready = became_ready}};

	(void)state;
	assert_true(wi_keeper_watch(keeper, &gone.watch, old, EPOLLIN));
	close(old);
	wi_keeper_watch(keeper, &gone.watch, -1, 0);
	memset(&gone, 0, sizeof(gone));
	assert_int_equal(eventfd_write(kept, 1), 0);
	step();
	new = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(new, old);
	gone.watch = (struct wi_watch){.fd = -1, .ready = became_ready};
	/* another one is registered under that number, and left in the same way */
	assert_true(wi_keeper_watch(keeper, &gone.watch, new, EPOLLIN | EPOLLET));
	close(kept);
	kept = dup(new);
	close(new);
	new = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(new, old);
	wi_keeper_watch(keeper, &gone.watch, -1, 0);
	assert_true(wi_keeper_watch(keeper, &t.watch, new, EPOLLIN));
	assert_int_equal(eventfd_write(kept, 1), 0);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 0);
	assert_int_equal(wi_load_rlx(&gone.ready), 0);
	assert_int_equal(eventfd_write(new, 1), 0);
	step();
	assert_int_equal(wi_load_rlx(&t.ready), 1);
	wi_keeper_watch(keeper, &t.watch, -1, 0);
	close(kept);
	close(new);
}

static void a_job_that_is_dropped_has_no_turn(void **state)
{
	struct tester other = {.job = {.turn = take_turn, .is_finished = is_finished}};
	int turns;

	(void)state;
	wi_store_rlx(&other.wants, WI_FOREVER);
	wi_keeper_add(keeper, &other.job);
	step();
	assert_int_equal(wi_load_rlx(&other.turns), 1);
	wi_keeper_drop(keeper, &other.job);
	turns = wi_load_rlx(&t.turns);
	step();
	assert_int_equal(wi_load_rlx(&other.turns), 1);
	assert_int_equal(wi_load_rlx(&t.turns), turns + 1);
	wi_keeper_drop(keeper, &other.job); /* again is fine */
}

static void what_cannot_be_watched_is_told(void **state)
{
	(void)state;
	assert_false(wi_keeper_watch(keeper, &t.watch, 1000000, EPOLLIN));
	assert_int_equal(t.watch.fd, -1);
}

static void a_thousand_rings_are_one_write(void **state)
{
	int64_t due;

	(void)state;
	for (int i = 0; i < 1000; i++)
		wi_keeper_ring(keeper);
	due = wi_keeper_round(keeper, true); /* the bell is heard: it does not sleep */
	assert_int_equal(due, WI_FOREVER);
	wi_store_rlx(&t.wants, wi_now_ns() + 2 * WI_MS);
	wi_keeper_round(keeper, true); /* and it was one ring: this one sleeps to its due time */
	assert_true(wi_now_ns() >= wi_load_rlx(&t.wants));
}

static void ringing_keeps_errno(void **state)
{
	(void)state;
	errno = EDOM;
	wi_keeper_ring(keeper);
	assert_int_equal(errno, EDOM);
}

static void stopping_one_that_never_ran_finishes_its_jobs(void **state)
{
	(void)state;
	wi_store_rlx(&t.finished, false);
	assert_false(wi_keeper_stop(keeper, 0, NULL, NULL, NULL));
	assert_int_equal(wi_load_rlx(&t.wound_up), 0);
	wi_store_rlx(&t.finished, true);
	assert_true(wi_keeper_stop(keeper, 0, NULL, NULL, NULL));
	assert_int_equal(wi_load_rlx(&t.wound_up), 1);
}

static void want_of_memory_is_told(void **state)
{
	struct wi_keeper *none = NULL;

	(void)state;
	wi_alloc_fail_at(1);
	assert_int_equal(wi_keeper_create(&wi_world_linux, &none, NULL), WEIR_NO_MEMORY);
	assert_null(none);
	wi_keeper_free(NULL);
}

/* ---- with its thread ---- */

static void start(void)
{
	assert_int_equal(wi_keeper_start(keeper, NULL), WEIR_OK);
	await_at_least(&t.turns, 1);
}

static void a_ring_brings_a_turn(void **state)
{
	(void)state;
	start();
	assert_false(wi_keeper_is_self(keeper));
	for (int i = 0; i < 50; i++) {
		int before = wi_load_rlx(&t.turns);

		wi_keeper_ring(keeper);
		await_at_least(&t.turns, before + 1);
	}
	assert_true(wi_keeper_stop(keeper, WI_FOREVER, NULL, NULL, NULL));
	assert_int_equal(wi_load_rlx(&t.wound_up), 1);
}

static void a_due_time_brings_a_turn(void **state)
{
	int64_t at = wi_now_ns() + 5 * WI_MS;

	(void)state;
	wi_store_rlx(&t.wants, at);
	start();
	wi_store_rlx(&t.wants, WI_FOREVER);
	await_at_least(&t.turns, 2);
	assert_true(wi_now_ns() >= at);
	assert_true(wi_keeper_stop(keeper, WI_FOREVER, NULL, NULL, NULL));
}

static void quiet_is_quiet(void **state)
{
	int turns;

	(void)state;
	start();
	turns = wi_load_rlx(&t.turns);
	nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	assert_true(wi_load_rlx(&t.turns) <= turns + 1); /* nothing was asked of it: it slept */
	assert_true(wi_keeper_stop(keeper, WI_FOREVER, NULL, NULL, NULL));
}

static _Atomic bool is_deadline_over;

/* Asked when the deadline is over. */
static bool is_held(void *arg)
{
	(void)arg;
	wi_store_rel(&is_deadline_over, true);
	return false;
}

static void abandon(void *arg)
{
	wi_rcu_wait(); /* whoever is still ringing it is in a read section */
	wi_keeper_free(arg);
	wi_store_rel(&abandoned, 1);
}

/* As who gives the last thing back does: between the two steps the keeper may be on its way out. */
static void finish_and_ring(struct wi_keeper *k)
{
	wi_rcu_enter();
	wi_store_rel(&t.finished, true);
	wi_keeper_ring(k);
	wi_rcu_leave();
}

static void a_busy_keeper_is_abandoned_and_frees_itself(void **state)
{
	struct wi_keeper *k;

	(void)state;
	wi_store_rlx(&t.finished, false);
	start();
	k = keeper;
	assert_false(wi_keeper_stop(k, wi_now_ns() + 5 * WI_MS, NULL, abandon, k));
	assert_int_equal(wi_load_rlx(&abandoned), 0);
	finish_and_ring(k);
	await_at_least(&abandoned, 1);
	assert_int_equal(wi_load_rlx(&t.wound_up), 1);
	keeper = NULL;
}

static void finish_after_the_deadline(struct test_thread *self)
{
	if (self->number == 0) {
		self->count[0] = wi_keeper_stop(self->arg, wi_now_ns() + 5 * WI_MS, is_held,
		                                abandon, self->arg);
		return;
	}
	while (!wi_load_acq(&is_deadline_over))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	finish_and_ring(self->arg);
}

static void what_nobody_holds_is_waited_for_a_little_longer(void **state)
{
	struct test_thread reports[2];

	(void)state;
	wi_store_rlx(&t.finished, false);
	wi_store_rlx(&is_deadline_over, false);
	start();
	test_threads_run(2, finish_after_the_deadline, keeper, -1, reports);
	assert_int_equal(reports[0].count[0], true);
	assert_int_equal(wi_load_rlx(&abandoned), 0);
}

static void finish_or_stop(struct test_thread *self)
{
	if (self->number == 0) {
		self->count[0] =
			wi_keeper_stop(self->arg, wi_now_ns() + wi_rng_below(&self->rng, 100000),
		                       NULL, abandon, self->arg);
		return;
	}
	for (uint32_t i = wi_rng_below(&self->rng, 2000); i > 0; i--)
		wi_store_rel(&t.finished, false);
	wi_store_rel(&t.finished, true);
}

/*
 * The deadline and the end of the last job come together: either the closer frees or the keeper
 * does.
 */
static void who_frees_is_decided_once(void **state)
{
	struct test_thread reports[2];

	(void)state;
	for (int i = 0; i < 200 / test_slowness(); i++) {
		wi_store_rlx(&t.finished, false);
		wi_store_rlx(&abandoned, 0);
		wi_store_rlx(&t.wants, 1); /* never sleeps: it sees the end of the job by itself */
		assert_int_equal(wi_keeper_start(keeper, NULL), WEIR_OK);
		test_threads_run(2, finish_or_stop, keeper, -1, reports);
		if (reports[0].count[0])
			wi_keeper_free(keeper);
		else
			await_at_least(&abandoned, 1);
		assert_int_equal(wi_load_rlx(&t.wound_up), i + 1);
		t.job.next = NULL;
		assert_int_equal(wi_keeper_create(&wi_world_linux, &keeper, NULL), WEIR_OK);
		wi_keeper_add(keeper, &t.job);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_job_has_its_turn_and_the_earliest_due_counts),
		TEST(a_watched_descriptor_is_told_of),
		TEST(another_wish_replaces_the_first),
		TEST(a_number_that_is_used_again_is_watched_again),
		TEST(a_watch_moves_to_another_descriptor),
		TEST(what_cannot_be_taken_out_is_nobodys),
		TEST(a_job_that_is_dropped_has_no_turn),
		TEST(what_cannot_be_watched_is_told),
		TEST(a_thousand_rings_are_one_write),
		TEST(ringing_keeps_errno),
		TEST(stopping_one_that_never_ran_finishes_its_jobs),
		TEST(want_of_memory_is_told),
		TEST(a_ring_brings_a_turn),
		TEST(a_due_time_brings_a_turn),
		TEST(quiet_is_quiet),
		TEST(a_busy_keeper_is_abandoned_and_frees_itself),
		TEST(what_nobody_holds_is_waited_for_a_little_longer),
		TEST(who_frees_is_decided_once),
	};

	test_watchdog(60, "unit.pool.keeper");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
