/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child knows that it is one, and its RCU does not wait for readers that stayed with the parent.
 */
#include "base/fork.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/world.h"

#define CHILD_SECONDS                                                                              \
	60 /* a child that waits for ever is ended by its alarm, and that is a failure */

static int run_child(int (*body)(void))
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		alarm(CHILD_SECONDS);
		_exit(body());
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int epoch_as_exit_code(void)
{
	return (int)wi_load_rlx(&wi_fork_epoch);
}

static int grandchild_epoch(void)
{
	return run_child(epoch_as_exit_code);
}

static void each_fork_is_an_epoch(void **state)
{
	(void)state;
	assert_true(wi_fork_init());
	assert_true(wi_fork_init()); /* once, however often */
	assert_int_equal(wi_load_rlx(&wi_fork_epoch), 0);
	assert_int_equal(run_child(epoch_as_exit_code), 1);
	assert_int_equal(run_child(grandchild_epoch), 2);
	assert_int_equal(wi_load_rlx(&wi_fork_epoch), 0);
}

enum stage { BEGINNING, READING, FORKED };
static _Atomic uint32_t stage;

static void await_stage(uint32_t wanted)
{
	uint32_t now;

	while ((now = wi_load_acq(&stage)) != wanted)
		wi_world_linux.park(&stage, now, WI_FOREVER);
}

static void reach_stage(uint32_t reached)
{
	wi_store_rel(&stage, reached);
	wi_world_linux.wake(&stage);
}

static void *read_for_long(void *arg)
{
	wi_rcu_enter();
	reach_stage(READING);
	await_stage(FORKED);
	wi_rcu_leave();
	return arg;
}

static int wait_for_readers(void)
{
	wi_rcu_wait();
	return 0;
}

static void child_does_not_wait_for_readers_of_its_parent(void **state)
{
	pthread_t reader;
	int result;

	(void)state;
	assert_true(wi_fork_init());
	assert_int_equal(pthread_create(&reader, NULL, read_for_long, NULL), 0);
	await_stage(READING);
	result = run_child(wait_for_readers);
	reach_stage(FORKED);
	pthread_join(reader, NULL);
	assert_int_equal(result, 0);
	wi_rcu_wait(); /* the parent's own RCU goes on */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fork_is_an_epoch),
		cmocka_unit_test(child_does_not_wait_for_readers_of_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
