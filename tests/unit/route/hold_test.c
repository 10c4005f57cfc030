/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a host that fails again and again is held, on a clock of the test's. */
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
static struct wi_host hosts[2];
static int64_t now_ms;

static int64_t now_ns(void)
{
	return now_ms * WI_MS;
}

static int set_up(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	memset(hosts, 0, sizeof(hosts));
	r.options.hold_down_ms = 1000;
	for (uint32_t i = 0; i < 2; i++) {
		hosts[i].router = &r;
		hosts[i].number = i;
		wi_store_rlx(&r.place[i], &hosts[i]);
	}
	now_ms = 1000000;
	return 0;
}

/*
 * What a judge would say of two hosts that answer or do not, and what is left of it. The roles are
 * those that the hosts have if they answer.
 */
static void judge(weir_role first, weir_role second)
{
	const weir_role roles[] = {first, second};
	struct wi_judgement j = {.primary = -1};

	for (int i = 0; i < 2; i++) {
		hosts[i].opinion = (struct wi_opinion){
			.role = hosts[i].good_ns ? roles[i] : WEIR_ROLE_UNKNOWN};
		if (hosts[i].opinion.role == WEIR_ROLE_PRIMARY)
			j.primary = i;
	}
	wi_hold_down(&r, &j, now_ns());
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hosts[i].opinion.role == WEIR_ROLE_PRIMARY, j.primary == i);
		assert_int_equal(hosts[i].opinion.objection == WI_OBJECTION_HELD,
		                 wi_load_rlx(&hosts[i].held_until_ns) > now_ns());
	}
}

/* Host 1, a replica, beside a primary that answers. */
static bool serves_beside_another(void)
{
	wi_hold_good(&hosts[0], now_ns());
	judge(WEIR_ROLE_PRIMARY, WEIR_ROLE_REPLICA);
	return hosts[1].opinion.role == WEIR_ROLE_REPLICA;
}

/* It answers, from now on, until it serves; how long that takes. */
static int64_t comes_back_after(void)
{
	int64_t since = now_ms;

	for (; now_ms - since < 100000; now_ms += 10) {
		wi_hold_good(&hosts[1], now_ns());
		if (serves_beside_another())
			return now_ms - since;
	}
	return -1;
}

static void fall(void)
{
	wi_hold_fell(&hosts[1], now_ns());
	assert_false(serves_beside_another()); /* going is never delayed */
}

static void each_fall_holds_twice_as_long(void **state)
{
	static const int64_t wanted[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 32000};

	(void)state;
	assert_int_equal(comes_back_after(), 0);
	for (size_t i = 0; i < WI_ARRAY_LEN(wanted); i++) {
		now_ms += 20;
		fall();
		assert_int_equal(comes_back_after(), wanted[i]);
	}
}

/* It answers now and then, never for long enough: it is gone, and stays gone. */
static void who_flaps_stays_away(void **state)
{
	int changes = 0;
	bool serves = true;

	(void)state;
	comes_back_after();
	for (int64_t end = now_ms + 60000; now_ms < end; now_ms += 20) {
		bool answers = now_ms / 500 % 2;

		if (answers)
			wi_hold_good(&hosts[1], now_ns());
		else
			wi_hold_fell(&hosts[1], now_ns());
		if (serves_beside_another() == serves)
			continue;
		serves = !serves;
		changes++;
		assert_true(!serves || answers);
	}
	assert_int_equal(changes, 3); /* away, back at once, and away */
}

static void it_is_forgiven_in_the_end(void **state)
{
	(void)state;
	comes_back_after();
	for (int i = 0; i < 4; i++) {
		fall();
		comes_back_after();
	}
	now_ms += 59000; /* its last hold counts, too */
	fall();
	assert_int_equal(comes_back_after(), 0);
	fall();
	assert_int_equal(comes_back_after(), 1000);
}

/* Whom nobody replaces: the primary, and the last that can read. */
static void who_is_alone_waits_no_longer_than_once(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		wi_hold_good(&hosts[1], now_ns());
		judge(WEIR_ROLE_REPLICA, WEIR_ROLE_PRIMARY);
		hosts[1].opinion.role = WEIR_ROLE_PRIMARY;
		wi_hold_fell(&hosts[1], now_ns());
		judge(WEIR_ROLE_REPLICA, WEIR_ROLE_PRIMARY);
		assert_int_equal(hosts[1].opinion.role, WEIR_ROLE_UNKNOWN);
	}
	wi_hold_good(&hosts[1], now_ns());
	hosts[0].good_ns = 0; /* nobody else is there */
	now_ms += 999;
	judge(WEIR_ROLE_REPLICA, WEIR_ROLE_PRIMARY);
	assert_int_equal(hosts[1].opinion.role, WEIR_ROLE_UNKNOWN);
	judge(WEIR_ROLE_REPLICA, WEIR_ROLE_REPLICA);
	assert_int_equal(hosts[1].opinion.role, WEIR_ROLE_UNKNOWN);
	now_ms++;
	judge(WEIR_ROLE_REPLICA, WEIR_ROLE_PRIMARY);
	assert_int_equal(hosts[1].opinion.role, WEIR_ROLE_PRIMARY);
	judge(WEIR_ROLE_REPLICA, WEIR_ROLE_REPLICA);
	assert_int_equal(hosts[1].opinion.role, WEIR_ROLE_REPLICA);
	/* With somebody to read from, it would have to wait longer. */
	assert_false(serves_beside_another());
}

static void zero_holds_nobody(void **state)
{
	(void)state;
	r.options.hold_down_ms = 0;
	comes_back_after();
	for (int i = 0; i < 5; i++) {
		fall();
		assert_int_equal(comes_back_after(), 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(each_fall_holds_twice_as_long),
		TEST(who_flaps_stays_away),
		TEST(it_is_forgiven_in_the_end),
		TEST(who_is_alone_waits_no_longer_than_once),
		TEST(zero_holds_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
