/* SPDX-License-Identifier: BSD-2-Clause */
/* The breaker: its states, and how long it pauses. */
#include "pool/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"

static struct wi_breaker b;
static struct wi_rng rng;
static int64_t now;

static int set_up(void **state)
{
	(void)state;
	wi_breaker_init(&b, 3, 1000, 60000);
	wi_rng_seed(&rng, 42);
	now = 50 * WI_SEC;
	return 0;
}

/* One failure now; the pause it brings. */
static int64_t pause_after_failure(bool at_once)
{
	wi_breaker_failed(&b, now, now, at_once ? WI_SETBACK_LASTING : WI_SETBACK_USUAL, &rng);
	return wi_breaker_due(&b) - now;
}

static void assert_jittered(int64_t pause_ns, int64_t ms)
{
	assert_true(pause_ns >= ms * WI_MS / 2);
	assert_true(pause_ns <= ms * WI_MS);
}

static void nothing_failed_everything_goes(void **state)
{
	(void)state;
	assert_true(wi_breaker_allows(&b, now, 0));
	assert_false(wi_breaker_allows(&b, now, 1));
	assert_int_equal(wi_breaker_due(&b), 0);
	for (uint32_t window = 2; window <= 64; window++) {
		assert_false(wi_breaker_succeeded(&b));
		assert_true(wi_breaker_allows(&b, now, window - 1));
		assert_false(wi_breaker_allows(&b, now, window));
	}
	wi_breaker_lost(&b);
	assert_true(wi_breaker_allows(&b, now, 0));
	assert_false(wi_breaker_allows(&b, now, 1));
}

static void failures_pause_and_double(void **state)
{
	(void)state;
	wi_breaker_init(&b, 100, 1000, 60000);
	for (int64_t ms = 10; ms < 1000; ms *= 2)
		assert_jittered(pause_after_failure(false), ms);
	for (int i = 0; i < 80; i++)
		assert_jittered(pause_after_failure(false), 1000); /* no longer than this */
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_CLOSED);
}

static void after_a_failure_one_goes_at_a_time(void **state)
{
	(void)state;
	now += pause_after_failure(false);
	assert_false(wi_breaker_allows(&b, now - 1, 0));
	assert_true(wi_breaker_allows(&b, now, 0));
	assert_false(wi_breaker_allows(&b, now, 1));
	wi_breaker_succeeded(&b);
	assert_true(wi_breaker_allows(&b, now, 1));
	assert_false(wi_breaker_allows(&b, now, 2));
}

static void it_opens_at_the_number_of_failures(void **state)
{
	(void)state;
	assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
	assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_CLOSED);
	assert_true(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_OPEN);
	assert_jittered(wi_breaker_due(&b) - now, 1000);
	assert_false(wi_breaker_allows(&b, now, 0));
}

static void a_success_in_between_starts_the_count_again(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
		assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
		assert_false(wi_breaker_succeeded(&b));
	}
}

static void it_half_opens_for_one_and_closes_on_success(void **state)
{
	(void)state;
	now += pause_after_failure(true);
	assert_true(wi_breaker_allows(&b, now, 0));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_HALF_OPEN);
	assert_false(wi_breaker_allows(&b, now, 1));
	assert_true(wi_breaker_succeeded(&b));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_CLOSED);
	assert_false(wi_breaker_succeeded(&b)); /* told once */
	assert_true(wi_breaker_allows(&b, now, 1));
}

/* Four connects were under way when the first failed: that is one step, though four failures. */
static void those_under_way_together_make_one_step(void **state)
{
	int64_t begun = now;

	(void)state;
	now += 5 * WI_MS;
	wi_breaker_failed(&b, now, begun, WI_SETBACK_USUAL, &rng);
	assert_jittered(wi_breaker_due(&b) - now, 10);
	wi_breaker_failed(&b, now + 1, begun, WI_SETBACK_USUAL, &rng);
	assert_jittered(wi_breaker_due(&b) - now, 10);
	assert_true(wi_breaker_failed(&b, now + 2, begun, WI_SETBACK_USUAL, &rng));
	assert_jittered(wi_breaker_due(&b) - now - 2, 1000);
	assert_false(wi_breaker_failed(&b, now + 3, begun, WI_SETBACK_LASTING, &rng));
	assert_jittered(wi_breaker_due(&b) - now - 2, 1000);
}

