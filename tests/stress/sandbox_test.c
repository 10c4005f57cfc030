/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sandbox that forbids membarrier(2). Put up before the first core is made: the core never trusts
 * its owners' light fences. Put up while the core is in use: the core notices at the next use of
 * the heavy fence, and goes on with full ones. Either way every history is as it should be.
 *
 * A filter put up so late is no use to a whole program: liburcu, once it has found membarrier, ends
 * the process at the next grace period without it. So nothing is closed here after a late filter.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/core_store.h"
#include "support/sandbox.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define NO_FILTERS 77

static const struct test_shape shapes[] = {
	{.name = "as many as there are",
         .threads = 6,
         .values = 6,
         .at_once = 2,
         .tries = 4,
         .shorts = 2,
         .sweep = true},
	{.name = "now enough, now not",
         .threads = 8,
         .values = 4,
         .tries = 2,
         .shorts = 3,
         .hold_ns = 50000,
         .pause_ns = 100000,
         .pauses = 2,
         .sweep = true},
	{.name = "few",
         .threads = 12,
         .values = 2,
         .tries = 1,
         .shorts = 3,
         .pause_one_in = 24,
         .sweep = true},
};

static struct test_history history;

static bool is_never_biased(void)
{
	return wi_load_rlx(&test_core.bias.word) & WI_BIAS_NEVER;
}

/* What a child does; 0, or its exit status. */
static int complain(const char *about, const char *wrong)
{
	printf("%s: %s\n", about, wrong);
	return 1;
}

/* Runs a shape in a core that was just opened: what is wrong, or NULL. */
static const char *run_shape(const struct test_shape *s, const struct test_store *store)
{
	struct test_history_facts facts = {0};
	const char *wrong = test_shape_run(s, store, &history, test_seconds(0.5));

	if (!wrong)
		wrong = test_history_audit(&history);
	/*
	 * If nobody has needed the heavy fence since it was forbidden, as the bias has lingered
	 * away all the time since the last one, this one does.
	 */
	wi_bias_restore(&test_core.bias);
	wi_bias_revoke(&test_core.bias);
	wi_bias_release(&test_core.bias);
	if (!wrong)
		wrong = test_core_audit(s->values, history.n_takes);
	test_history_add_facts(&history, &facts);
	test_history_print(s->name, s->pause_one_in, &facts);
	return wrong;
}

static int forbidden_from_the_start(int error)
{
	if (!test_forbid(SYS_membarrier, error, false))
		return NO_FILTERS;
	if (!test_shapes_init(&history, 16))
		return complain("history", "no memory");
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct test_shape *s = &shapes[i];
		const char *wrong;

		if (!test_core_open(s->values))
			return complain(s->name, "no core");
		if (!is_never_biased())
			return complain(s->name, "is biased");
		wrong = run_shape(s, &test_core_store);
		if (!is_never_biased())
			return complain(s->name, "trusts in a fence that never was");
		if (wrong)
			return complain(s->name, wrong);
		test_core_close();
	}
	return 0;
}

/* ---- late ---- */

#define EARLY 500  /* takes: everybody is busy by then, and most is still to come */
#define AWHILE 200 /* takes by each without the fence */

static _Atomic uint32_t takes;
static _Atomic bool is_forbidden;
static _Atomic int refusal; /* errno of a filter that could not be put up */

static void forbid_now(void)
{
	if (!test_forbid(SYS_membarrier, EPERM, true))
		wi_store_rlx(&refusal, errno);
	wi_store_rel(&is_forbidden, true);
}

/*
 * One of the takers puts the filter up, while everybody is busy. The bias is restored whenever it
 * can be: where so many want so few, hardly anybody would need the fence again.
 */
static bool take_and_forbid(struct test_op *op, int64_t timeout_ns)
{
	if (wi_add_rlx(&takes, 1) == EARLY)
		forbid_now();
	wi_bias_restore(&test_core.bias);
	return test_core_store.take(op, timeout_ns);
}

