/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a request of `weir bench` gets its connection: a checkout from the router, or, for
 * comparison, a connect of its own by plain libpq with the very parameters that the router's
 * connections have (PQconninfo tells them).
 */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/clock.h"
#include "cli/text.h"

#define FIND_TIMEOUT_MS 10000

static weir_status fail(weir_error *error, weir_status status, const char *text)
{
	memset(error, 0, sizeof(*error));
	error->status = status;
	cli_copy(error->text, sizeof(error->text), text);
	return status;
}

size_t cli_bench_host(const struct cli_bench *bench, const char *name)
{
	for (size_t i = 0; i < bench->n_hosts; i++)
		if (!strcmp(bench->hosts[i].host, name))
			return i;
	return CLI_NO_HOST;
}

/* The configured timeout, unless the run must be over before. */
static int64_t checkout_timeout_ms(const struct cli_bench *bench)
{
	int64_t left = (atomic_load_explicit(&bench->last_call, memory_order_relaxed) - cli_now()) /
	               CLI_MS;

	if (left >= bench->plan->options.checkout_timeout_ms)
		return 0; /* as the options say */
	return left > 0 ? left : WEIR_NO_WAIT;
}

static weir_status take(struct cli_bench *bench, weir_intent intent, struct cli_link *link,
                        weir_error *error)
{
	weir_request request =
		WEIR_REQUEST(.intent = intent, .timeout_ms = checkout_timeout_ms(bench),
	                     .tag = "weir bench");
	weir_conn_info info;
	weir_status status = weir_checkout_with(bench->router, &request, &link->conn, error);

	if (status != WEIR_OK)
		return status;
	status = weir_conn_info_get(link->conn, &info);
	link->host = status == WEIR_OK ? cli_bench_host(bench, info.host) : CLI_NO_HOST;
	if (link->host == CLI_NO_HOST) {
		weir_discard(&link->conn);
		return fail(error, WEIR_UNAVAILABLE,
		            "the connection leads to a host that the router did not list");
	}
	link->pg = weir_pg(link->conn);
	link->reason = info.reason;
	return WEIR_OK;
}

/*
 * Whose turn it is: the primary for writes, else the replicas one after the other, else the
 * primary.
 */
static const struct cli_direct *choose(const struct cli_bench *bench, weir_intent intent,
                                       size_t turn)
{
	size_t replicas = 0;

	for (size_t i = 0; i < bench->n_direct; i++)
		replicas += bench->direct[i].role == WEIR_ROLE_REPLICA;
	if (intent == WEIR_WRITE || !replicas) {
		for (size_t i = 0; i < bench->n_direct; i++)
			if (bench->direct[i].role == WEIR_ROLE_PRIMARY)
				return &bench->direct[i];
		return NULL;
	}
	turn %= replicas;
	for (size_t i = 0; i < bench->n_direct; i++)
		if (bench->direct[i].role == WEIR_ROLE_REPLICA && turn-- == 0)
			return &bench->direct[i];
	return NULL;
}

static weir_status connect_one(struct cli_bench *bench, weir_intent intent, size_t turn,
                               struct cli_link *link, weir_error *error)
{
	const struct cli_direct *direct = choose(bench, intent, turn);
	struct cli_limit limit = {
		.deadline = cli_now() + bench->plan->options.connect_timeout_ms * CLI_MS,
		.last_call = &bench->last_call,
	};
	weir_status status;

	if (!direct)
		return fail(error, WEIR_UNAVAILABLE,
		            "no host for this intent was found at the start");
	link->host = direct->host;
	status = cli_connect(direct->keys, direct->values, &limit, &link->pg, error);
	if (status != WEIR_OK)
		cli_copy(error->host, sizeof(error->host), bench->hosts[direct->host].host);
	else if (intent == WEIR_READ && direct->role == WEIR_ROLE_PRIMARY)
		link->reason = WEIR_REASON_NO_REPLICA;
	return status;
}

/* A statement that has something to say on each run would fill the terminal. */
static void ignore_notice(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
}

weir_status cli_link_open(struct cli_bench *bench, weir_intent intent, size_t turn,
                          struct cli_link *link, weir_error *error)
{
	weir_status status;

	*link = (struct cli_link){.host = CLI_NO_HOST};
	status = bench->router ? take(bench, intent, link, error)
	                       : connect_one(bench, intent, turn, link, error);
	if (status == WEIR_OK)
		PQsetNoticeReceiver(link->pg, ignore_notice, NULL);
	return status;
}

