/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libweir-patroni in front of HTTP servers that answer as they are told: well, late, not at all,
 * elsewhere, too much, or something that cannot be. Whatever they do, the router goes by it only
 * where it is an answer, and by the servers' own words otherwise.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/patroni.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "patroni/patroni.h"
#include "support/api.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

#define LONG_MS 60000

static weir_patroni *patroni;
static weir_patroni_options p;
static char urls[256], directory[] = "/tmp/weir-patroni-XXXXXX", ca[64];

/* ---- the servers ---- */

/* Three members as the fake cluster's hosts; leader -1: none. */
static const char *members(int leader, const char *more)
{
	static char body[2048];
	int n = snprintf(body, sizeof(body), "{\"members\": [");

	for (int i = 0; i < 3; i++)
		n += snprintf(body + n, sizeof(body) - (size_t)n,
		              "%s{\"name\": \"m%d\", \"role\": \"%s\", \"host\": \"127.0.0.1\", "
		              "\"port\": %d}",
		              i ? ", " : "", i, i == leader ? "leader" : "replica", 6000 + i);
	snprintf(body + n, sizeof(body) - (size_t)n, "%s]}", more);
	return body;
}

static int start_all(void **state)
{
	(void)state;
	test_api_start(NULL);
	return 0;
}

static int stop_all(void **state)
{
	(void)state;
	test_api_stop();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	test_api_tell("reset");
	for (int i = 0, n = 0; i < API_SERVERS; i++)
		n += snprintf(urls + n, sizeof(urls) - (size_t)n, "%shttp://127.0.0.1:%d",
		              i ? "," : "", test_api_port(i));
	fake_router_begin(4);
	options.probe_interval_ms = 20;
	p = (weir_patroni_options){.size = sizeof(p),
	                           .urls = urls,
	                           .period_ms = 50,
	                           .timeout_ms = 20000,
	                           .good_for_ms = LONG_MS};
	return 0;
}

static int tear_down(void **state)
{
	weir_patroni_stop(&patroni);
	assert_null(patroni);
	return fake_router_end(state);
}

/* ---- lookups: this program's getaddrinfo stands before the C library's ---- */

static _Atomic bool resolver_hangs;
static _Atomic int in_resolver;

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	typedef int look_up(const char *, const char *, const struct addrinfo *,
	                    struct addrinfo **);
	void *behind = dlsym(RTLD_NEXT, "getaddrinfo");
	look_up *real;

	memcpy(&real, &behind, sizeof(real));
	if (!node || strcmp(node, "no-answer.test") != 0)
		return real(node, service, hints, found);
	wi_add_seq(&in_resolver, 1);
	while (wi_load_seq(&resolver_hangs))
		usleep(1000);
	wi_sub_seq(&in_resolver, 1);
	return EAI_AGAIN;
}

/* ---- the router ---- */

static void start(void)
{
	if (!router) {
		assert_int_equal(fake_cluster_open_first(&cluster, 3, &options, &router, &said),
		                 WEIR_OK);
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
	}
	if (weir_patroni_start(router, &p, &patroni, &said) != WEIR_OK)
		fail_msg("%s", said.text);
}

static weir_patroni_info info(void)
{
	weir_patroni_info now = {.size = sizeof(now)};

	weir_patroni_info_get(patroni, &now);
	return now;
}

/* Until so many more questions have ended. */
static weir_patroni_info await(uint64_t answers, uint64_t failures)
{
	weir_patroni_info first = info(), now = first;
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	while ((now.answers < first.answers + answers ||
	        now.failures < first.failures + failures) &&
	       wi_now_ns() < until_ns) {
		usleep(1000);
		now = info();
	}
	assert_true(now.answers >= first.answers + answers);
	assert_true(now.failures >= first.failures + failures);
	return now;
}

/*
 * So many answers in a row for which nobody but server i was asked: an answer that is late has the
 * next one asked as well, and on a busy machine any may be.
 */
static void await_only(int i, uint64_t answers)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	int others;

	do {
		others =
			test_api_hits((i + 1) % API_SERVERS) + test_api_hits((i + 2) % API_SERVERS);
		await(answers, 0);
		if (test_api_hits((i + 1) % API_SERVERS) + test_api_hits((i + 2) % API_SERVERS) ==
		    others)
			return;
	} while (wi_now_ns() < until_ns);
	fail_msg("others than server %d are asked again and again", i);
}

static int write_to(int64_t timeout_ms)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = timeout_ms);
	int host;

	return try_visit(&q, &host, NULL) == WEIR_OK ? host : -1;
}

static void wait_for_write_to(int host)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	while (write_to(WEIR_NO_WAIT) != host) {
		assert_true(wi_now_ns() < until_ns);
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
	}
}

