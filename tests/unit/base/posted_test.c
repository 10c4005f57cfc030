/* SPDX-License-Identifier: BSD-2-Clause */
/* A posted value: read whole, also beside a writer that was stopped in the middle. */
#include "base/posted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct wi_posted posted;

static void nothing_is_read_before_the_first(void **state)
{
	uint64_t v;

	(void)state;
	wi_posted_init(&posted);
	assert_false(wi_posted_read(&posted, &v, sizeof(v)));
}

static void the_last_is_read(void **state)
{
	(void)state;
	wi_posted_init(&posted);
	for (uint64_t i = 1; i < 10; i++) {
		uint64_t v = i, seen = 0;

		wi_post(&posted, &v, sizeof(v));
		assert_true(wi_posted_read(&posted, &seen, sizeof(seen)));
		assert_int_equal(seen, i);
	}
}

static void a_writer_that_was_stopped_hides_nothing(void **state)
{
	uint64_t v[2] = {7, 8}, seen[2] = {0};

	(void)state;
	wi_posted_init(&posted);
	wi_post(&posted, v, sizeof(v));
	/* the next post, before its end */
	wi_store_rel(&posted.word[(wi_load_rlx(&posted.posts) + 1) % 2][0], 99);
	assert_true(wi_posted_read(&posted, seen, sizeof(seen)));
	assert_memory_equal(seen, v, sizeof(v));
}

static void the_count_wraps_around(void **state)
{
	uint64_t v = 1, seen = 0;

	(void)state;
	wi_posted_init(&posted);
	wi_store_rlx(&posted.posts, UINT32_MAX - 1);
	for (int i = 0; i < 4; i++, v++) {
		wi_post(&posted, &v, sizeof(v));
		assert_true(wi_posted_read(&posted, &seen, sizeof(seen)));
		assert_int_equal(seen, v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_read_before_the_first),
		cmocka_unit_test(the_last_is_read),
		cmocka_unit_test(a_writer_that_was_stopped_hides_nothing),
		cmocka_unit_test(the_count_wraps_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
