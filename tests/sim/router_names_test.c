/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A name that leads to several hosts (option several_addresses): who comes with a new address, who
 * goes with an old one, and that a lookup that fails says nothing. The resolver is this program's
 * own getaddrinfo: 10.0.0.1 is the cluster's server 0, and so on.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 20000

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;
static _Atomic int told[WEIR_EVENT_KINDS];

/* ---- the resolver ---- */

static _Atomic uint32_t leads_to; /* a bit a server; 0: the lookup fails */
static _Atomic uint32_t for_once; /* the same for the next lookup alone; 0: none */
static _Atomic int lookups;

struct made {
	struct addrinfo info;
	struct sockaddr_in address;
};

static struct addrinfo *make(int server, struct addrinfo *next)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->address.sin_family = AF_INET;
	m->address.sin_addr.s_addr = htonl(0x0a000001 + (uint32_t)server);
	m->info.ai_family = AF_INET;
	m->info.ai_addr = (struct sockaddr *)&m->address;
	m->info.ai_addrlen = sizeof(m->address);
	m->info.ai_next = next;
	return &m->info;
}

void freeaddrinfo(struct addrinfo *found)
{
	struct addrinfo *next;

	for (; found; found = next) {
		next = found->ai_next;
		free(found);
	}
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
	uint32_t once = wi_swap_seq(&for_once, 0);
	uint32_t to = once ? once : wi_load_seq(&leads_to);

	(void)host;
	(void)service;
	(void)hints;
	*found = NULL;
	wi_add_seq(&lookups, 1);
	if (!to)
		return EAI_AGAIN;
	for (int i = 0; i < FAKE_HOSTS; i++)
		if (to >> i & 1)
			*found = make(i, *found);
	return 0;
}