static int forbidden_later(int unused)
{
	const struct test_shape *s = &shapes[0];
	struct test_store store = test_core_store;
	const char *wrong = NULL;

	(void)unused;
	if (!wi_world_linux.fence_heavy())
		return NO_FILTERS; /* there is none to be lost */
	if (!test_shapes_init(&history, 16))
		return complain("history", "no memory");
	store.take = take_and_forbid;
	/* A machine that has no time for us may need several runs before so many have taken. */
	while (!wrong && !wi_load_acq(&is_forbidden)) {
		if (!test_core_open(s->values))
			return complain(s->name, "no core");
		if (is_never_biased())
			return complain(s->name, "is not biased");
		wrong = run_shape(s, &store);
		if (!wi_load_acq(&is_forbidden))
			test_core_close();
	}
	if (wi_load_rlx(&refusal))
		return NO_FILTERS;
	if (!wrong && !is_never_biased())
		wrong = "trusts in a fence that is gone";
	return wrong ? complain(s->name, wrong) : 0;
}

static struct wi_fake_server server;
static weir_pool *pool;

/* Goes on until it has also been used for a while without. */
static void use_pool(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop) || self->count[1] < AWHILE) {
		weir_conn *conn = NULL;
		weir_status st = weir_pool_checkout(pool, wi_rng_below(&self->rng, 3), &conn, NULL);

		self->count[1] += wi_load_acq(&is_forbidden);
		if (st == WEIR_OK)
			self->count[0]++;
		else if (st != WEIR_TIMEOUT && st != WEIR_EXHAUSTED)
			test_wrong(self, "%s", weir_status_name(st));
		if (wi_rng_below(&self->rng, 16) == 0)
			test_nap(50000);
		if (wi_add_rlx(&takes, 1) == EARLY)
			forbid_now();
		weir_checkin(&conn);
	}
}

static int forbidden_while_a_pool_is_used(int unused)
{
	struct test_thread reports[8];
	weir_pool_stats s;
	weir_options o;

	(void)unused;
	weir_options_init(&o);
	o.pool_max = 4;
	wi_fake_server_init(&server);
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                      &pool, NULL) != WEIR_OK)
		return complain("the pool", "does not open");
	test_threads_run(8, use_pool, NULL, test_seconds(1), reports);
	if (wi_load_rlx(&refusal))
		return NO_FILTERS;
	if (test_first_wrong(reports, 8))
		return complain("the pool", test_first_wrong(reports, 8));
	do { /* the watchdog's parent ends a pool that never is at rest */
		test_nap(WI_MS);
		weir_pool_stats_get(pool, &s);
	} while (s.busy || s.kept || s.idle != s.total);
	if (s.checkouts != test_sum(reports, 8, 0) || s.checkins != s.checkouts)
		return complain("the pool", "miscounts");
	printf("%llu checkouts\n", (unsigned long long)s.checkouts);
	return 0;
}

/* ---- children ---- */

static void in_a_child(int (*body)(int), int argument)
{
	pid_t child;
	int status = 0;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		test_watchdog(120, "stress.sandbox, a child");
		status = body(argument);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS) {
		printf("skipped: no filter on system calls, or no membarrier, here\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_strict_sandbox_from_the_start(void **state)
{
	(void)state;
	in_a_child(forbidden_from_the_start, EPERM);
}

static void an_old_kernel(void **state)
{
	(void)state;
	in_a_child(forbidden_from_the_start, ENOSYS);
}

static void a_sandbox_put_up_while_the_core_is_in_use(void **state)
{
	(void)state;
	in_a_child(forbidden_later, 0);
}

static void a_sandbox_put_up_while_a_pool_is_in_use(void **state)
{
	(void)state;
	in_a_child(forbidden_while_a_pool_is_used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_strict_sandbox_from_the_start),
		cmocka_unit_test(an_old_kernel),
		cmocka_unit_test(a_sandbox_put_up_while_the_core_is_in_use),
		cmocka_unit_test(a_sandbox_put_up_while_a_pool_is_in_use),
	};

	(void)test_seed();
	test_watchdog(280, "stress.sandbox");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
