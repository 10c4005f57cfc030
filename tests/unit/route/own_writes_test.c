/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of positions, read while the keeper publishes the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <weir/token.h>

#include "base/atomic.h"
#include "base/world.h"
#include "route/router.h"

static weir_router *router;

static void say_where_it_is(uint64_t lsn)
{
	wi_floor_tend(router, &(struct wi_sight){
				      .asked_ns = router->world->now(), .timeline = 1, .lsn = lsn});
}

/* While somebody looks, between the one word and the other. */
static void resolve(const char *point)
{
	if (strcmp(point, "floor.reached.looked") == 0)
		say_where_it_is(160);
}

static void no_read_slips_between_a_doubt_and_its_end(void **state)
{
	const weir_token unknown = WEIR_TOKEN_PRIMARY;

	(void)state;
	wi_floor_raise(router, &(weir_token){.timeline = 1, .lsn = 80});
	assert_true(wi_floor_is_reached(router, 1, 80));
	wi_floor_raise(router, &unknown);
	wi_store_rel(&wi_yield_hook, resolve);
	assert_false(wi_floor_is_reached(router, 1, 80));
	wi_store_rel(&wi_yield_hook, NULL);
	assert_false(wi_floor_is_reached(router, 1, 80));
	assert_true(wi_floor_is_reached(router, 1, 160));
}

/* The keeper publishes another timeline, and the position on it, meanwhile. */
static struct wi_host host;

static void rewind_host(const char *point)
{
	if (strcmp(point, "fresh.reached.looked") != 0)
		return;
	wi_store_rlx(&host.lsn, 0);
	wi_store_rel(&host.timeline, 2);
	wi_store_rel(&host.lsn, 500);
}

static void a_position_is_not_of_another_timeline(void **state)
{
	struct wi_topology topology = {.primary = &host, .timeline = 2, .system = 7};
	struct wi_wish wish = {.bounded = true,
	                       .at_least = {.system = 7, .timeline = 2, .lsn = 800}};

	(void)state;
	wi_store_rlx(&host.timeline, 1);
	wi_store_rlx(&host.lsn, 1000);
	wi_store_rel(&wi_yield_hook, rewind_host);
	assert_int_not_equal(wi_freshness_of(router, &topology, &host, &wish), WI_FRESH);
	wish.at_least = (weir_token){.system = 7, .timeline = 1, .lsn = 400};
	topology.primary = NULL;
	wi_store_rlx(&host.timeline, 1);
	wi_store_rlx(&host.lsn, 100);
	assert_int_not_equal(wi_freshness_of(router, &topology, &host, &wish), WI_FRESH);
	wi_store_rel(&wi_yield_hook, NULL);
}

static void a_floor_that_is_forgotten_leaves_a_doubt(void **state)
{
	(void)state;
	wi_floor_raise(router, &(weir_token){.timeline = 3, .lsn = 8000});
	assert_false(wi_floor_allows(router, 1));
	wi_floor_forget(router);
	assert_true(wi_floor_allows(router, 1));
	assert_false(wi_floor_is_reached(router, 1, 80));
	say_where_it_is(80);
	assert_true(wi_floor_is_reached(router, 1, 80));
	assert_false(wi_floor_is_reached(router, 1, 72));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_position_is_not_of_another_timeline),
		cmocka_unit_test(no_read_slips_between_a_doubt_and_its_end),
		cmocka_unit_test(a_floor_that_is_forgotten_leaves_a_doubt),
	};
	static weir_router fresh;

	fresh.world = &wi_world_linux;
	router = &fresh;
	router->own_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