/* ---- the scene ---- */

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	wi_add_seq(&told[event->kind], 1);
}

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 5);
	weir_options_init(&options);
	options.probe_interval_ms = 50;
	options.checkout_timeout_ms = PATIENCE_MS;
	options.pool_min = 1;
	options.pool_max = 2;
	options.several_addresses = true;
	options.lookup_interval_ms = 100;
	options.on_event = hear;
	wi_store_seq(&lookups, 0);
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		wi_store_seq(&told[i], 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void *script_of(void *arg, const struct wi_endpoint *e)
{
	const char *dot = strrchr(e->hostaddr, '.');
	int i = dot ? atoi(dot + 1) - 1 : 0;

	(void)arg;
	return &cluster.host[i].server;
}

static void open_at(const char *conninfo, uint32_t to)
{
	const struct wi_router_config config = {.driver = &wi_driver_fake,
	                                        .world = &wi_world_linux,
	                                        .scripts = cluster.scripts,
	                                        .n_scripts = 2,
	                                        .script_of = script_of};

	wi_store_seq(&leads_to, to);
	if (wi_router_open_with(&config, conninfo, &options, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void a_moment(void)
{
	const struct timespec some = {.tv_nsec = 1000000};

	nanosleep(&some, NULL);
}

/* The stats of server i's host; false: it has none in the set. */
static bool find(int i, weir_host_stats *found)
{
	weir_host_stats stats[WI_HOSTS_MAX];
	size_t n = weir_router_stats_get(router, stats, WI_HOSTS_MAX);
	char name[64];

	snprintf(name, sizeof(name), "db.test:5432 (10.0.0.%d)", i + 1);
	for (size_t k = 0; k < n; k++) {
		if (stats[k].leaving || strcmp(stats[k].host, name) != 0)
			continue;
		*found = stats[k];
		return true;
	}
	return false;
}

static void await_role(int i, weir_role role)
{
	weir_host_stats s;

	while (!find(i, &s) || s.role != role)
		a_moment();
}

static void await_gone(int i)
{
	weir_host_stats s;

	while (find(i, &s))
		a_moment();
}

/* So many lookups have begun since now. */
static void await_lookups(int n)
{
	int until = wi_load_seq(&lookups) + n;

	while (wi_load_seq(&lookups) < until)
		a_moment();
}

static weir_conn *checkout(weir_intent intent, int *server)
{
	weir_conn *c = NULL;
	weir_conn_info info;
	const char *at;

	if (weir_checkout(router, intent, &c, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	at = strstr(info.host, "(10.0.0.");
	assert_non_null(at);
	*server = atoi(at + strlen("(10.0.0.")) - 1;
	return c;
}

/* ---- tests ---- */

static void each_address_is_a_host(void **state)
{
	int server, reads[FAKE_HOSTS] = {0};
	weir_conn *c;

	(void)state;
	open_at("postgresql://app@db.test/shop", 7);
	for (int i = 0; i < 3; i++)
		await_role(i, i ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY);
	c = checkout(WEIR_WRITE, &server);
	assert_int_equal(server, 0);
	weir_checkin(&c);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	for (int i = 0; i < 400 || !reads[1] || !reads[2]; i++) {
		c = checkout(WEIR_READ, &server);
		reads[server]++;
		weir_checkin(&c);
		if (!reads[1] || !reads[2])
			a_moment();
	}
	assert_int_equal(reads[0], 0);
	/* Nobody connected for the one that stood in for them. */
	while (weir_router_stats_get(router, NULL, 0) != 3)
		a_moment();
}

static void a_new_address_is_a_new_host(void **state)
{
	(void)state;
	open_at("postgresql://app@db.test/shop", 3);
	await_role(1, WEIR_ROLE_REPLICA);
	wi_store_seq(&leads_to, 7);
	await_role(2, WEIR_ROLE_REPLICA);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_ADDED]), 3);
}

static void one_that_is_gone_is_drained_and_removed(void **state)
{
	weir_conn *c;
	weir_conn_info info;
	int server;

	(void)state;
	open_at("postgresql://app@db.test/shop", 3);
	await_role(1, WEIR_ROLE_REPLICA);
	c = checkout(WEIR_READ, &server);
	assert_int_equal(server, 1);
	wi_store_seq(&leads_to, 5);
	await_role(2, WEIR_ROLE_REPLICA);
	await_gone(1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_CHANGED]), 1); /* drained first */
	/* What is out stays good. */
	while (wi_load_rlx(&cluster.host[1].server.sessions) > 1)
		a_moment(); /* the idle ones go, and the probe's */
	assert_int_equal(wi_load_rlx(&cluster.host[1].server.sessions), 1);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	weir_checkin(&c);
	while (wi_load_rlx(&cluster.host[1].server.sessions))
		a_moment();
}

static void a_lookup_that_fails_says_nothing(void **state)
{
	weir_host_stats s;

	(void)state;
	open_at("postgresql://app@db.test/shop", 3);
	await_role(1, WEIR_ROLE_REPLICA);
	wi_store_seq(&leads_to, 0);
	await_lookups(4);
	for (int i = 0; i < 2; i++) {
		assert_true(find(i, &s));
		assert_false(s.drained);
		assert_true(s.reachable);
	}
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_CHANGED]), 0);
}

/* Some resolvers tell a part at a time. */
static void one_that_is_missing_once_comes_back(void **state)
{
	weir_host_stats s;

	(void)state;
	open_at("postgresql://app@db.test/shop", 3);
	await_role(1, WEIR_ROLE_REPLICA);
	wi_store_seq(&for_once, 1);
	while (wi_load_seq(&told[WEIR_EVENT_HOST_CHANGED]) < 2)
		a_moment();
	assert_true(find(1, &s));
	assert_false(s.drained);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_REMOVED]), 1); /* who stood in */
}

static void a_dead_resolver_is_told_and_waited_for(void **state)
{
	weir_host_stats s;
	weir_conn *c = NULL;
	int server;

	(void)state;
	options.breaker_failures = 0; /* else nobody waits for a host that is dead for long */
	open_at("postgresql://app@db.test/shop", 0);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 300), &c, &error),
	                 WEIR_UNAVAILABLE);
	do {
		a_moment(); /* until the first lookup has failed, that there was no answer is all */
		assert_int_equal(weir_router_stats_get(router, &s, 1), 1);
	} while (!strstr(s.last_error, "cannot look up"));
	assert_string_equal(s.host, "db.test:5432");
	wi_store_seq(&leads_to, 3);
	await_role(0, WEIR_ROLE_PRIMARY); /* until then the name itself may lead there */
	c = checkout(WEIR_WRITE, &server);
	assert_int_equal(server, 0);
	weir_checkin(&c);
}