void cli_link_close(struct cli_link *link, bool broken)
{
	if (!link->conn)
		PQfinish(link->pg);
	else if (broken)
		weir_discard(&link->conn);
	else
		weir_checkin(&link->conn);
	link->pg = NULL;
}

static bool known(const struct cli_bench *bench, size_t host)
{
	for (size_t i = 0; i < bench->n_direct; i++)
		if (bench->direct[i].host == host)
			return true;
	return false;
}

/* Keeps what this connection was made of. */
static void remember(struct cli_bench *bench, const struct cli_link *link, weir_role role)
{
	PQconninfoOption *info = PQconninfo(link->pg);
	struct cli_direct *direct = &bench->direct[bench->n_direct];
	size_t rows = 0, used = 0;

	if (!info)
		return;
	while (info[rows].keyword)
		rows++;
	direct->keys = cli_alloc(rows + 1, sizeof(*direct->keys));
	direct->values = cli_alloc(rows + 1, sizeof(*direct->values));
	for (size_t i = 0; i < rows; i++) {
		if (!info[i].val || !*info[i].val)
			continue;
		direct->keys[used] = info[i].keyword;
		direct->values[used++] = info[i].val;
	}
	direct->info = info;
	direct->host = link->host;
	direct->role = role;
	bench->n_direct++;
}

/* Takes a connection of the router's and learns from it. */
static weir_status learn(struct cli_bench *bench, weir_intent intent, struct cli_link *link,
                         weir_error *error)
{
	weir_conn_info info;
	weir_status status = take(bench, intent, link, error);

	if (status == WEIR_OK && !known(bench, link->host) &&
	    weir_conn_info_get(link->conn, &info) == WEIR_OK)
		remember(bench, link, info.role);
	return status;
}

static size_t replicas_of(const struct cli_bench *bench)
{
	size_t n = 0;

	for (size_t i = 0; i < bench->n_hosts; i++)
		n += bench->hosts[i].role == WEIR_ROLE_REPLICA;
	return n;
}

static size_t replicas_known(const struct cli_bench *bench)
{
	size_t n = 0;

	for (size_t i = 0; i < bench->n_direct; i++)
		n += bench->direct[i].role == WEIR_ROLE_REPLICA;
	return n;
}

#define HELD_MAX 8

/*
 * The router chooses the replica that has less to do and answers faster, so the slower one might
 * never be seen: what was learned from is held meanwhile, as far as the pools have room. One that
 * it never chooses all the same (its policy says so, or it is too stale) is not connected to.
 */
static weir_status learn_replicas(struct cli_bench *bench, size_t replicas, weir_error *error)
{
	int64_t deadline = cli_now() + FIND_TIMEOUT_MS * CLI_MS;
	size_t room = replicas * (size_t)bench->plan->options.pool_max, n = 0;
	struct cli_link held[HELD_MAX];
	weir_status status = WEIR_OK;

	for (size_t tries = 16 * bench->n_hosts; tries && status == WEIR_OK; tries--) {
		held[n] = (struct cli_link){.host = CLI_NO_HOST};
		status = learn(bench, WEIR_READ, &held[n], error);
		n += status == WEIR_OK;
		if (replicas_known(bench) >= replicas || cli_now() > deadline)
			break;
		while (n == HELD_MAX || n >= room)
			cli_link_close(&held[--n], false);
	}
	while (n)
		cli_link_close(&held[--n], false);
	return status;
}

/* A missing primary matters only if there are writes. */
weir_status cli_direct_find(struct cli_bench *bench, weir_error *error)
{
	struct cli_link link = {.host = CLI_NO_HOST};
	size_t replicas = replicas_of(bench);
	weir_status status = WEIR_OK;

	bench->direct = cli_alloc(bench->n_hosts, sizeof(*bench->direct));
	if (bench->plan->reads_pct < 100 || !replicas)
		status = learn(bench, WEIR_WRITE, &link, error);
	if (link.conn)
		cli_link_close(&link, false);
	if (status == WEIR_OK && bench->plan->reads_pct && replicas)
		status = learn_replicas(bench, replicas, error);
	return status;
}

void cli_direct_free(struct cli_bench *bench)
{
	for (size_t i = 0; i < bench->n_direct; i++) {
		for (PQconninfoOption *o = bench->direct[i].info; o->keyword; o++)
			if (o->val && *o->dispchar == '*')
				explicit_bzero(o->val, strlen(o->val));
		PQconninfoFree(bench->direct[i].info);
		free(bench->direct[i].keys);
		free(bench->direct[i].values);
	}
	free(bench->direct);
	bench->direct = NULL;
	bench->n_direct = 0;
}
