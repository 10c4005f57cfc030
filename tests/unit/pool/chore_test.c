/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chores: what the call wrote is there when the keeper is rung; those dropped free themselves; no
 * more threads than the bound, however many hang; a forked child finds them lost; a keeper that is
 * gone is not rung.
 */
#include "pool/chore.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/rcu.h"
#include "pool/keeper.h"
#include "support/watchdog.h"

#define MANY 100
#define BOUND 32

struct work {
	struct wi_chore chore;
	int answer;
};

static _Atomic uint32_t started, ended, disposed, held_up;

static void a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void run(struct wi_chore *chore)
{
	wi_add_seq(&started, 1);
	while (wi_load_seq(&held_up))
		a_moment();
	WI_CONTAINER_OF(chore, struct work, chore)->answer = 42;
	wi_add_seq(&ended, 1);
}

static void dispose(struct wi_chore *chore)
{
	wi_free(WI_CONTAINER_OF(chore, struct work, chore), sizeof(struct work));
	wi_add_seq(&disposed, 1);
}

static struct work *work(enum wi_chore_kind kind, struct wi_keeper *keeper)
{
	struct work *w = wi_alloc(sizeof(*w));

	assert_non_null(w);
	w->chore.run = run;
	w->chore.dispose = dispose;
	assert_true(wi_chore_start(&w->chore, kind, keeper));
	return w;
}

static void await(_Atomic uint32_t *count, uint32_t n)
{
	for (int i = 0; i < 30000 && wi_load_seq(count) < n; i++)
		a_moment();
	assert_int_equal(wi_load_seq(count), n);
}

static int anew(void **state)
{
	(void)state;
	wi_store_seq(&started, 0);
	wi_store_seq(&ended, 0);
	wi_store_seq(&disposed, 0);
	wi_store_seq(&held_up, 0);
	return 0;
}

static int64_t turned(struct wi_job *job, int64_t now_ns)
{
	(void)job;
	(void)now_ns;
	return WI_FOREVER;
}

static bool never(struct wi_job *job)
{
	(void)job;
	return false;
}

/* The keeper sleeps without a due time: only a ring ends its round. */
static void its_keeper_is_rung_and_sees_what_it_wrote(void **state)
{
	struct wi_job job = {.turn = turned, .is_finished = never};
	struct wi_keeper *keeper;
	struct work *w;

	(void)state;
	assert_int_equal(wi_keeper_create(&wi_world_linux, &keeper, NULL), WEIR_OK);
	wi_keeper_add(keeper, &job);
	wi_store_seq(&held_up, 1);
	w = work(WI_CHORE_USER, keeper);
	assert_int_equal(wi_chore_poll(&w->chore), 0);
	wi_store_seq(&held_up, 0);
	wi_keeper_round(keeper, true);
	assert_int_equal(wi_chore_poll(&w->chore), 1);
	assert_int_equal(w->answer, 42);
	wi_chore_drop(&w->chore, NULL);
	await(&disposed, 1);
	wi_keeper_free(keeper);
}

static void one_that_is_dropped_frees_itself_when_it_ends(void **state)
{
	struct work *w;

	(void)state;
	wi_store_seq(&held_up, 1);
	w = work(WI_CHORE_USER, NULL);
	await(&started, 1);
	wi_chore_drop(&w->chore, NULL);
	assert_int_equal(wi_load_seq(&disposed), 0);
	wi_store_seq(&held_up, 0);
	await(&disposed, 1);
}

static void those_that_hang_are_bounded_and_hold_up_only_their_kind(void **state)
{
	struct work *w[MANY], *other;

	(void)state;
	wi_store_seq(&held_up, 1);
	for (int i = 0; i < MANY; i++)
		w[i] = work(WI_CHORE_USER, NULL);
	await(&started, BOUND);
	other = work(WI_CHORE_CANCEL, NULL);
	await(&started, BOUND + 1);
	assert_int_equal(wi_chores_under_way(), MANY + 1);
	/* Half of those in line are given up: they never run. */
	for (int i = BOUND; i < MANY; i += 2)
		wi_chore_drop(&w[i]->chore, NULL);
	assert_int_equal(wi_load_seq(&disposed), (MANY - BOUND) / 2);
	wi_store_seq(&held_up, 0);
	await(&ended, BOUND + (MANY - BOUND) / 2 + 1);
	for (int i = 0; i < MANY; i++)
		if (i < BOUND || (i - BOUND) % 2)
			wi_chore_drop(&w[i]->chore, NULL);
	wi_chore_drop(&other->chore, NULL);
	await(&disposed, MANY + 1);
	assert_int_equal(wi_chores_under_way(), 0);
}

