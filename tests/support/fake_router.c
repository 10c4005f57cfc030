/* SPDX-License-Identifier: BSD-2-Clause */
/* One router on one cluster; fake_router.h tells the idea. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/shapes.h"

#define LONGEST_NS (60 * WI_SEC)

struct fake_cluster cluster;
weir_options options;
weir_router *router;
weir_error said;
_Atomic int told[WEIR_EVENT_KINDS];
void (*_Atomic on_told)(const weir_event *event);

/* ---- around a test ---- */

static void hear(void *arg, const weir_event *event)
{
	void (*then)(const weir_event *) = wi_load_acq(&on_told);

	(void)arg;
	if (then)
		then(event);
	wi_add_seq(&told[event->kind], 1);
}

void fake_router_begin(int n)
{
	fake_cluster_init(&cluster, n);
	weir_options_init(&options);
	options.connect_timeout_ms = 2000;
	options.checkout_timeout_ms = PATIENCE_MS;
	options.on_event = hear;
	wi_store_rel(&on_told, NULL);
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		wi_store_seq(&told[i], 0);
	memset(&said, 0, sizeof(said));
}

int fake_router_end(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

/* ---- opening and looking ---- */

void must(weir_status st)
{
	if (st != WEIR_OK)
		fail_msg("%s: %s", weir_status_name(st), said.text);
}

void open_router(void)
{
	must(fake_cluster_open(&cluster, &options, &router, &said));
	probe();
}

void open_warm(void)
{
	must(fake_cluster_open(&cluster, &options, &router, &said));
	fake_cluster_calm(router, 1);
}

void open_first(int n)
{
	must(fake_cluster_open_first(&cluster, n, &options, &router, &said));
	probe();
	fake_cluster_calm(router, (uint32_t)options.pool_min);
}

void add_host(int i)
{
	must(weir_router_host_add(router, fake_host_name(i), NULL, &said));
	probe();
}

void remove_host(int i)
{
	must(weir_router_host_remove(router, fake_host_name(i), &said));
}

void probe(void)
{
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
}

void know(void)
{
	probe();
	probe();
}

bool find_host(int i, weir_host_stats *found, bool leaving)
{
	weir_host_stats stats[WI_HOSTS_MAX];
	size_t n = weir_router_stats_get(router, stats, WI_HOSTS_MAX);

	for (size_t k = 0; k < n; k++) {
		if (strcmp(stats[k].host, fake_host_name(i)) != 0 || stats[k].leaving != leaving)
			continue;
		*found = stats[k];
		return true;
	}
	return false;
}

weir_host_stats stats_of(int i)
{
	weir_host_stats s;

	assert_true(find_host(i, &s, false));
	return s;
}

weir_role role_of(int i)
{
	return stats_of(i).role;
}

/* ---- going there ---- */

weir_conn *take(weir_intent intent)
{
	weir_conn *c = NULL;

	must(weir_checkout(router, intent, &c, &said));
	return c;
}

weir_conn *take_with(const weir_request *request)
{
	weir_conn *c = NULL;

	must(weir_checkout_with(router, request, &c, &said));
	return c;
}

/* Gives it back; which server it was. */
static int give_back(weir_conn *c, weir_reason *reason)
{
	int host = fake_host_of(c);
	weir_conn_info info;

	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	if (reason)
		*reason = info.reason;
	weir_checkin(&c);
	assert_null(c);
	return host;
}

int visit(weir_intent intent)
{
	return give_back(take(intent), NULL);
}

int visit_why(weir_intent intent, weir_reason *reason)
{
	return give_back(take(intent), reason);
}

int visit_with(const weir_request *request)
{
	return give_back(take_with(request), NULL);
}

weir_status try_visit(const weir_request *request, int *host, weir_reason *reason)
{
	weir_conn *c = NULL;
	weir_status st = weir_checkout_with(router, request, &c, &said);
	int at;

	if (st != WEIR_OK) {
		assert_null(c);
		return st;
	}
	at = give_back(c, reason);
	if (host)
		*host = at;
	return WEIR_OK;
}

weir_status try_for(int64_t timeout_ms, weir_intent intent)
{
	return try_visit(&WEIR_REQUEST(.intent = intent, .timeout_ms = timeout_ms), NULL, NULL);
}

void count_reads(int n, int of[FAKE_HOSTS])
{
	memset(of, 0, FAKE_HOSTS * sizeof(*of));
	for (int i = 0; i < n; i++)
		of[visit(WEIR_READ)]++;
}

bool is_refused(const weir_request *request)
{
	weir_status st = try_visit(request, NULL, NULL);

	if (st != WEIR_OK)
		assert_int_equal(st, WEIR_UNAVAILABLE);
	return st != WEIR_OK;
}

static weir_token token_after(uint64_t bytes)
{
	weir_conn *c = take(WEIR_WRITE);
	weir_token token = {0};

	fake_cluster_write(&cluster, fake_host_of(c), bytes);
	must(weir_token_take(c, 5000, &token, &said));
	weir_checkin(&c);
	return token;
}

weir_token token_now(void)
{
	return token_after(0);
}

weir_token write_some(void)
{
	return token_after(800);
}

static void *seek(void *arg)
{
	struct seeker *s = arg;
	weir_conn *c = NULL;

	test_stop_arm(s->stop);
	s->host = -1;
	s->st = weir_checkout(router, s->intent, &c, &s->error);
	if (s->st == WEIR_OK)
		s->host = fake_host_of(c);
	weir_checkin(&c);
	wi_store_rlx(&s->ended, true);
	return NULL;
}

void seek_start(struct seeker *s, weir_intent intent)
{
	s->intent = intent;
	assert_int_equal(pthread_create(&s->thread, NULL, seek, s), 0);
}

/* ---- awaiting ---- */

void wait_for_role(int i, weir_role role)
{
	const int64_t until_ns = wi_now_ns() + LONGEST_NS;

	while (role_of(i) != role && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(role_of(i), role);
}

void await_told(weir_event_kind kind, int n)
{
	const int64_t until_ns = wi_now_ns() + LONGEST_NS;

	while (wi_load_seq(&told[kind]) < n && wi_now_ns() < until_ns)
		a_moment();
	assert_true(wi_load_seq(&told[kind]) >= n);
}

void a_moment(void)
{
	test_nap(WI_MS);
}
