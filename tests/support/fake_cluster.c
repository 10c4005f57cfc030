/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers for fake servers; fake_cluster.h tells the idea. */
#include "support/fake_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fault.h"
#include "route/router.h"

#define FIRST_PORT 6000

static void put(struct wi_answer *a, size_t column, const char *format, unsigned long long high,
                unsigned long long low)
{
	char text[64];

	snprintf(text, sizeof(text), format, high, low);
	wi_copy(a->value[column], sizeof(a->value[column]), text);
	a->is_null[column] = false;
}

static void put_text(struct wi_answer *a, size_t column, const char *text)
{
	wi_copy(a->value[column], sizeof(a->value[column]), text);
	a->is_null[column] = false;
}

static void put_lsn(struct wi_answer *a, size_t column, uint64_t lsn)
{
	put(a, column, "%llX/%llX", lsn >> 32, lsn & UINT32_MAX);
}

static void put_started(struct wi_answer *a, size_t column, uint64_t micro)
{
	put(a, column, "%llu.%06llu", micro / 1000000, micro % 1000000);
}

static void open_row(struct wi_answer *a, size_t columns)
{
	a->columns = columns;
	a->has_row = true;
	for (size_t i = 0; i < columns; i++)
		a->is_null[i] = true;
}

/* The columns of the probe's question, in its order (src/route/probe.c). */
static void answer_receiver(struct fake_host *h, struct wi_answer *a)
{
	int follows = wi_load_rlx(&h->follows);
	uint32_t on = wi_load_rlx(&h->streams_on);

	put_text(a, 10, wi_load_rlx(&h->paused) ? "paused" : "not paused");
	put(a, 11, "%llus", (unsigned long long)wi_load_rlx(&h->delay_s), 0);
	if (!follows)
		return;
	put_text(a, 12, "streaming");
	put(a, 13, "%llu", on ? on : wi_load_rlx(&h->server.timeline), 0);
	put_text(a, 14, "127.0.0.1");
	put(a, 15, "%llu", (unsigned long long)(FIRST_PORT + follows - 1), 0);
}

static void answer_probe(struct fake_host *h, struct wi_answer *a, bool full, bool whole)
{
	struct wi_fake_server *s = &h->server;
	bool standby = wi_load_rlx(&s->in_recovery);
	uint64_t started = wi_load_rlx(&h->started_by_probe);

	open_row(a, whole ? 16 : full ? 11 : 3);
	put_text(a, 0, standby ? "t" : "f");
	put_text(a, 1, wi_load_rlx(&h->read_only) ? "on" : "off");
	put_text(a, 2, "150007");
	wi_add_rlx(&h->probes, 1);
	if (!full)
		return;
	put(a, 3, "%llu", wi_load_rlx(&s->system), 0);
	put_started(a, 4, started ? started : wi_load_rlx(&h->started));
	put_lsn(a, 5, wi_load_rlx(&s->lsn));
	if (standby)
		put(a, 7, "%llu", wi_load_rlx(&s->timeline), 0);
	else
		put(a, 6, "%08llX", wi_load_rlx(&s->timeline), 0);
	put_text(a, 8, "8192");
	put_text(a, 9, "16777216");
	if (whole && standby)
		answer_receiver(h, a);
}

/* The columns of the token's question, in its order (src/route/position.c). */
static void answer_token(struct fake_host *h, struct wi_answer *a, bool of_standbys)
{
	struct wi_fake_server *s = &h->server;

	open_row(a, 6);
	put_text(a, 0, wi_load_rlx(&s->in_recovery) ? "t" : "f");
	if (!wi_load_rlx(&s->in_recovery)) {
		put_lsn(a, 1, wi_load_rlx(&s->lsn));
		put(a, 2, "%08llX", wi_load_rlx(&s->timeline), 0);
	} else if (of_standbys) {
		put_lsn(a, 1, wi_load_rlx(&s->lsn));
		put(a, 2, "%llx", wi_load_rlx(&s->timeline), 0);
	}
	put(a, 3, "%llu", wi_load_rlx(&s->system), 0);
	put_text(a, 4, "8192");
	put_text(a, 5, "16777216");
}

static bool is_standby(struct fake_host *h)
{
	return wi_load_rlx(&h->server.in_recovery) || wi_load_rlx(&h->leads_elsewhere);
}