static void what_is_said_of_a_name_holds_for_its_addresses(void **state)
{
	weir_host_stats s;
	weir_host_settings settings;

	(void)state;
	open_at("postgresql://app@10.0.0.5,db.test/shop", 6);
	await_role(1, WEIR_ROLE_REPLICA);
	await_role(2, WEIR_ROLE_REPLICA);
	weir_host_settings_init(&settings);
	settings.weight = 10;
	assert_int_equal(weir_router_host_set(router, "db.test", &settings, &error), WEIR_OK);
	assert_int_equal(weir_router_host_drain(router, "10.0.0.2", true, &error), WEIR_OK);
	wi_store_seq(&leads_to, 14);
	await_role(3, WEIR_ROLE_REPLICA);
	for (int i = 1; i < 4; i++) {
		assert_true(find(i, &s));
		assert_int_equal(s.weight, 10);
		assert_int_equal(s.drained, i == 1);
	}
	assert_int_equal(weir_router_evict(router, "db.test:5432"), WEIR_OK);
	assert_int_equal(weir_router_host_remove(router, "10.0.0.2", &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "remove db.test:5432"));
	assert_int_equal(weir_router_host_remove(router, "db.test", &error), WEIR_OK);
	while (weir_router_stats_get(router, NULL, 0) != 1)
		a_moment();
	assert_int_equal(weir_router_host_add(router, "db.test", NULL, &error), WEIR_OK);
	await_role(3, WEIR_ROLE_REPLICA);
	assert_int_equal(weir_router_host_remove(router, "10.0.0.5", &error), WEIR_OK);
	assert_int_equal(weir_router_host_remove(router, "db.test:5432", &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "last host"));
}

static void off_a_name_is_one_host(void **state)
{
	weir_host_stats s[2];

	(void)state;
	options.several_addresses = false;
	open_at("postgresql://app@db.test/shop", 1);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(weir_router_stats_get(router, s, 2), 1);
	assert_string_equal(s[0].host, "db.test:5432");
	assert_int_equal(s[0].role, WEIR_ROLE_PRIMARY);
}

/*
 * A service's name leads to the new primary a while after the old one has become a standby, and
 * that goes on answering. (The fake servers know no addresses: that it was looked up and connected
 * to again is what can be seen.)
 */
static void a_name_that_leads_to_a_standby_is_looked_up_again(void)
{
	weir_host_stats stats[2];

	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	options.several_addresses = false;
	options.pool_min = 0;
	open_at("postgresql://app@db.test/shop", 1);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	while (wi_load_seq(&lookups) < 2 || wi_load_rlx(&cluster.host[0].server.connects) < 2)
		a_moment();
	wi_store_rlx(&cluster.host[0].server.in_recovery, false);
	do {
		a_moment();
		assert_true(weir_router_stats_get(router, stats, 2) > 0);
	} while (stats[0].role != WEIR_ROLE_PRIMARY);
}

static void a_lone_name_is_followed_to_the_new_primary(void **state)
{
	(void)state;
	a_name_that_leads_to_a_standby_is_looked_up_again();
}

static void a_writer_endpoint_is_followed_to_the_new_primary(void **state)
{
	(void)state;
	snprintf(options.primary, sizeof(options.primary), "db.test");
	snprintf(options.replicas, sizeof(options.replicas), "10.0.0.2");
	a_name_that_leads_to_a_standby_is_looked_up_again();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_address_is_a_host),
		TEST(a_new_address_is_a_new_host),
		TEST(one_that_is_gone_is_drained_and_removed),
		TEST(a_lookup_that_fails_says_nothing),
		TEST(one_that_is_missing_once_comes_back),
		TEST(a_dead_resolver_is_told_and_waited_for),
		TEST(what_is_said_of_a_name_holds_for_its_addresses),
		TEST(off_a_name_is_one_host),
		TEST(a_lone_name_is_followed_to_the_new_primary),
		TEST(a_writer_endpoint_is_followed_to_the_new_primary),
	};

	test_watchdog(120, "the simulation of names that lead to several hosts");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
