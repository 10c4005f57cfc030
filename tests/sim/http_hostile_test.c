/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libweir-http among clients that mean no good: what they send, how slowly, and how many they are.
 * Whatever it was, the next one who asks properly is answered.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/http.h>

#include "base/atomic.h"
#include "support/fake_cluster.h"
#include "support/http_client.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define CROWD 1000

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_http *http;
static weir_http_source source;
static weir_http_settings settings;
static weir_error error;
static struct http_answer answer;

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 1);
	weir_options_init(&options);
	options.probe_interval_ms = 50;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	source = (weir_http_source){.name = "shop", .router = router};
	settings = (weir_http_settings){.sources = &source,
	                                .n_sources = 1,
	                                .health_timeout_ms = 30000,
	                                .timeout_ms = 60000};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_drop(&answer);
	weir_http_stop(&http);
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void start(void)
{
	if (weir_http_start(&settings, &http, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void say(const char *request, int code)
{
	http_drop(&answer);
	answer = http_say(weir_http_port(http), request);
	if (answer.code != code)
		fail_msg("%.60s: %d, not %d", request, answer.code, code);
}

static void assert_well(void)
{
	say("GET /state.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200);
}

/* ---- what they say ---- */

static void it_only_shows(void **state)
{
	static const char *const methods[] = {"POST",    "PUT",   "DELETE",  "PATCH",
	                                      "OPTIONS", "TRACE", "CONNECT", "BREW"};
	char request[256];

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		snprintf(request, sizeof(request),
		         "%s /state.json HTTP/1.1\r\nHost: localhost\r\n\r\n", methods[i]);
		say(request, 405);
		assert_string_equal(http_header(&answer, "Allow"), "GET, HEAD");
	}
	say("POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405);
	say("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 400);
	say("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    400);
	say("HEAD /state.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200);
	assert_int_equal(answer.length, 0);
	assert_well();
}

static void there_are_no_files(void **state)
{
	static const char *const paths[] = {
		"/../../../etc/passwd",
		"/%2e%2e/%2e%2e/etc/passwd",
		"//",
		"/page.html",
		"/page.css/",
		"/..",
		"/health/",
		"/HEALTH",
		"/page.js%00.html",
		"*",
		"/<script>",
		"/metrics%0d%0aX: y",
		"http://evil.test/",
	};
	char request[256];

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		snprintf(request, sizeof(request),
		         "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		         paths[i]);
		http_drop(&answer);
		answer = http_say(weir_http_port(http), request);
		if (answer.code == 200 || answer.code == 500)
			fail_msg("%s: %d", paths[i], answer.code);
		assert_null(strstr(answer.all, "root:"));
		assert_null(strstr(answer.all, "<script>"));
	}
	assert_well();
}

/* A name that its owner points to this machine reaches nothing. */
static void only_its_own_names_are_heard(void **state)
{
	static const struct {
		const char *host;
		int code;
	} hosts[] = {
		{"localhost", 200},
		{"LocalHost:80", 200},
		{"localhost.", 200},
		{"127.0.0.1:9187", 200},
		{"127.8.9.10", 200},
		{"[::1]:9187", 200},
		{"evil.test", 421},
		{"evil.test:80", 421},
		{"localhost.evil.test", 421},
		{"127.0.0.1.nip.io", 421},
		{"10.0.0.7", 421},
		{"[::1", 421},
		{"localhost:80:80", 421},
		{"", 421},
		{"localhost:8x", 421},
	};
	char request[256];

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		snprintf(request, sizeof(request),
		         "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", hosts[i].host);
		say(request, hosts[i].code);
	}
	say("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", 421);
	say("GET / HTTP/1.0\r\n\r\n", 200);
	say("GET / HTTP/1.1\r\n\r\n", 400);
	weir_http_stop(&http);
	settings.hosts = "weir.example,10.0.0.7";
	start();
	say("GET / HTTP/1.1\r\nHost: weir.example:8080\r\nConnection: close\r\n\r\n", 200);
	say("GET / HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n", 200);
	say("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 421);
}

static void a_huge_request_is_not_kept(void **state)
{
	static char request[200000];
	size_t n;

	(void)state;
	settings.request_max = 4096;
	start();
	n = (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
	memset(request + n, 'x', sizeof(request) - n - 1);
	http_drop(&answer);
	answer = http_say(weir_http_port(http), request);
	assert_true(answer.code == 0 || answer.code == 431 || answer.code == 413);
	n = (size_t)snprintf(request, sizeof(request), "GET /");
	memset(request + n, 'y', sizeof(request) - n - 1);
	http_drop(&answer);
	answer = http_say(weir_http_port(http), request);
	assert_true(answer.code == 0 || answer.code == 414 || answer.code == 431);
	n = 0;
	while (n < sizeof(request) - 64)
		n += (size_t)snprintf(request + n, sizeof(request) - n, "%s",
		                      n ? "A: b\r\n" : "GET / HTTP/1.1\r\nHost: localhost\r\n");
	http_drop(&answer);
	answer = http_say(weir_http_port(http), request);
	assert_int_not_equal(answer.code, 200);
	assert_well();
}

static void noise_is_no_request(void **state)
{
	static const char *const noise[] = {
		"\r\n\r\n\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"\xff\xfe\xfd\r\n\r\n",
		"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
		"GET / HTTP/1.1\nHost\n\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};

	(void)state;
	settings.timeout_ms = 500; /* some of it might be the begin of something */
	start();
	for (size_t i = 0; i < sizeof(noise) / sizeof(*noise); i++) {
		int fd = http_connect(weir_http_port(http));

		assert_true(fd >= 0);
		http_send(fd, noise[i], strlen(noise[i]));
		shutdown(fd, SHUT_WR);
		http_drop(&answer);
		answer = http_hear(fd, false);
		assert_int_not_equal(answer.code, 200);
		close(fd);
		assert_well();
	}
}

/* ---- how slowly ---- */

/* A byte now and then does not keep a place: the whole request has so long. */
static void a_slow_request_is_cut(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
	int fd;
	char byte;

	(void)state;
	settings.timeout_ms = 300;
	start();
	fd = http_connect(weir_http_port(http));
	http_send(fd, request, strlen(request));
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (!http_send(fd, "x", 1) || poll(&p, 1, 20) > 0)
			break;
	}
	assert_true(read(fd, &byte, 1) <= 0);
	close(fd);
	assert_well();
}

/* Nor does one who asks for much and reads nothing. */
static void who_does_not_read_is_cut(void **state)
{
	static const char request[] = "GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd, small = 1024;

	(void)state;
	settings.timeout_ms = 300;
	start();
	fd = http_connect(weir_http_port(http));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	while (http_send(fd, request, strlen(request)))
		continue; /* until the other side is gone: else this would block for ever */
	close(fd);
	assert_well();
}

/* ---- how many ---- */

static void raise_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* A thousand that say nothing keep nobody else out, however long they would. */
static void a_crowd_keeps_nobody_out(void **state)
{
	static int fd[CROWD];
	int crowd = test_slowness() > 1 ? CROWD / 8 : CROWD, n = 0;

	(void)state;
	settings.connections_max = 8;
	start();
	for (int i = 0; i < crowd; i++) {
		fd[i] = http_connect(weir_http_port(http));
		n += fd[i] >= 0;
		if (i % 50 == 49)
			assert_well();
	}
	assert_true(n > 80);
	say("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200);
	for (int i = 0; i < crowd; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	assert_well();
}

/* ---- the end ---- */

/* With requests half sent, and one that waits for a look. */
/* What a look at health takes is not the client's doing: it gets the answer. */
static void who_waits_for_a_look_is_not_cut(void **state)
{
	(void)state;
	settings.timeout_ms = 700;
	start();
	assert_well();
	wi_store_rlx(&cluster.host[0].server.answer_ns, INT64_C(1500000000));
	http_drop(&answer);
	answer = http_say(weir_http_port(http),
	                  "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	assert_true(answer.code == 200 || answer.code == 503);
	wi_store_rlx(&cluster.host[0].server.answer_ns, 0);
}

static void it_stops_in_the_middle(void **state)
{
	static const char waits[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int half, waiting;

	(void)state;
	settings.health_timeout_ms = 500;
	fake_cluster_calm(router, 1);
	wi_store_seq(&cluster.host[0].server.silent, true);
	start();
	half = http_connect(weir_http_port(http));
	waiting = http_connect(weir_http_port(http));
	http_send(half, "GET / HTT", 9);
	http_send(waiting, waits, strlen(waits));
	assert_well();
	weir_http_stop(&http);
	assert_null(http);
	http_drop(&answer);
	answer = http_hear(half, true);
	assert_int_equal(answer.code, 0);
	close(half);
	close(waiting);
	wi_store_seq(&cluster.host[0].server.silent, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_only_shows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_no_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_its_own_names_are_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_huge_request_is_not_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(noise_is_no_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_request_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_read_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_crowd_keeps_nobody_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_for_a_look_is_not_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_stops_in_the_middle, set_up, tear_down),
	};

	raise_limit();
	test_watchdog(110, "an answer, or an end");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