/* Hosts 0 and 1 both think they are the primary: only an advice brings a write through. */
static void make_tie(void)
{
	wi_store_rlx(&cluster.host[1].server.timeline,
	             wi_load_rlx(&cluster.host[0].server.timeline));
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
}

/* ---- good answers ---- */

static void what_patroni_says_is_an_advice(void **state)
{
	(void)state;
	make_tie();
	test_api_tell("0 ok %s", members(1, ""));
	start();
	assert_int_equal(write_to(20000), 1);
	await(1, 0);
	assert_string_equal(info().leader, fake_host_name(1));
	assert_int_equal(info().members, 3);
	await_only(0, 2); /* one healthy API is enough */
	test_api_tell("0 ok %s", members(0, ""));
	wait_for_write_to(0);
	test_api_tell("0 ok %s", members(-1, ""));
	wait_for_write_to(-1);
	test_api_tell("0 ok %s", members(0, ""));
	wait_for_write_to(0);
	/* Stopped: the router is alone with two primaries again. */
	weir_patroni_stop(&patroni);
	wait_for_write_to(-1);
}

static void in_maintenance_nobody_is_no_word(void **state)
{
	(void)state;
	test_api_tell("0 ok %s",
	              "{\"members\": [{\"host\": \"127.0.0.1\", \"port\": 6000, \"role\": "
	              "\"replica\"}], \"pause\": true}");
	start();
	await(2, 0);
	assert_int_equal(write_to(20000), 0);
}

static void a_dead_a_silent_and_a_good_server(void **state)
{
	(void)state;
	make_tie();
	test_api_tell("0 drop");
	test_api_tell("1 hang");
	test_api_tell("2 ok %s", members(1, ""));
	start();
	assert_int_equal(write_to(20000), 1);
	/* Who has answered is asked first from then on. */
	await_only(2, 5);
	test_api_tell("2 status 500");
	test_api_tell("1 ok %s", members(0, ""));
	wait_for_write_to(0);
}

static void the_password_is_sent_and_never_told(void **state)
{
	char url[64];

	(void)state;
	p.user_name = "weir";
	p.password = "s3cret-word";
	test_api_tell("0 ok %s", members(0, ""));
	start();
	await(1, 0);
	test_api_tell("hits 0");
	assert_non_null(strstr(test_api_answer(), "Basic d2VpcjpzM2NyZXQtd29yZA=="));
	assert_non_null(strstr(test_api_answer(), "\"/cluster\""));
	for (int i = 0; i < API_SERVERS; i++)
		test_api_tell("%d status 401", i);
	await(0, 2);
	assert_non_null(strstr(info().trouble, "401"));
	assert_null(strstr(info().trouble, "s3cret-word"));
	weir_patroni_stop(&patroni);
	snprintf(url, sizeof(url), "http://weir:s3cret-word@127.0.0.1:%d", test_api_port(0));
	p.urls = url;
	assert_int_equal(weir_patroni_start(router, &p, &patroni, &said), WEIR_INVALID);
	assert_null(strstr(said.text, "s3cret-word"));
}

/* ---- bad ones ---- */

static void a_redirect_is_not_followed(void **state)
{
	(void)state;
	snprintf(urls, sizeof(urls), "http://127.0.0.1:%d", test_api_port(0));
	test_api_tell("0 redirect http://127.0.0.1:%d/cluster", test_api_port(1));
	test_api_tell("1 ok %s", members(1, ""));
	start();
	await(0, 3);
	assert_non_null(strstr(info().trouble, "redirect"));
	assert_int_equal(test_api_hits(1), 0);
	assert_int_equal(info().answers, 0);
}

static void what_cannot_be_is_no_answer(void **state)
{
	static const struct {
		const char *told, *why;
	} bad[] = {
		{"ok ", "no JSON"},
		{"ok {\"members\": []}", "no members"},
		{"repeat 100000 [", "no JSON"},
		{"repeat 3000 0123456789abcdef0123456789abcdef0123456789abcdef", "more than"},
		{"repeat 0 x", "more than"},
		{"drop", "http://"},
		{"status 200", "no members"},
		{"status 404", "404"},
	};

	(void)state;
	snprintf(urls, sizeof(urls), "http://127.0.0.1:%d", test_api_port(0));
	p.body_max = 120000;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strcmp(bad[i].told, "repeat 0 x") == 0)
			p.body_max = 5;
		test_api_tell("0 %s", bad[i].told);
		start();
		await(0, 1);
		if (info().answers || !strstr(info().trouble, bad[i].why))
			fail_msg("%s: %s", bad[i].told, info().trouble);
		weir_patroni_stop(&patroni);
		p.body_max = 120000;
	}
	assert_int_equal(write_to(20000), 0);
}