/* The columns of the question who answers (src/pool/settings.c), from `at` on. */
static void answer_who(struct fake_host *h, struct wi_answer *a, bool read_only)
{
	open_row(a, 3);
	put_text(a, 0, is_standby(h) ? "t" : "f");
	put_text(a, 1, read_only || wi_load_rlx(&h->read_only) ? "on" : "off");
	put_started(a, 2, wi_load_rlx(&h->started));
}

/* The columns of a look at health, in its order (src/exec/health.c). */
static void answer_health(struct fake_host *h, struct wi_answer *a)
{
	open_row(a, 6);
	put_text(a, 0, "150007");
	put_text(a, 1, "shop");
	put_text(a, 2, "app");
	put_text(a, 3, "1700000000123456");
	put_text(a, 4, is_standby(h) ? "t" : "f");
	put_text(a, 5, is_standby(h) || wi_load_rlx(&h->read_only) ? "on" : "off");
}

/* What the default options ask for (src/pool/settings.c). */
static void answer_settings(struct fake_host *h, struct wi_answer *a)
{
	open_row(a, 12);
	put_text(a, 9, is_standby(h) ? "t" : "f");
	put_started(a, 10, wi_load_rlx(&h->started));
	put_text(a, 0, "30s");
	put_text(a, 1, "0");
	put_text(a, 2, "1min");
	put_text(a, 3, "0");
}

/* What the test has said of the end of transactions; true: it fails. */
static bool fails_at_commit(struct fake_host *h, const char *sql, struct wi_failure *failure)
{
	const char *sqlstate = wi_load_rlx(&h->commit_fails);
	bool commits = strcmp(sql, "COMMIT") == 0;
	bool asks = !commits && strstr(sql, "recovering") && !strstr(sql, "server_version_num");

	if (commits && sqlstate && sqlstate[0]) {
		wi_failure_set(failure, WI_FAULT_SQL, sqlstate, "not committed", NULL);
		return true;
	}
	if ((commits && sqlstate) || (asks && wi_load_rlx(&h->lose_position))) {
		wi_failure_set(failure, WI_FAULT_LOST, "", "the connection is lost", NULL);
		return true;
	}
	return false;
}

static bool answer(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                   struct wi_failure *failure)
{
	struct fake_host *h = server->arg;
	bool full = strstr(sql, "pg_control_system") != NULL;
	bool whole = strstr(sql, "pg_get_wal_replay_pause_state") != NULL;

	if (fails_at_commit(h, sql, failure))
		return false;
	if (full && wi_load_rlx(&h->probe_fails)) {
		wi_failure_set(failure, WI_FAULT_SQL, "XX001", "could not read block", NULL);
		return false;
	}
	if (full && wi_load_rlx(&h->basic_only)) {
		wi_add_rlx(&h->refusals, 1);
		wi_failure_set(failure, WI_FAULT_SQL, "42501",
		               "permission denied for function pg_control_system", NULL);
		return false;
	}
	if (whole && wi_load_rlx(&h->plain_only)) {
		wi_add_rlx(&h->refusals, 1);
		wi_failure_set(failure, WI_FAULT_SQL, "42883",
		               "function pg_catalog.pg_get_wal_replay_pause_state() does not exist",
		               NULL);
		return false;
	}
	if (!a)
		return true;
	if (strstr(sql, "current_database"))
		answer_health(h, a);
	else if (strstr(sql, "server_version_num"))
		answer_probe(h, a, full, whole);
	else if (strstr(sql, "recovering"))
		answer_token(h, a, strstr(sql, "pg_last_wal_replay_lsn") != NULL);
	else if (strstr(sql, "statement_timeout"))
		answer_settings(h, a);
	else if (strstr(sql, "pg_postmaster_start_time"))
		answer_who(h, a, false);
	return true;
}

const char *fake_host_name(int i)
{
#define NAME(i) "127.0.0.1:600" #i
	static const char *const name[FAKE_HOSTS] = {NAME(0), NAME(1), NAME(2), NAME(3),
	                                             NAME(4), NAME(5), NAME(6), NAME(7)};

	return name[i];
}

static void name_hosts(char conninfo[FAKE_CONNINFO], int n)
{
	struct wi_text text;

	wi_text_init(&text, conninfo, FAKE_CONNINFO);
	wi_text_add(&text, "postgresql://app@");
	for (int i = 0; i < n; i++)
		wi_text_add(&text, "%s%s", i ? "," : "", fake_host_name(i));
	wi_text_add(&text, "/shop");
}

