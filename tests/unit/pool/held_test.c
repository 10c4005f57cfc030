/* SPDX-License-Identifier: BSD-2-Clause */
/* For how long a connection has been out, asked while the keeper looks. */
#include "pool/held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/tend.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define LENDINGS 20000

static struct weir_conn conns[2];
static struct weir_pool pool = {.conns = conns, .n_conns = 1};
static struct weir_conn *const c = &conns[1];
static _Atomic bool over;

/* The number of each lending is the second in which it is seen. */
static void lend_and_look(void)
{
	for (uint64_t lend = 1; lend < 2 * LENDINGS; lend += 2) {
		wi_store_rel(&c->slot.lend, lend);
		for (int i = 0; i < 100; i++)
			(void)wi_load_acq(&over);
		wi_tend_glance(&pool, (int64_t)lend * WI_SEC);
	}
	wi_store_rel(&over, true);
}

static void ask(struct test_thread *self)
{
	while (!wi_load_acq(&over)) {
		uint64_t lend = wi_load_acq(&c->slot.lend);
		int64_t ns = wi_held_for_ns(c, lend, (int64_t)lend * WI_SEC);

		self->count[ns == 0]++;
		if (ns > 0)
			test_wrong(self, "lending %llu is as old as one before",
			           (unsigned long long)lend);
	}
}

static void one_looks_and_one_asks(struct test_thread *self)
{
	if (self->number == 0)
		lend_and_look();
	else
		ask(self);
}

static void what_is_out_is_never_as_old_as_what_was_out_before(void **state)
{
	struct test_thread reports[2];

	(void)state;
	c->life = WI_READY;
	test_threads_run(2, one_looks_and_one_asks, NULL, -1, reports);
	if (test_first_wrong(reports, 2))
		fail_msg("%s", test_first_wrong(reports, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_out_is_never_as_old_as_what_was_out_before),
	};

	test_watchdog(60, "unit.pool.held");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
