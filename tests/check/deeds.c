/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failing over, as a careful operator does it: the old primary gets no acknowledgement from a
 * standby any more (it is fenced from then on), the standby that has received the most is promoted,
 * the other one follows it. So nothing that was acknowledged before can be lost, and nothing that
 * the old primary takes after can be kept.
 */
#include "check/deeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/deeds_inside.h"
#include "check/rules.h"

static const char *const texts[] = {
#define DEED_TEXT(name, text) text,
	DEED_MAP(DEED_TEXT)
#undef DEED_TEXT
};

const char *check_deed_text(enum deed deed)
{
	return texts[deed];
}

/* ---- orders to the cluster ---- */

bool deed_must(struct stage *s, bool done)
{
	if (done || s->broken)
		return done;
	stage_say(s, "the cluster does not obey: %s", test_cluster_error(s->cluster));
	s->broken = true;
	return false;
}

/* As the superuser; the answer as a number. */
static int64_t ask(struct stage *s, int i, const char *sql)
{
	char *text = test_cluster_admin(s->cluster, i, sql);
	int64_t n = text ? strtoll(text, NULL, 10) : -1;

	deed_must(s, text != NULL);
	free(text);
	return n;
}

void deed_set(struct stage *s, int i, const char *setting)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "ALTER SYSTEM %s; SELECT pg_reload_conf()", setting);
	ask(s, i, sql);
}

int deed_standby(const struct stage *s, int which)
{
	return (s->primary + 1 + which) % SERVERS;
}

int deed_any_standby(struct stage *s)
{
	return deed_standby(s, (int)wi_rng_below(&s->rng, 2));
}

void deed_wait(struct stage *s, int64_t ms)
{
	int64_t until_ns = wi_now_ns() + ms * WI_MS;

	while (wi_now_ns() < until_ns && !s->broken)
		deed_nap();
}

int64_t deed_some_ms(struct stage *s, uint32_t from, uint32_t to)
{
	return from + wi_rng_below(&s->rng, to - from);
}

/* ---- facts ---- */

struct fact *deed_fact(struct stage *s, enum fact_kind kind, int host)
{
	struct history *h = &s->history;

	if (h->n_facts == s->fact_room) {
		s->fact_room = s->fact_room ? s->fact_room * 2 : 64;
		h->facts = realloc(h->facts, s->fact_room * sizeof(*h->facts));
		if (!h->facts)
			exit(EXIT_FAILURE);
	}
	h->facts[h->n_facts] = (struct fact){kind, (uint8_t)host, wi_now_ns(), INT64_MAX};
	return &h->facts[h->n_facts++];
}

void deed_fact_ends(struct stage *s, enum fact_kind kind, int host)
{
	for (uint32_t i = 0; i < s->history.n_facts; i++) {
		struct fact *fact = &s->history.facts[i];

		if (fact->kind == kind && fact->host == host && fact->to_ns == INT64_MAX)
			fact->to_ns = wi_now_ns();
	}
}

/* ---- failing over ---- */

/* It streams from nobody any more, and has replayed what it has received. */
static void detach(struct stage *s, int i)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	deed_set(s, i, "SET primary_conninfo = ''");
	while (!s->broken && wi_now_ns() < until_ns &&
	       ask(s, i, "SELECT count(*) FROM pg_stat_wal_receiver"))
		deed_nap();
}

static int64_t received(struct stage *s, int i)
{
	return ask(s, i,
	           "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'");
}

static void note_promotion(struct stage *s)
{
	if (s->n_promoted < PROMOTIONS)
		s->promoted_ns[s->n_promoted++] = wi_now_ns();
}

void deed_promote(struct stage *s, bool is_followed)
{
	/* Of two that have received the same, either. */
	int a = deed_any_standby(s), old = s->primary, b = SERVERS - old - a;
	int64_t begun_ns = wi_now_ns();

	detach(s, a);
	detach(s, b);
	deed_fact(s, FACT_FENCED, old);
	if (s->broken)
		return;
	if (received(s, b) > received(s, a)) {
		int other = a;

		a = b;
		b = other;
	}
	if (!is_followed)
		deed_promote_both(s, a, b);
	else if (deed_must(s, test_cluster_promote(s->cluster, a)))
		deed_must(s, test_cluster_follow(s->cluster, b));
	s->primary = a;
	note_promotion(s);
	stage_say(s, "  %d is the primary, %d was, %.1f s", a, old,
	          (double)(wi_now_ns() - begun_ns) / 1e9);
}

void deed_rejoin(struct stage *s, int i)
{
	if (s->broken)
		return;
	deed_must(s, test_cluster_rejoin(s->cluster, i));
	deed_fact_ends(s, FACT_FENCED, i);
	stage_say(s, "  %d follows again", i);
}

/* ---- the end of a deed ---- */

bool check_calm(struct stage *s)
{
	uint64_t enough = atomic_load(&s->acknowledged) + 20;
	int64_t begun_ns = wi_now_ns();

	for (int i = 0; i < SERVERS; i++)
		test_proxy_heal(s->proxy[i]);
	while (!s->broken && atomic_load(&s->acknowledged) < enough) {
		if (wi_now_ns() - begun_ns > 30 * WI_SEC) {
			check_found(
				s->findings, RULE_COMES_BACK,
				"no 20 writes were acknowledged within 30 s, %.3f s after begin",
				(double)(wi_now_ns() - s->begun_ns) / 1e9);
			return false;
		}
		deed_nap();
	}
	s->findings->judged[RULE_COMES_BACK]++;
	return deed_must(s, test_cluster_sync(s->cluster));
}
