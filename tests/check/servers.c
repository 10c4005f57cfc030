/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done to the servers, deed by deed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/deeds_inside.h"
#include "check/rules.h"

/* Whether the routers have found out who the primary is. */
static bool is_known(struct stage *s)
{
	static weir_host_stats stats[2 * SERVERS]; /* with those that are leaving */
	int known = 0;

	for (int i = 0; i < ROUTERS; i++) {
		size_t n = weir_router_stats_get(s->router[i], stats, 2 * SERVERS);

		for (size_t k = 0; k < n && k < 2 * SERVERS; k++)
			known += stats[k].role == WEIR_ROLE_PRIMARY &&
			         stage_server(s, stats[k].host) == s->primary;
	}
	return known == ROUTERS;
}

/* Not for ever: what it does not know then is for the rules to say. */
static void await_known(struct stage *s)
{
	int64_t until_ns = wi_now_ns() + 10 * WI_SEC;

	while (!s->broken && wi_now_ns() < until_ns && !is_known(s))
		deed_nap();
}

/* From now on it acknowledges commits by itself; who waited for that is not told. */
static void stop_waiting_for_standbys(struct stage *s, int i)
{
	test_proxy_reset(s->proxy[i]);
	deed_set(s, i, "SET synchronous_standby_names = ''");
}

/* ---- the primary is replaced ---- */

static void kill_primary(struct stage *s)
{
	int old = s->primary;

	deed_must(s, test_cluster_kill(s->cluster, old));
	deed_promote(s, true);
	deed_rejoin(s, old);
}

static void switch_over(struct stage *s)
{
	int old = s->primary;

	deed_must(s, test_cluster_shut_down(s->cluster, old, false));
	deed_promote(s, true);
	deed_rejoin(s, old);
}

/* The old primary is up, writable, and alone with its history; until it is made a standby. */
static void stay_for_a_while(struct stage *s, int old)
{
	if (s->broken)
		return;
	stop_waiting_for_standbys(s, old);
	stage_say(s, "  %d is back and takes writes", old);
	deed_wait(s, deed_some_ms(s, 300, 1500));
}

static void return_of_the_old_one(struct stage *s, bool alone)
{
	int old = s->primary;

	deed_must(s, test_cluster_kill(s->cluster, old));
	deed_promote(s, true);
	/* Of what it could not have known a router is not guilty. */
	await_known(s);
	for (int i = 0; alone && i < SERVERS; i++)
		if (i != old)
			deed_cut(s, i);
	if (!s->broken && deed_must(s, test_cluster_boot(s->cluster, old)))
		stay_for_a_while(s, old);
	for (int i = 0; alone && i < SERVERS; i++)
		if (i != old) {
			deed_mend(s, i);
			deed_wait(s, deed_some_ms(s, 0, 300));
		}
	deed_rejoin(s, old);
}

static void pause_and_return(struct stage *s)
{
	int old = s->primary;

	deed_must(s, test_cluster_pause(s->cluster, old));
	deed_wait(s, deed_some_ms(s, 0, 1500));
	deed_promote(s, true);
	await_known(s);
	test_proxy_reset(s->proxy[old]);
	if (!s->broken && deed_must(s, test_cluster_resume(s->cluster, old)))
		stay_for_a_while(s, old);
	deed_rejoin(s, old);
}

/*
 * First the one that will stay, then the other one, past the cluster program, which would take it
 * for the primary. Neither acknowledges anything yet, as nobody follows them. From then on the
 * other one is as good as fenced, and soon acknowledges by itself.
 */
void deed_promote_both(struct stage *s, int primary, int other)
{
	char *done;

	if (!deed_must(s, test_cluster_promote(s->cluster, primary)))
		return;
	done = test_cluster_admin(s->cluster, other, "SELECT pg_promote(true, 30)");
	deed_must(s, done && done[0] == 't');
	free(done);
	if (s->broken)
		return;
	deed_wait(s, 1000); /* for the router to hear of it */
	deed_fact(s, FACT_FENCED, other);
	deed_set(s, primary, "SET synchronous_standby_names = ''");
	stop_waiting_for_standbys(s, other);
}

static void two_promoted(struct stage *s)
{
	int old = s->primary, other;

	deed_must(s, test_cluster_kill(s->cluster, old));
	deed_promote(s, false);
	if (s->broken)
		return;
	deed_wait(s, deed_some_ms(s, 300, 1500));
	other = SERVERS - old - s->primary;
	/* First: who follows gets a copy of the settings, too. */
	deed_set(s, s->primary, "RESET synchronous_standby_names");
	deed_rejoin(s, other);
	deed_rejoin(s, old);
}

/* ---- it stays the primary ---- */