void fake_cluster_init(struct fake_cluster *c, int n)
{
	memset(c, 0, sizeof(*c));
	c->n = n;
	name_hosts(c->conninfo, n);
	for (int i = 0; i < n; i++) {
		struct fake_host *h = &c->host[i];

		wi_fake_server_init(&h->server);
		h->server.answer = answer;
		h->server.arg = h;
		wi_store_rlx(&h->server.in_recovery, i != 0);
		wi_store_rlx(&h->server.lsn, FAKE_LSN);
		wi_store_rlx(&h->server.system, 7000000000000000001);
		wi_store_rlx(&h->started, UINT64_C(1700000000000000) + (uint64_t)i);
		c->scripts[i] = &h->server;
	}
}

void fake_cluster_fini(struct fake_cluster *c)
{
	for (int i = 0; i < c->n; i++)
		wi_fake_server_fini(&c->host[i].server);
}

static void *script_of(void *arg, const struct wi_endpoint *endpoint)
{
	struct fake_cluster *c = arg;
	int i = atoi(endpoint->port) - FIRST_PORT;

	return i >= 0 && i < c->n ? &c->host[i].server : NULL;
}

static weir_status open_at(struct fake_cluster *c, const char *conninfo, int n,
                           const weir_options *options, weir_router **router, weir_error *error)
{
	const struct wi_router_config config = {.driver = &wi_driver_fake,
	                                        .world = c->world ? c->world : &wi_world_linux,
	                                        .scripts = c->scripts,
	                                        .n_scripts = (size_t)n,
	                                        .script_of = script_of,
	                                        .script_arg = c};

	return wi_router_open_with(&config, conninfo, options, router, error);
}

weir_status fake_cluster_open(struct fake_cluster *c, const weir_options *options,
                              weir_router **router, weir_error *error)
{
	return open_at(c, c->conninfo, c->n, options, router, error);
}

weir_status fake_cluster_open_first(struct fake_cluster *c, int n, const weir_options *options,
                                    weir_router **router, weir_error *error)
{
	char conninfo[FAKE_CONNINFO];

	name_hosts(conninfo, n);
	return open_at(c, conninfo, n, options, router, error);
}

void fake_cluster_promote(struct fake_cluster *c, int i)
{
	uint32_t timeline = 0;

	for (int k = 0; k < c->n; k++)
		if (wi_load_rlx(&c->host[k].server.timeline) > timeline)
			timeline = wi_load_rlx(&c->host[k].server.timeline);
	for (int k = 0; k < c->n; k++)
		if (k == i || wi_load_rlx(&c->host[k].server.in_recovery))
			wi_store_rlx(&c->host[k].server.timeline, timeline + 1);
	wi_store_rlx(&c->host[i].server.in_recovery, false);
}

void fake_host_down(struct fake_cluster *c, int i, bool down)
{
	wi_store_rlx(&c->host[i].server.connect_fault, down ? WI_FAULT_REFUSED : WI_FAULT_NONE);
	if (down)
		wi_fake_kill(&c->host[i].server);
}

void fake_cluster_write(struct fake_cluster *c, int primary, uint64_t bytes)
{
	wi_add_rlx(&c->host[primary].server.lsn, bytes);
}

void fake_cluster_catch_up(struct fake_cluster *c, int primary, int i)
{
	wi_store_rlx(&c->host[i].server.lsn, wi_load_rlx(&c->host[primary].server.lsn));
}

int fake_host_of(const weir_conn *conn)
{
	weir_conn_info info;
	const char *port;

	if (weir_conn_info_get(conn, &info) != WEIR_OK || !(port = strrchr(info.host, ':')))
		return -1;
	return atoi(port + 1) - FIRST_PORT;
}

void fake_cluster_calm(weir_router *router, uint32_t idle)
{
	weir_host_stats stats[FAKE_HOSTS];
	const int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	for (int times = 0; times < 3 && wi_now_ns() < until_ns;) {
		size_t n, calm = 0;

		if (weir_router_probe(router, 20000) != WEIR_OK)
			return;
		n = weir_router_stats_get(router, stats, FAKE_HOSTS);
		for (size_t i = 0; i < n; i++)
			calm += !stats[i].reachable ||
			        (stats[i].pool.idle >= idle && !stats[i].pool.kept &&
			         !stats[i].pool.doubted);
		times += calm == n;
	}
}
