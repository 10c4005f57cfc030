/* SPDX-License-Identifier: BSD-2-Clause */
/* When a host is asked, on a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "route/router.h"

static weir_router r;
static struct wi_host host;

static int set_up(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	memset(&host, 0, sizeof(host));
	r.options.probe_interval_ms = 1000;
	r.options.connect_timeout_ms = 10000;
	host.router = &r;
	host.opinion.role = WEIR_ROLE_REPLICA;
	wi_rng_seed(&r.rng, 1);
	return 0;
}

/* A host was asked at 0 and answered at once; asked again after so many ms. */
static int64_t asked_after(int64_t interval_ms)
{
	r.options.probe_interval_ms = interval_ms;
	host.failures = 0;
	host.probe.begun_ns = 0;
	wi_pace_plan(&host, 0);
	return wi_pace_due(&host, 0) / WI_MS;
}

/* With jitter, of at most a tenth. */
static void assert_about(int64_t ms, int64_t wanted_ms)
{
	assert_in_range(ms, wanted_ms * 9 / 10, wanted_ms);
}

static void every_interval_when_all_is_well(void **state)
{
	(void)state;
	assert_about(asked_after(1000), 1000);
	assert_about(asked_after(100), 100);
	assert_about(asked_after(3600000), 3600000);
}

/* Ten times as often: never slower than 100 ms, never faster than 10 ms. */
static void faster_while_something_is_wrong(void **state)
{
	(void)state;
	wi_pace_alarm(&r, 0);
	assert_about(asked_after(100), 10);
	assert_about(asked_after(500), 50);
	assert_about(asked_after(1000), 100);
	assert_about(asked_after(3600000), 100);
	assert_int_equal(asked_after(10), 10);
	/* The sign is seen after the next question was planned: it counts all the same. */
	r.alarmed_until_ns = 0;
	assert_about(asked_after(1000), 1000);
	wi_pace_alarm(&r, 0);
	assert_about(wi_pace_due(&host, 0) / WI_MS, 100);
}

static void calm_after(void **state)
{
	(void)state;
	wi_pace_alarm(&r, 0);
	host.probe.begun_ns = 60 * WI_SEC;
	wi_pace_plan(&host, 60 * WI_SEC);
	assert_about((wi_pace_due(&host, 60 * WI_SEC) - 60 * WI_SEC) / WI_MS, 1000);
	/* For a while after a change, still every 100 ms. */
	r.restless_until_ns = 61 * WI_SEC;
	assert_about((wi_pace_due(&host, 60 * WI_SEC) - 60 * WI_SEC) / WI_MS, 100);
}

static void a_failing_host_is_asked_less_and_less(void **state)
{
	static const int64_t wanted[] = {10, 20, 40, 80, 100, 100};

	(void)state;
	r.options.probe_interval_ms = 100;
	host.opinion.role = WEIR_ROLE_UNKNOWN;
	for (size_t i = 0; i < WI_ARRAY_LEN(wanted); i++) {
		host.failures++;
		wi_pace_plan(&host, 0);
		assert_about(wi_pace_due(&host, 0) / WI_MS, wanted[i]);
	}
	/* What asking soon does not mend has longer pauses. */
	host.failures = 1;
	host.probe.found.failure.fault = WI_FAULT_AUTH;
	wi_pace_plan(&host, 0);
	assert_about(wi_pace_due(&host, 0) / WI_MS, 100);
	host.failures = 9;
	wi_pace_plan(&host, 0);
	assert_about(wi_pace_due(&host, 0) / WI_MS, 5000);
}

/* One that is held is asked when that ends, whatever the interval. */
static void a_held_host_is_asked_when_that_ends(void **state)
{
	(void)state;
	wi_store_rlx(&host.held_until_ns, 700 * WI_MS);
	assert_int_equal(asked_after(3600000), 700);
}

static void trouble_asks_at_once(void **state)
{
	(void)state;
	host.trouble = true;
	assert_int_equal(asked_after(1000), 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(every_interval_when_all_is_well),
		TEST(faster_while_something_is_wrong),
		TEST(calm_after),
		TEST(a_failing_host_is_asked_less_and_less),
		TEST(a_held_host_is_asked_when_that_ends),
		TEST(trouble_asks_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