static void a_second_asker_joins_while_it_is_under_way(void **state)
{
	struct wi_chore_ring ring, late;
	struct work *w;

	(void)state;
	wi_store_seq(&held_up, 1);
	w = work(WI_CHORE_USER, NULL);
	wi_chore_lock();
	assert_true(wi_chore_join_locked(&w->chore, &ring, NULL));
	wi_chore_unlock();
	wi_chore_drop(&w->chore, NULL);
	wi_store_seq(&held_up, 0);
	while (!wi_chore_poll(&w->chore))
		a_moment();
	wi_chore_lock();
	assert_false(wi_chore_join_locked(&w->chore, &late, NULL));
	wi_chore_unlock();
	assert_int_equal(w->answer, 42);
	wi_chore_drop(&w->chore, &ring);
	await(&disposed, 1);
}

/* Were it rung, that would be a write to memory and to a descriptor that are others' by then. */
static void a_keeper_that_is_gone_is_not_rung(void **state)
{
	struct wi_keeper *keeper;
	struct work *w;
	int pipes[2];

	(void)state;
	assert_int_equal(wi_keeper_create(&wi_world_linux, &keeper, NULL), WEIR_OK);
	wi_store_seq(&held_up, 1);
	w = work(WI_CHORE_USER, keeper);
	wi_keeper_free(keeper);
	assert_int_equal(pipe(pipes), 0); /* has the keeper's descriptors */
	wi_store_seq(&held_up, 0);
	while (!wi_chore_poll(&w->chore))
		a_moment();
	assert_int_equal(poll(&(struct pollfd){.fd = pipes[0], .events = POLLIN}, 1, 0), 0);
	close(pipes[0]);
	close(pipes[1]);
	wi_chore_drop(&w->chore, NULL);
	await(&disposed, 1);
}

static bool has_chores_of_its_own(void)
{
#ifndef WI_TSAN /* the thread sanitizer ends a forked child that starts a thread */
	struct work *own;

	wi_store_seq(&held_up, 0);
	own = work(WI_CHORE_LOOKUP, NULL);
	for (int i = 0; i < 10000 && wi_chore_poll(&own->chore) == 0; i++)
		a_moment();
	return wi_chore_poll(&own->chore) == 1;
#else
	return true;
#endif
}

/* What a child sees of a running and a queued one, and that it can have chores of its own. */
static int child_finds_them_lost(struct work *running, struct work *waiting)
{
	if (wi_chore_poll(&running->chore) != -1 || wi_chore_poll(&waiting->chore) != -1)
		return 1;
	if (wi_chores_under_way() != 0)
		return 2;
	if (!has_chores_of_its_own())
		return 3;
	wi_chore_drop(&running->chore, NULL);
	wi_chore_drop(&waiting->chore, NULL);
	return 0;
}

static void in_a_forked_child_they_are_lost(void **state)
{
	struct work *w[BOUND + 1];
	int status;
	pid_t child;

	(void)state;
	wi_store_seq(&held_up, 1);
	for (int i = 0; i <= BOUND; i++)
		w[i] = work(WI_CHORE_USER, NULL);
	await(&started, BOUND);
	child = fork();
	if (child == 0)
		_exit(child_finds_them_lost(w[0], w[BOUND]));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	wi_store_seq(&held_up, 0);
	await(&ended, BOUND + 1);
	for (int i = 0; i <= BOUND; i++)
		wi_chore_drop(&w[i]->chore, NULL);
	await(&disposed, BOUND + 1);
}

/* A fork waits for lookups, which may hold locks of the C library's, but only so long. */
static void a_fork_waits_briefly_for_lookups_only(void **state)
{
	int64_t begun;
	int status;
	pid_t child;
	struct work *w;

	(void)state;
	wi_store_seq(&held_up, 1);
	w = work(WI_CHORE_LOOKUP, NULL);
	await(&started, 1);
	begun = wi_now_ns();
	child = fork();
	if (child == 0)
		_exit(0);
	assert_true(wi_now_ns() - begun >= 100 * WI_MS);
	assert_int_equal(waitpid(child, &status, 0), child);
	wi_store_seq(&held_up, 0);
	wi_chore_drop(&w->chore, NULL);
	await(&disposed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(its_keeper_is_rung_and_sees_what_it_wrote, anew),
		cmocka_unit_test_setup(one_that_is_dropped_frees_itself_when_it_ends, anew),
		cmocka_unit_test_setup(those_that_hang_are_bounded_and_hold_up_only_their_kind,
	                               anew),
		cmocka_unit_test_setup(a_second_asker_joins_while_it_is_under_way, anew),
		cmocka_unit_test_setup(a_keeper_that_is_gone_is_not_rung, anew),
		cmocka_unit_test_setup(in_a_forked_child_they_are_lost, anew),
		cmocka_unit_test_setup(a_fork_waits_briefly_for_lookups_only, anew),
	};

	test_watchdog(90, "unit.pool.chore");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