static void restart(struct stage *s)
{
	uint32_t how = wi_rng_below(&s->rng, 3);
	int i = s->primary;

	if (how == 0)
		deed_must(s, test_cluster_kill(s->cluster, i));
	else
		deed_must(s, test_cluster_shut_down(s->cluster, i, how == 1));
	if (!s->broken)
		deed_must(s, test_cluster_boot(s->cluster, i));
}

/* Sessions that are there live on, and begin to refuse writes. */
static void make_read_only(struct stage *s)
{
	int i = s->primary;

	deed_fact(s, FACT_READ_ONLY, i);
	deed_set(s, i, "SET default_transaction_read_only = on");
	deed_wait(s, deed_some_ms(s, 200, 1000));
	deed_set(s, i, "RESET default_transaction_read_only");
	deed_wait(s, 500);
	deed_fact_ends(s, FACT_READ_ONLY, i);
}

static void terminate(struct stage *s)
{
	int i = (int)wi_rng_below(&s->rng, SERVERS);
	char *n =
		test_cluster_admin(s->cluster, i,
	                           "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
	                           "WHERE usename = 'app'");

	deed_must(s, n != NULL);
	free(n);
}

/* ---- standbys, and any server ---- */

static void hold_replay(struct stage *s)
{
	uint32_t which = wi_rng_below(&s->rng, 3);

	for (int k = 0; k < 2; k++)
		if (which == 2 || which == (uint32_t)k)
			deed_must(s, test_cluster_pause_replay(s->cluster, deed_standby(s, k)));
	deed_wait(s, deed_some_ms(s, 500, 2500));
	for (int k = 0; k < 2; k++)
		if (which == 2 || which == (uint32_t)k)
			deed_must(s, test_cluster_resume_replay(s->cluster, deed_standby(s, k)));
}

static void stop_server(struct stage *s)
{
	int i = (int)wi_rng_below(&s->rng, SERVERS);

	if (!deed_must(s, test_cluster_pause(s->cluster, i)))
		return;
	deed_wait(s, deed_some_ms(s, 100, 3000));
	deed_must(s, test_cluster_resume(s->cluster, i));
}

static void kill_standby(struct stage *s)
{
	int i = deed_any_standby(s);

	deed_must(s, test_cluster_kill(s->cluster, i));
	deed_wait(s, deed_some_ms(s, 0, 500));
	deed_must(s, test_cluster_boot(s->cluster, i));
}

/* ---- the routers' hosts ---- */

static void host_name(const struct stage *s, int i, char name[32])
{
	snprintf(name, 32, "127.0.0.1:%d", test_proxy_port(s->proxy[i]));
}

static void must_obey(struct stage *s, weir_status st, const weir_error *error)
{
	if (st != WEIR_OK)
		check_found(s->findings, RULE_AWAY, "a router does not obey: %s", error->text);
}

static void remove_host(struct stage *s)
{
	int i = (int)wi_rng_below(&s->rng, SERVERS);
	weir_error error;
	char name[32];

	host_name(s, i, name);
	for (int k = 0; k < ROUTERS; k++)
		must_obey(s, weir_router_host_remove(s->router[k], name, &error), &error);
	deed_fact(s, FACT_AWAY, i);
	deed_wait(s, deed_some_ms(s, 100, 1500));
	deed_fact_ends(s, FACT_AWAY, i);
	for (int k = 0; k < ROUTERS; k++)
		must_obey(s, weir_router_host_add(s->router[k], name, NULL, &error), &error);
}

void check_do(struct stage *s, enum deed deed)
{
	stage_say(s, "%s", check_deed_text(deed));
	switch (deed) {
	case DEED_KILL:
		kill_primary(s);
		break;
	case DEED_SWITCH:
		switch_over(s);
		break;
	case DEED_KILL_AND_RETURN:
	case DEED_RETURN_ALONE:
		return_of_the_old_one(s, deed == DEED_RETURN_ALONE);
		break;
	case DEED_PAUSE_AND_RETURN:
		pause_and_return(s);
		break;
	case DEED_TWO_PROMOTED:
		two_promoted(s);
		break;
	case DEED_RESTART:
		restart(s);
		break;
	case DEED_READ_ONLY:
		make_read_only(s);
		break;
	case DEED_HOLD_REPLAY:
		hold_replay(s);
		break;
	case DEED_STOP_SERVER:
		stop_server(s);
		break;
	case DEED_KILL_STANDBY:
		kill_standby(s);
		break;
	case DEED_TERMINATE:
		terminate(s);
		break;
	case DEED_REMOVE_HOST:
		remove_host(s);
		break;
	case DEED_RESET_LINK:
	case DEED_BLACK_HOLE:
	case DEED_ONE_WAY:
	case DEED_SLOW_LINK:
	case DEED_REFUSE:
		deed_link(s, deed, (int)wi_rng_below(&s->rng, SERVERS));
		break;
	case DEEDS:
		break;
	}
}