/* It drips for ever: the time of one answer ends it. And a stop does not wait so long. */
static void a_server_that_does_not_end_is_left(void **state)
{
	int64_t began_ns;

	(void)state;
	p.timeout_ms = 300;
	for (int i = 0; i < API_SERVERS; i++)
		test_api_tell("%d %s", i, i ? "hang" : "repeat 0 x");
	start();
	await(0, 1);
	weir_patroni_stop(&patroni);
	p.timeout_ms = LONG_MS;
	start();
	while (!test_api_hits(0))
		usleep(1000);
	began_ns = wi_now_ns();
	weir_patroni_stop(&patroni);
	assert_true(wi_now_ns() - began_ns < 20 * WI_SEC);
}

/* The name of one API is looked up for ever: neither the next one's answer nor a stop waits. */
static void a_dead_resolver_holds_nobody_up(void **state)
{
	int64_t began_ns = wi_now_ns(), until_ns;

	(void)state;
	wi_store_seq(&resolver_hangs, true);
	snprintf(urls, sizeof(urls), "http://no-answer.test:8008,http://127.0.0.1:%d",
	         test_api_port(0));
	p.timeout_ms = 200;
	test_api_tell("0 ok %s", members(0, ""));
	start();
	await(3, 0);
	test_api_tell("0 status 500");
	await(0, 5);
	/* Nor does it pile up: such a name rests for five seconds. */
	assert_in_range(wi_load_seq(&in_resolver), 1,
	                3 + (int)((wi_now_ns() - began_ns) / (5 * WI_SEC)));
	began_ns = wi_now_ns();
	weir_patroni_stop(&patroni);
	assert_true(wi_now_ns() - began_ns < 20 * WI_SEC);
	assert_int_not_equal(wi_load_seq(&in_resolver), 0);
	wi_store_seq(&resolver_hangs, false);
	until_ns = wi_now_ns() + 30 * WI_SEC;
	while (wi_load_seq(&in_resolver) && wi_now_ns() < until_ns)
		usleep(1000);
	usleep(100000); /* the threads' own ends, which nobody can wait for */
}

/* One member is cut off and goes on saying what it saw last; the others know better. */
static void a_stale_api_does_not_have_the_last_word(void **state)
{
	(void)state;
	test_api_tell("0 ok %s", members(0, ""));
	test_api_tell("1 ok %s", members(1, ""));
	start();
	assert_int_equal(write_to(20000), 0);
	await_only(0, 2);
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	wait_for_write_to(1);
	await(4, 0);
	assert_int_equal(write_to(20000), 1);
	assert_string_equal(info().leader, fake_host_name(1));
}

/* The API goes on naming a host that is in recovery, and then it is silent. */
static void stale_words_make_no_primary_and_run_out(void **state)
{
	(void)state;
	p.good_for_ms = 500;
	test_api_tell("0 ok %s", members(2, ""));
	start();
	wait_for_write_to(-1);
	for (int seen = 0; seen < 5;) { /* the watchdog bounds it */
		int64_t begun_ns = wi_now_ns();
		int host;

		await(2, 0); /* the second is from after begun_ns */
		host = write_to(WEIR_NO_WAIT);
		if (wi_now_ns() - begun_ns >= p.good_for_ms * WI_MS)
			continue; /* it may have run out where the API was late */
		assert_int_equal(host, -1);
		seen++;
	}
	for (int i = 0; i < API_SERVERS; i++)
		test_api_tell("%d hang", i);
	assert_int_equal(write_to(LONG_MS), 0);
}

static void a_leader_that_is_no_host_is_told(void **state)
{
	(void)state;
	test_api_tell("0 ok %s",
	              "{\"members\": [{\"role\": \"leader\", \"host\": \"db9\", \"port\": 1}]}");
	start();
	await(2, 0);
	assert_non_null(strstr(info().trouble, "db9:1"));
	assert_int_equal(write_to(20000), 0);
}

/* ---- members ---- */

static bool find(const char *host, weir_host_stats *found)
{
	weir_host_stats stats[FAKE_HOSTS];
	size_t n = weir_router_stats_get(router, stats, FAKE_HOSTS);

	for (size_t i = 0; i < n && i < FAKE_HOSTS; i++) {
		if (strcmp(stats[i].host, host) != 0 || stats[i].leaving)
			continue;
		*found = stats[i];
		return true;
	}
	return false;
}

static void wait_for_host(int i, bool there)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	weir_host_stats s;

	while (find(fake_host_name(i), &s) != there && wi_now_ns() < until_ns)
		usleep(1000);
	assert_int_equal(find(fake_host_name(i), &s), there);
}