static void a_full_server_does_not_open_it(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_FULL, &rng));
		assert_jittered(wi_breaker_due(&b) - now, i < 7 ? 10 << i : 1000);
		assert_false(wi_breaker_allows(&b, now, 0));
	}
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_CLOSED);
	/* Nor are they counted with others: it takes as many of those as ever. */
	for (int i = 1; i <= 3; i++)
		assert_int_equal(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng), i == 3);
}

static void a_starting_server_is_asked_again_soon(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		wi_breaker_failed(&b, now, now, WI_SETBACK_STARTING, &rng);
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_OPEN);
	assert_jittered(wi_breaker_due(&b) - now, 1000);
}

static void a_pause_can_be_ended(void **state)
{
	(void)state;
	assert_false(wi_breaker_retry(&b, now));
	wi_breaker_failed(&b, now, now, WI_SETBACK_LASTING, &rng);
	assert_true(wi_breaker_retry(&b, now));
	assert_true(wi_breaker_allows(&b, now, 0));
	assert_false(wi_breaker_allows(&b, now, 1)); /* one at a time all the same */
}

static void each_failed_probe_doubles_the_pause_up_to_a_minute(void **state)
{
	int64_t ms = 1000;

	(void)state;
	assert_jittered(pause_after_failure(true), ms);
	for (int i = 0; i < 20; i++) {
		now = wi_breaker_due(&b);
		assert_true(wi_breaker_allows(&b, now, 0));
		/* open already: not told again */
		assert_false(wi_breaker_failed(&b, now, now, WI_SETBACK_USUAL, &rng));
		ms = 2 * ms < 60000 ? 2 * ms : 60000;
		assert_jittered(wi_breaker_due(&b) - now, ms);
	}
	wi_breaker_succeeded(&b);
	assert_jittered(pause_after_failure(true), 1000); /* and begins anew */
}

static void refused_credentials_open_it_at_once(void **state)
{
	(void)state;
	assert_true(wi_breaker_failed(&b, now, now, WI_SETBACK_LASTING, &rng));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_OPEN);
}

static void zero_never_opens(void **state)
{
	(void)state;
	wi_breaker_init(&b, 0, 1000, 60000);
	for (int i = 0; i < 100; i++)
		assert_false(wi_breaker_failed(
			&b, now, now, i % 2 ? WI_SETBACK_LASTING : WI_SETBACK_USUAL, &rng));
	assert_int_equal(wi_load_rlx(&b.state), WI_BREAKER_CLOSED);
	assert_jittered(wi_breaker_due(&b) - now, 1000); /* but paces */
}

static void pauses_differ(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		int64_t ns;

		wi_breaker_init(&b, 1, 1000, 60000);
		ns = pause_after_failure(false);
		least = ns < least ? ns : least;
		most = ns > most ? ns : most;
	}
	assert_true(most - least > 400 * WI_MS);
}

static void the_longest_setting_does_not_overflow(void **state)
{
	(void)state;
	wi_breaker_init(&b, 1, 60000, 60000);
	for (int i = 0; i < 100; i++)
		assert_jittered(pause_after_failure(true), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_failed_everything_goes, set_up),
		cmocka_unit_test_setup(failures_pause_and_double, set_up),
		cmocka_unit_test_setup(after_a_failure_one_goes_at_a_time, set_up),
		cmocka_unit_test_setup(it_opens_at_the_number_of_failures, set_up),
		cmocka_unit_test_setup(a_success_in_between_starts_the_count_again, set_up),
		cmocka_unit_test_setup(those_under_way_together_make_one_step, set_up),
		cmocka_unit_test_setup(a_full_server_does_not_open_it, set_up),
		cmocka_unit_test_setup(a_starting_server_is_asked_again_soon, set_up),
		cmocka_unit_test_setup(a_pause_can_be_ended, set_up),
		cmocka_unit_test_setup(it_half_opens_for_one_and_closes_on_success, set_up),
		cmocka_unit_test_setup(each_failed_probe_doubles_the_pause_up_to_a_minute, set_up),
		cmocka_unit_test_setup(refused_credentials_open_it_at_once, set_up),
		cmocka_unit_test_setup(zero_never_opens, set_up),
		cmocka_unit_test_setup(pauses_differ, set_up),
		cmocka_unit_test_setup(the_longest_setting_does_not_overflow, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
