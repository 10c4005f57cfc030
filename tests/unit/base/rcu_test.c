/* SPDX-License-Identifier: BSD-2-Clause */
/* Readers beside a writer that replaces and frees: nobody reads freed memory. */
#include "base/rcu.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"

#define READERS 3
#define REPLACEMENTS 200

struct snapshot {
	uint64_t number;
	uint64_t twice; /* 2 * number for as long as it may be read */
};

static struct snapshot *_Atomic published;
static _Atomic bool over;

struct reader {
	pthread_t thread;
	uint64_t torn, backwards;
};

static void *read_on(void *arg)
{
	struct reader *me = arg;
	uint64_t last = 0;

	while (!wi_load_acq(&over)) {
		struct snapshot *s;

		wi_rcu_enter();
		s = wi_load_acq(&published);
		me->torn += s->twice != 2 * s->number;
		me->backwards += s->number < last;
		last = s->number;
		wi_rcu_leave();
	}
	return NULL;
}

static struct snapshot *make(uint64_t number)
{
	struct snapshot *s = wi_alloc(sizeof(*s));

	if (s)
		*s = (struct snapshot){number, 2 * number};
	return s;
}

static void replaced_snapshots_are_freed_after_their_readers(void **state)
{
	struct reader readers[READERS] = {0};
	size_t blocks = wi_alloc_blocks();

	(void)state;
	wi_store_rel(&published, make(1));
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	for (uint64_t n = 2; n < REPLACEMENTS; n++) {
		struct snapshot *old = wi_swap_acq_rel(&published, make(n));

		wi_rcu_wait();
		old->twice = 0; /* a reader that is still there would see it */
		wi_free(old, sizeof(*old));
	}
	wi_store_rel(&over, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(readers[i].torn, 0);
		assert_int_equal(readers[i].backwards, 0);
	}
	wi_free(wi_swap_acq_rel(&published, NULL), sizeof(struct snapshot));
	assert_int_equal(wi_alloc_blocks(), blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaced_snapshots_are_freed_after_their_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