static void members_are_followed(void **state)
{
	weir_host_stats s;
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	(void)state;
	p.follow_members = true;
	p.forget_ms = 300;
	test_api_tell(
		"0 ok %s",
		members(0,
	                ", {\"host\": \"127.0.0.1\", \"port\": 6003, \"role\": \"replica\", \"tags\": "
	                "{\"noloadbalance\": true, \"zone\": \"east\"}}"));
	start();
	wait_for_host(3, true);
	assert_true(find(fake_host_name(3), &s));
	assert_int_equal(s.weight, 0);
	assert_string_equal(s.zone, "east");
	test_api_tell(
		"0 ok %s",
		members(0, ", {\"host\": \"127.0.0.1\", \"port\": 6003, \"role\": \"replica\"}"));
	while (find(fake_host_name(3), &s) && s.weight == 0 && wi_now_ns() < until_ns)
		usleep(1000);
	assert_int_equal(s.weight, 100);
	test_api_tell("0 ok %s", members(0, ""));
	wait_for_host(3, false);
	/* Another cluster's members are not ours, and no leader of it, either. */
	test_api_tell("0 ok %s",
	              "{\"members\": [{\"role\": \"leader\", \"host\": \"db9\", \"port\": 1}]}");
	await(8, 0);
	assert_non_null(info().trouble[0] ? info().trouble : NULL);
	for (int i = 0; i < 3; i++)
		wait_for_host(i, true);
	assert_int_equal(write_to(20000), 0);
}

/* ---- a child ---- */

/* The fork comes while the parent's thread has the lock; there is no such thread in the child. */
static void a_child_may_look_and_stop(void **state)
{
	weir_patroni_info now = {.size = sizeof(now)};
	weir_patroni *its;
	int status;
	pid_t child;

	(void)state;
	test_api_tell("0 ok %s", members(0, ""));
	start();
	await(1, 0);
	pthread_mutex_lock(&patroni->lock);
	child = fork();
	if (child == 0) {
		alarm(30);
		its = patroni;
		weir_patroni_info_get(its, &now);
#ifdef __SANITIZE_ADDRESS__ /* its allocator may be in the middle of something, and stays so */
		its = NULL;
#endif
		weir_patroni_stop(&its);
		_exit(its || now.answers < 1);
	}
	pthread_mutex_unlock(&patroni->lock);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- TLS, options ---- */

static void a_certificate_is_asked_for(void **state)
{
	(void)state;
	test_api_stop();
	assert_non_null(mkdtemp(directory));
	test_api_start(directory);
	snprintf(urls, sizeof(urls), "https://127.0.0.1:%d,https://127.0.0.1:%d", test_api_port(0),
	         test_api_port(1));
	for (int i = 0; i < API_SERVERS; i++)
		test_api_tell("%d ok %s", i, members(0, ""));
	start();
	await(0, 1);
	assert_int_equal(info().answers, 0);
	weir_patroni_stop(&patroni);
	snprintf(ca, sizeof(ca), "%s/cert.pem", directory);
	p.ca_file = ca;
	start();
	await(1, 0);
	weir_patroni_stop(&patroni);
	unlink(ca);
	snprintf(ca, sizeof(ca), "%s/key.pem", directory);
	unlink(ca);
	assert_int_equal(rmdir(directory), 0);
	test_api_stop();
	test_api_start(NULL);
}

static void wrong_options_are_told(void **state)
{
	static const char *const wrong[] = {NULL,      "",           "db1:8008",  "ftp://db1",
	                                    "http://", "http://a b", "http://h?x"};

	(void)state;
	start();
	weir_patroni_stop(&patroni);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		p.urls = wrong[i];
		assert_int_equal(weir_patroni_start(router, &p, &patroni, &said), WEIR_INVALID);
		assert_null(patroni);
	}
	p.urls = urls;
	p.period_ms = -1;
	assert_int_equal(weir_patroni_start(router, &p, &patroni, &said), WEIR_INVALID);
	assert_int_equal(weir_patroni_start(NULL, &p, &patroni, &said), WEIR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_patroni_says_is_an_advice),
		TEST(in_maintenance_nobody_is_no_word),
		TEST(a_dead_a_silent_and_a_good_server),
		TEST(the_password_is_sent_and_never_told),
		TEST(a_redirect_is_not_followed),
		TEST(what_cannot_be_is_no_answer),
		TEST(a_server_that_does_not_end_is_left),
		TEST(a_dead_resolver_holds_nobody_up),
		TEST(a_stale_api_does_not_have_the_last_word),
		TEST(stale_words_make_no_primary_and_run_out),
		TEST(a_leader_that_is_no_host_is_told),
		TEST(members_are_followed),
		TEST(a_child_may_look_and_stop),
		TEST(a_certificate_is_asked_for),
		TEST(wrong_options_are_told),
	};

	test_watchdog(110, "libweir-patroni");
	return cmocka_run_group_tests(tests, start_all, stop_all);
}
