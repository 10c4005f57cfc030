/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world in which that happens: a clock that moves only when nothing else can happen, a keeper
 * without a thread, and answers that may be of any moment since they were asked for.
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "pool/pool.h"
#include "route/router.h"
#include "support/fates.h"

#define ROUNDS 4 /* of the keeper, until a moment has come to rest */

static weir_router *router;
static bool (*plain_answer)(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                            struct wi_failure *failure);

/* ---- what the router is told ---- */

/* The router's probe of this server, if it is in this state; else NULL. */
static struct wi_probe *probe_of(int i, enum wi_probe_state state)
{
	struct wi_host *h;

	for (uint32_t k = 0; router && (h = wi_places_next(router, &k));)
		if (strcmp(h->endpoint->name, fake_host_name(i)) == 0 && h->probe.state == state)
			return &h->probe;
	return NULL;
}

/* When the question that is answered now was asked. */
static int64_t asked_ns(int i)
{
	const struct wi_probe *p = probe_of(i, WI_PROBE_ASKING);

	return p ? p->asked_ns : fates.now_ns;
}

void fates_end_probe(int i)
{
	const struct wi_probe *p = probe_of(i, WI_PROBE_IDLE);

	if (p)
		wi_fake_kill_one(fates_server(i), wi_fake_serial(p->link));
}

/* The server as it was at some moment since the question was asked. */
static struct fates_past some_past(int i)
{
	struct fates_node *n = &fates.node[i];
	int64_t since_ns = asked_ns(i);
	unsigned back = 1;

	while (back < n->pasts && back < FATES_PASTS &&
	       n->past[(n->pasts - back) % FATES_PASTS].from_ns > since_ns && fates_below(2))
		back++;
	return n->past[(n->pasts - back) % FATES_PASTS];
}

static bool are_all_below(void)
{
	for (int i = 0; i < FATES_HOSTS; i++) {
		const struct fates_node *n = &fates.node[i];

		if (n->listed && (!n->told || n->said.system != fates.system ||
		                  n->said.timeline >= fates.told_timeline))
			return false;
	}
	return true;
}

static void hear(int i, const struct fates_past *p)
{
	const struct fates_past *before = &fates.node[i].said;

	if (!fates.node[i].told || before->in_recovery || before->timeline != p->timeline)
		fates.node[i].primary_ns = fates.now_ns;
	fates.node[i].told = true;
	fates.node[i].said = *p;
	if (p->system == fates.system && p->timeline > fates.told_timeline &&
	    p->from_ns >= fates.restored_ns)
		fates.told_timeline = p->timeline;
	if (!are_all_below())
		fates.below_ns = 0;
	else if (!fates.below_ns)
		fates.below_ns = fates.now_ns;
	fates_say("  told of %d: %s, timeline %u, lsn %llx, follows %d", i,
	          p->in_recovery ? "standby" : "primary", p->timeline, (unsigned long long)p->lsn,
	          p->follows - 1);
}

static bool answer(struct wi_fake_server *s, const char *sql, struct wi_answer *a,
                   struct wi_failure *failure)
{
	struct fake_host *h = s->arg;
	int i = (int)(h - fates_cluster.host);
	struct fates_past as_it_is, as_told;
	bool good;

	if (!a || !strstr(sql, "pg_control_system") || !strstr(sql, "server_version_num"))
		return plain_answer(s, sql, a, failure);
	as_it_is = fates_now_of(i);
	as_told = some_past(i);
	fates_put_on(i, &as_told);
	good = plain_answer(s, sql, a, failure);
	fates_put_on(i, &as_it_is);
	if (good)
		hear(i, &as_told);
	return good;
}

/* ---- the world ---- */

static int64_t now(void)
{
	if (fates.creeps)
		fates.now_ns += WI_MS;
	return fates.now_ns;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t happen(void)
{
	int64_t due = WI_FOREVER;

	for (int rested = 0, steps = 0; rested < ROUNDS; steps++) {
		assert(steps < 100000);
		due = wi_keeper_round(router->keeper, false);
		rested = due <= fates.now_ns ? 0 : rested + 1;
	}
	for (int i = 0; i < FATES_HOSTS; i++)
		due = earlier(due, wi_fake_settle(fates_server(i)));
	return due;
}

static void go_on_while(_Atomic uint32_t *word, uint32_t expected, int64_t until_ns)
{
	while (fates.now_ns < until_ns) {
		int64_t due = happen();

		if (word && wi_load_rlx(word) != expected)
			return;
		due = earlier(earlier(due, until_ns), fates.next_ns);
		if (due > fates.now_ns)
			fates.now_ns = due;
		if (fates.now_ns < fates.next_ns)
			continue;
		fates_live();
		if (!fates.quiet && fates_below(12) == 0)
			fates_befall();
		fates.next_ns = fates.now_ns + (1 + fates_below(60)) * WI_MS;
	}
	happen();
}

static void park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	go_on_while(word, expected, deadline_ns);
}

static void wake(_Atomic uint32_t *word)
{
	(void)word;
}

static bool fence(void)
{
	return wi_world_linux.fence_heavy();
}

static const struct wi_world world = {.park = park, .wake = wake, .fence_heavy = fence, .now = now};

void fates_run_ms(int64_t ms)
{
	go_on_while(NULL, 0, fates.now_ns + ms * WI_MS);
}

/* The keeper has no thread here: the linker sends its start to this. */
weir_status __wrap_wi_keeper_start(struct wi_keeper *keeper, weir_error *e);
weir_status __wrap_wi_keeper_start(struct wi_keeper *keeper, weir_error *e)
{
	(void)keeper;
	(void)e;
	return WEIR_OK;
}

/* Nor does a caller wait in real time for what he has asked a server. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ready = __real_poll(fds, n, 0);

	for (; !ready && timeout_ms > 0; timeout_ms--) {
		fates_run_ms(1);
		ready = __real_poll(fds, n, 0);
	}
	return ready;
}

/* ---- the beginning ---- */

void fates_begin(uint64_t seed)
{
	memset(&fates, 0, sizeof(fates));
	wi_rng_seed(&fates.rng, seed);
	fates.verbose = getenv("TEST_VERBOSE") != NULL;
	fates.now_ns = fates.next_ns = 1000 * WI_SEC;
	fates.began[1] = 1;
	fake_cluster_init(&fates_cluster, FATES_HOSTS);
	fates_cluster.world = &world;
	plain_answer = fates_server(0)->answer;
	fates.system = wi_load_rlx(&fates_server(0)->system);
	for (int i = 0; i < FATES_HOSTS; i++) {
		struct fates_past p = fates_now_of(i);

		fates_server(i)->answer = answer;
		fates_server(i)->now = now;
		p.follows = p.streams_on = i ? 1 : 0;
		fates_set(i, p);
		fates.node[i].listed = true;
	}
}

/* What is drawn by lot is seeded with addresses, which are others each time. */
void fates_seed(uint64_t seed)
{
	struct wi_host *h;

	wi_rng_seed(&router->rng, seed);
	wi_rng_seed(&wi_desk_seat(&router->desk)->rng, seed);
	for (uint32_t k = 0; (h = wi_hosts_next(router, &k));) {
		wi_rng_seed(&h->pool->rng, seed + k);
		wi_rng_seed(&wi_desk_seat(&h->pool->core)->rng, seed + k);
	}
}

weir_status fates_open(const weir_options *options, weir_router **opened, weir_error *error)
{
	weir_status st = fake_cluster_open(&fates_cluster, options, &router, error);

	*opened = router;
	return st;
}
