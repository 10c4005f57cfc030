/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 39: memory, a thread, a socket, an eventfd, an epoll or a name that cannot be had, at any
 * point: the caller is told, no connection is lost or lent twice, nothing leaks, and when there is
 * enough again all is as before. Here pools and routers on servers in the process; at a real
 * server the same is promise.39_whatever_fails_at_a_server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <weir/hosts.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "p39_lent.h"
#include "p39_scene.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

static weir_options o;
static struct fake_cluster cluster;

/* Servers come before the count of what is there, and go after it: one set for all scenes. */
static struct wi_fake_server *server_of_pool(void)
{
	return &cluster.host[FAKE_HOSTS - 1].server;
}

static uint32_t serial(const weir_conn *conn)
{
	int host = fake_host_of(conn);

	return (uint32_t)(wi_fake_serial(wi_conn_of(conn)->link) * FAKE_HOSTS +
	                  (uint64_t)(host < 0 ? FAKE_HOSTS - 1 : host));
}

static void soil(weir_conn *conn)
{
	wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
}

static bool peak_is_kept(struct wi_fake_server *s, int most, char *wrong, size_t room)
{
	if (wi_load_rlx(&s->sessions_peak) <= most)
		return true;
	snprintf(wrong, room, "%d sessions at once", wi_load_rlx(&s->sessions_peak));
	return false;
}

static bool is_alive(weir_conn *conn)
{
	struct wi_failure f;

	return wi_driver_fake.peek(wi_conn_of(conn)->link, &f);
}

/* ---- a pool ---- */

static weir_status pool_open(weir_error *error)
{
	wi_store_rlx(&server_of_pool()->sessions_peak, 0);
	return wi_pool_open_with(&wi_driver_fake, &wi_world_linux, server_of_pool(),
	                         "host=localhost", &o, &lent_pool, error);
}

static void pool_trouble(void)
{
	wi_store_rlx(&server_of_pool()->fail_connects, 4);
	wi_fake_kill(server_of_pool());
}

static bool pool_rests(char *wrong, size_t room)
{
	weir_pool_stats s;

	weir_pool_stats_get(lent_pool, &s);
	return scene_pool_rests(&s, wrong, room) &&
	       peak_is_kept(server_of_pool(), SCENE_MAX, wrong, room);
}

static const struct lender a_pool = {.name = "pool",
                                     .open = pool_open,
                                     .checkout = lent_pool_checkout,
                                     .soil = soil,
                                     .id = serial,
                                     .trouble = pool_trouble,
                                     .manage = lent_pool_manage,
                                     .is_alive = is_alive,
                                     .is_at_rest = pool_rests,
                                     .close = lent_pool_close};

/* ---- a router ---- */

static weir_status router_open(weir_error *error)
{
	for (int i = 0; i < cluster.n; i++)
		wi_store_rlx(&cluster.host[i].server.sessions_peak, 0);
	return fake_cluster_open_first(&cluster, 2, &o, &lent_router, error);
}

/* OK, or one of the words for what cannot be had. */
static bool is_done(weir_status st)
{
	wi_check(st == WEIR_OK || st == WEIR_NO_MEMORY || st == WEIR_SYSTEM);
	return st == WEIR_OK;
}

/* The third host comes, is changed, and goes, or stays where there is no memory to tell it to. */
static void router_manage(void)
{
	const weir_advice advice = {
		.size = sizeof(advice), .primary = fake_host_name(0), .good_for_ms = 1};
	weir_host_settings settings;

	lent_router_manage();
	(void)is_done(weir_router_advise(lent_router, &advice, NULL));
	if (is_done(weir_router_host_add(lent_router, fake_host_name(2), NULL, NULL))) {
		weir_host_settings_init(&settings);
		settings.weight = 50;
		(void)is_done(
			weir_router_host_set(lent_router, fake_host_name(2), &settings, NULL));
		(void)is_done(weir_router_host_drain(lent_router, fake_host_name(2), true, NULL));
		test_nap(WI_MS);
		(void)is_done(weir_router_host_remove(lent_router, fake_host_name(2), NULL));
	}
	(void)is_done(weir_router_advise(lent_router, NULL, NULL));
}

static void router_trouble(void)
{
	fake_host_down(&cluster, 1, true);
	test_nap(5 * WI_MS);
	fake_host_down(&cluster, 1, false);
	(void)wi_fake_kill(&cluster.host[0].server);
}

static bool router_rests(char *wrong, size_t room)
{
	weir_host_stats s[FAKE_HOSTS];
	int n = (int)weir_router_stats_get(lent_router, s, FAKE_HOSTS);

	for (int i = 0; i < n; i++) /* and one for the probe */
		if (!scene_pool_rests(&s[i].pool, wrong, room) ||
		    !peak_is_kept(&cluster.host[i].server, SCENE_MAX + 1, wrong, room))
			return false;
	return true;
}

static const struct lender a_router = {.name = "router",
                                       .open = router_open,
                                       .checkout = lent_router_checkout,
                                       .soil = soil,
                                       .id = serial,
                                       .trouble = router_trouble,
                                       .manage = router_manage,
                                       .is_alive = is_alive,
                                       .is_at_rest = router_rests,
                                       .close = lent_router_close};

/* ---- tests ---- */

static void a_pool_survives_whatever_fails(void **state)
{
	(void)state;
	for (int kind = 0; kind < INJECT_KINDS; kind++)
		scene_play_all(&a_pool, (enum inject)kind, 90 / test_slowness());
}

static void a_router_survives_whatever_fails(void **state)
{
	(void)state;
	for (int kind = 0; kind < INJECT_KINDS; kind++)
		scene_play_all(&a_router, (enum inject)kind, 90 / test_slowness());
}

static int set_up(void **state)
{
	(void)state;
	inject_init();
	scene_options(&o);
	fake_cluster_init(&cluster, 3);
	wi_fake_server_init(server_of_pool());
	wi_store_rlx(&server_of_pool()->goodbye_ns, 200000);
	wi_store_rlx(&server_of_pool()->connect_ns, 500000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_fake_server_fini(server_of_pool());
	fake_cluster_fini(&cluster);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_survives_whatever_fails),
		cmocka_unit_test(a_router_survives_whatever_fails),
	};

	test_watchdog(250, "promise.39_whatever_fails");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
