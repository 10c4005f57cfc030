/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libweir-http over fake servers: what each route answers while all is well and while it is not,
 * and that a look at health is shared. What hostile clients get is in http_hostile_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/http.h>

#include "base/atomic.h"
#include "http/http.h"
#include "support/fake_cluster.h"
#include "support/http_client.h"
#include "support/json_read.h"
#include "support/watchdog.h"

#define SECRET "hush-hush"

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_http *http;
static weir_http_source sources[2];
static weir_http_settings settings;
static weir_error error;
static struct http_answer answer;

static int set_up(void **state)
{
	char *at;

	(void)state;
	fake_cluster_init(&cluster, 3);
	at = strstr(cluster.conninfo, "app@");
	memmove(at + 4 + strlen(SECRET), at + 3, strlen(at + 3) + 1);
	memcpy(at, "app:" SECRET, 4 + strlen(SECRET));
	weir_options_init(&options);
	options.probe_interval_ms = 20;
	options.pool_min = 1;
	options.pool_max = 2;
	sources[0] = (weir_http_source){.name = "shop"};
	settings = (weir_http_settings){
		.size = sizeof(settings),
		.sources = sources,
		.n_sources = 1,
		.health_timeout_ms = 30000,
		.health_good_for_ms = 1,
		.timeout_ms = 60000,
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_drop(&answer);
	weir_http_stop(&http);
	assert_null(http);
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void start(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	fake_cluster_calm(router, 1);
	sources[0].router = router;
	if (weir_http_start(&settings, &http, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_not_equal(weir_http_port(http), 0);
}

static const char *get(const char *path, int code)
{
	http_drop(&answer);
	answer = http_get(weir_http_port(http), path);
	if (answer.code != code)
		fail_msg("%s: %d, not %d: %s", path, answer.code, code, answer.all);
	return answer.body;
}

/* Until the answer has this code and these words. */
static void await(const char *path, int code, const char *words)
{
	do {
		http_drop(&answer);
		answer = http_get(weir_http_port(http), path);
		assert_int_not_equal(answer.code, 0);
	} while (answer.code != code || !strstr(answer.body, words));
}

static void assert_header(const char *name, const char *words)
{
	const char *value = http_header(&answer, name);

	if (!value || !strstr(value, words))
		fail_msg("%s: %s, without %s", name, value ? value : "none", words);
}

static const char *first_source(const char *body)
{
	return test_json_item(test_json_member(body, "sources"), 0);
}

/* ---- routes ---- */

static void each_route_has_its_type_and_is_guarded(void **state)
{
	static const char *const routes[][2] = {
		{"/", "text/html"},         {"/page.css", "text/css"},
		{"/page.js", "javascript"}, {"/icon.svg", "image/svg"},
		{"/state.json", "json"},    {"/health", "json"},
		{"/ready", "json"},         {"/metrics", "text/plain; version=0.0.4"},
	};

	(void)state;
	start();
	await("/health", 200, "\"healthy\"");
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		get(routes[i][0], 200);
		assert_header("Content-Type", routes[i][1]);
		assert_header("Cache-Control", "no-store");
		assert_header("X-Content-Type-Options", "nosniff");
		assert_header("Content-Security-Policy", "default-src 'none'");
		assert_header("Referrer-Policy", "no-referrer");
		assert_true(answer.length > 0);
		assert_null(strstr(answer.all, SECRET));
	}
}

/* What the page says to ask for, after `before` and up to the next quote; NULL: no more of it. */
static const char *next_asked(const char **at, const char *before, char *path, size_t room)
{
	const char *from = strstr(*at, before);
	size_t length;

	if (!from)
		return NULL;
	from += strlen(before);
	length = strcspn(from, "\"");
	assert_true(length > 0 && length < room);
	memcpy(path, from, length);
	path[length] = '\0';
	*at = from + length;
	return path;
}

/*
 * As a browser at PREFIX/ and a proxy that takes the prefix off do: what begins at the root never
 * comes here.
 */
static size_t follow_all(const char *file, const char *before)
{
	char path[64] = "/", *text;
	const char *at;
	size_t n = 0;

	get(file, 200);
	at = text = strdup(answer.body);
	while (next_asked(&at, before, path + 1, sizeof(path) - 1)) {
		if (path[1] == '/' || strstr(path, "://"))
			fail_msg("%s asks for %s, which a prefix does not lead to", file, path + 1);
		get(path, 200);
		n++;
	}
	free(text);
	return n;
}

static void the_page_asks_beside_itself(void **state)
{
	(void)state;
	start();
	await("/health", 200, "\"healthy\"");
	assert_int_equal(follow_all("/", "href=\""), 7);
	assert_int_equal(follow_all("/", "src=\""), 2);
	assert_int_equal(follow_all("/page.js", "fetch(\""), 1);
	assert_int_equal(follow_all("/page.css", "url("), 0);
}

static void health_says_who_answered(void **state)
{
	const char *source, *server;
	char *text;

	(void)state;
	start();
	await("/health", 200, "\"status\":\"healthy\",\"weir\"");
	source = first_source(answer.body);
	server = test_json_member(source, "server");
	text = test_json_text(test_json_member(server, "time"));
	assert_string_equal(text, "2023-11-14T22:13:20.123Z");
	free(text);
	text = test_json_text(test_json_member(source, "name"));
	assert_string_equal(text, "shop");
	free(text);
	assert_int_equal(test_json_number(test_json_member(server, "version")), 150007);
	assert_true(strcspn(test_json_member(server, "round_trip_ms"), ",}") <= 16);
	assert_true(test_json_true(test_json_member(test_json_member(source, "reads"), "served")));
	assert_int_equal(
		test_json_number(test_json_member(test_json_member(source, "hosts"), "reachable")),
		3);
}

static void health_is_503_only_without_anybody(void **state)
{
	(void)state;
	start();
	fake_host_down(&cluster, 0, true);
	await("/health", 200, "writes are not served");
	assert_non_null(strstr(answer.body, "\"degraded\""));
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	await("/health", 503, "\"unhealthy\"");
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, false);
	await("/health", 200, "\"healthy\"");
}

static void a_crowded_pool_is_answered_for_at_once(void **state)
{
	weir_conn *held[6] = {NULL};

	(void)state;
	settings.health_timeout_ms = 600000; /* longer than anybody waits here */
	start();
	for (int i = 0; i < 6; i++) {
		weir_request q = WEIR_REQUEST(.intent = i < 2 ? WEIR_WRITE : WEIR_READ);

		assert_int_equal(weir_checkout_with(router, &q, &held[i], &error), WEIR_OK);
	}
	get("/health", 200);
	assert_non_null(strstr(answer.body, "\"degraded\""));
	get("/ready", 200);
	for (int i = 0; i < 6; i++)
		weir_checkin(&held[i]);
}

/* However many ask, the servers are asked once. */
static void a_look_is_shared(void **state)
{
	static int client[40];
	uint64_t before = 0, after = 0;
	char request[128];

	(void)state;
	options.probe_interval_ms = 3600000;
	settings.health_good_for_ms = 3600000;
	start();
	snprintf(request, sizeof(request), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		wi_store_seq(&cluster.host[i].server.answer_ns, 20000000);
		before += wi_load_seq(&cluster.host[i].server.queries);
	}
	for (int i = 0; i < 40; i++) {
		client[i] = http_connect(weir_http_port(http));
		assert_true(http_send(client[i], request, strlen(request)));
	}
	for (int i = 0; i < 40; i++) {
		http_drop(&answer);
		answer = http_hear(client[i], true);
		assert_int_equal(answer.code, 200);
		close(client[i]);
	}
	for (int i = 0; i < 5; i++)
		get("/health", 200);
	for (int i = 0; i < 3; i++)
		after += wi_load_seq(&cluster.host[i].server.queries);
	assert_int_equal(after, before + 1);
}

static void ready_is_what_is_wanted(void **state)
{
	(void)state;
	start();
	await("/ready", 200, "\"ready\":true");
	fake_host_down(&cluster, 0, true);
	await("/ready", 503, "writes are not served");
	weir_http_stop(&http);
	settings.ready_wants = WEIR_HTTP_WANTS_READS;
	assert_int_equal(weir_http_start(&settings, &http, &error), WEIR_OK);
	await("/ready", 200, "\"ready\":true");
	weir_http_stop(&http);
	settings.ready_wants = WEIR_HTTP_WANTS_WRITES;
	assert_int_equal(weir_http_start(&settings, &http, &error), WEIR_OK);
	await("/ready", 503, "\"ready\":false");
	weir_http_stop(&http);
	settings.ready_wants = WEIR_HTTP_WANTS_ANY;
	assert_int_equal(weir_http_start(&settings, &http, &error), WEIR_OK);
	await("/ready", 200, "\"ready\":true");
}

static void ready_ends_before_the_program_does(void **state)
{
	(void)state;
	start();
	await("/ready", 200, "\"ready\":true");
	weir_http_ready(http, false);
	get("/ready", 503);
	assert_non_null(strstr(answer.body, "about to end"));
	get("/health", 200);
	weir_http_ready(http, true);
	get("/ready", 200);
	assert_int_equal(weir_router_suspend(router, WEIR_SUSPEND_FAIL), WEIR_OK);
	await("/ready", 503, "suspended");
	get("/health", 200);
	assert_int_equal(weir_router_resume(router), WEIR_OK);
	await("/ready", 200, "\"ready\":true");
}

static void state_shows_hosts_events_and_latencies(void **state)
{
	const char *source, *host;
	weir_conn *c;
	char *text;

	(void)state;
	start();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	get("/state.json", 200);
	weir_checkin(&c);
	source = first_source(answer.body);
	host = test_json_item(test_json_member(source, "hosts"), 0);
	text = test_json_text(test_json_member(host, "role"));
	assert_string_equal(text, "primary");
	free(text);
	assert_int_equal(test_json_number(test_json_member(test_json_member(host, "pool"), "busy")),
	                 1);
	assert_non_null(test_json_item(test_json_member(source, "hosts"), 2));
	assert_null(test_json_item(test_json_member(source, "hosts"), 3));
	assert_non_null(strstr(answer.body, "\"event\":\"CONNECTED\""));
	assert_true(test_json_number(test_json_member(
			    test_json_member(test_json_member(source, "latency"), "connect"),
			    "count")) >= 3);
	assert_non_null(test_json_item(test_json_member(answer.body, "bounds_ns"), 21));
	fake_host_down(&cluster, 1, true);
	await("/state.json", 200, "no answer");
}

static void metrics_are_in_the_text_that_is_asked_for(void **state)
{
	char request[256];

	(void)state;
	start();
	snprintf(
		request, sizeof(request),
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: "
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n\r\n");
	answer = http_say(weir_http_port(http), request);
	assert_int_equal(answer.code, 200);
	assert_header("Content-Type", "application/openmetrics-text; version=1.0.0");
	assert_non_null(strstr(answer.body, "# EOF\n"));
	assert_true(wi_metrics_wants_open("application/openmetrics-text"));
	assert_true(wi_metrics_wants_open("text/plain;q=0.3, application/openmetrics-text; q=0.5"));
	assert_false(wi_metrics_wants_open("application/openmetrics-text;q=0.2,text/plain"));
	assert_false(wi_metrics_wants_open("application/openmetrics-text;q=0"));
	assert_false(wi_metrics_wants_open("application/openmetrics-textual"));
	assert_false(wi_metrics_wants_open("*/*"));
	assert_false(wi_metrics_wants_open(""));
	assert_false(wi_metrics_wants_open(NULL));
}

/* ---- settings ---- */

static void assert_refused(const char *word)
{
	assert_int_equal(weir_http_start(&settings, &http, &error), WEIR_INVALID);
	assert_null(http);
	if (!strstr(error.text, word))
		fail_msg("\"%s\" has no \"%s\"", error.text, word);
}

static void bad_settings_are_refused(void **state)
{
	weir_http_settings good;

	(void)state;
	start();
	weir_http_stop(&http);
	good = settings;
	settings.n_sources = 0;
	assert_refused("sources");
	settings = good;
	settings.address = "localhost";
	assert_refused("address");
	settings = good;
	settings.hosts = "a b";
	assert_refused("hosts");
	settings = good;
	settings.timeout_ms = -1;
	assert_refused("timeout_ms");
	settings = good;
	settings.request_max = 10;
	assert_refused("request_max");
	settings = good;
	settings.ready_wants = (weir_http_wants)9;
	assert_refused("ready_wants");
	settings = good;
	sources[1] = sources[0];
	settings.n_sources = 2;
	assert_refused("two sources");
	sources[1].name = "";
	assert_refused("name");
	sources[1] = (weir_http_source){.name = "none"};
	assert_refused("router or a pool");
	settings = good;
	assert_int_equal(weir_http_start(NULL, &http, &error), WEIR_INVALID);
	assert_int_equal(weir_http_start(&settings, NULL, &error), WEIR_INVALID);
	weir_http_stop(NULL);
}

static void a_port_in_use_is_told(void **state)
{
	weir_http *second = NULL;

	(void)state;
	start();
	settings.port = weir_http_port(http);
	assert_int_equal(weir_http_start(&settings, &second, &error), WEIR_SYSTEM);
	assert_null(second);
	assert_non_null(strstr(error.text, "127.0.0.1"));
}

static void it_listens_on_ipv6_too(void **state)
{
	(void)state;
	settings.address = "::1";
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	sources[0].router = router;
	if (weir_http_start(&settings, &http, &error) == WEIR_SYSTEM)
		return; /* this machine has no IPv6 */
	weir_http_stop(&http);
	settings.address = "::";
	assert_int_equal(weir_http_start(&settings, &http, &error), WEIR_OK);
	get("/", 200); /* by IPv4 */
}

/* ---- fork ---- */

/* A child stops what it has inherited, and the parent's clients notice nothing. */
static void a_child_does_nothing_to_its_parents(void **state)
{
	static const char request[] = "GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd, status;
	pid_t pid;

	(void)state;
	start();
	fd = http_connect(weir_http_port(http));
	assert_true(http_send(fd, request, strlen(request)));
	answer = http_hear(fd, true);
	assert_int_equal(answer.code, 200);
	pid = fork();
	if (pid == 0) {
		weir_http_stop(&http);
		_exit(http ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(http_send(fd, request, strlen(request)));
	http_drop(&answer);
	answer = http_hear(fd, true);
	assert_int_equal(answer.code, 200);
	close(fd);
	get("/health", 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_route_has_its_type_and_is_guarded),
		TEST(the_page_asks_beside_itself),
		TEST(health_says_who_answered),
		TEST(health_is_503_only_without_anybody),
		TEST(a_crowded_pool_is_answered_for_at_once),
		TEST(a_look_is_shared),
		TEST(ready_is_what_is_wanted),
		TEST(ready_ends_before_the_program_does),
		TEST(state_shows_hosts_events_and_latencies),
		TEST(metrics_are_in_the_text_that_is_asked_for),
		TEST(bad_settings_are_refused),
		TEST(a_port_in_use_is_told),
		TEST(it_listens_on_ipv6_too),
		TEST(a_child_does_nothing_to_its_parents),
	};

	test_watchdog(110, "an answer");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
