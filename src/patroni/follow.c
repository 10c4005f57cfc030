/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members come and go, and the router's hosts do, too. A member is added when it is first seen. A
 * host that is no member is removed when that has been so for a while, because Patroni forgets one
 * that is restarted or cut off for as long; and never the last, nor by an answer that knows none of
 * the router's hosts: that is another cluster's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/hosts.h>
#include <weir/stats.h>

#include "patroni/patroni.h"

static const struct wi_member *find_member(const struct wi_view *v, const char *host)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (strcmp(v->member[i].host, host) == 0)
			return &v->member[i];
	return NULL;
}

static struct wi_followed *find(struct wi_follower *f, const char *host)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (strcmp(f->host[i].host, host) == 0)
			return &f->host[i];
	return NULL;
}

static bool complain(char *why, size_t room, const weir_error *error)
{
	snprintf(why, room, "%s", error->text);
	return false;
}

/* Whom no tag puts into a zone stays in the one it has. */
static weir_host_settings settings_of(const struct wi_member *m, const char *zone)
{
	weir_host_settings s;

	weir_host_settings_init(&s);
	if (m->unbalanced)
		s.weight = 0;
	snprintf(s.zone, sizeof(s.zone), "%s", m->zone[0] ? m->zone : zone);
	return s;
}

static void note(struct wi_followed *to, const struct wi_member *m,
                 const weir_host_settings *settings)
{
	*to = (struct wi_followed){.unbalanced = m->unbalanced};
	snprintf(to->host, sizeof(to->host), "%s", m->host);
	snprintf(to->zone, sizeof(to->zone), "%s", settings->zone);
}

/* The hosts that the router has and we have not noted are noted, those that are gone forgotten. */
static bool look(struct wi_follower *f, weir_router *router)
{
	weir_host_stats *hosts = calloc(WI_MEMBERS_MAX, sizeof(*hosts));
	struct wi_follower now = {0};
	size_t n = hosts ? weir_router_stats_get(router, hosts, WI_MEMBERS_MAX) : 0;

	for (size_t i = 0; i < n && i < WI_MEMBERS_MAX; i++) {
		const struct wi_followed *known = find(f, hosts[i].host);
		struct wi_followed *to = &now.host[now.n];

		if (hosts[i].leaving)
			continue;
		now.n++;
		if (known) {
			*to = *known;
			continue;
		}
		snprintf(to->host, sizeof(to->host), "%s", hosts[i].host);
		snprintf(to->zone, sizeof(to->zone), "%s", hosts[i].zone);
	}
	free(hosts);
	*f = now;
	return n > 0;
}

bool wi_is_primary(weir_router *router, const char *host)
{
	weir_host_stats *hosts = calloc(WI_MEMBERS_MAX, sizeof(*hosts));
	size_t n = hosts ? weir_router_stats_get(router, hosts, WI_MEMBERS_MAX) : 0;
	bool is = false;

	for (size_t i = 0; i < n && i < WI_MEMBERS_MAX; i++)
		is = is || (hosts[i].role == WEIR_ROLE_PRIMARY && strcmp(hosts[i].host, host) == 0);
	free(hosts);
	return is;
}

static bool add(struct wi_follower *f, weir_router *router, const struct wi_member *m, char *why,
                size_t room)
{
	weir_host_settings settings = settings_of(m, "");
	weir_error error;

	if (f->n == WI_MEMBERS_MAX)
		return true;
	if (weir_router_host_add(router, m->host, &settings, &error) != WEIR_OK)
		return complain(why, room, &error);
	note(&f->host[f->n++], m, &settings);
	return true;
}

static bool change(struct wi_followed *known, weir_router *router, const struct wi_member *m,
                   char *why, size_t room)
{
	weir_host_settings settings = settings_of(m, known->zone);
	weir_error error;

	known->missing_ms = 0;
	if (known->unbalanced == m->unbalanced && strcmp(known->zone, settings.zone) == 0)
		return true;
	if (weir_router_host_set(router, m->host, &settings, &error) != WEIR_OK)
		return complain(why, room, &error);
	note(known, m, &settings);
	return true;
}

static bool miss(struct wi_followed *known, weir_router *router, int64_t now_ms, int64_t forget_ms,
                 char *why, size_t room)
{
	weir_error error;

	if (!known->missing_ms)
		known->missing_ms = now_ms;
	if (now_ms - known->missing_ms < forget_ms)
		return true;
	if (weir_router_host_remove(router, known->host, &error) != WEIR_OK)
		return complain(why, room, &error);
	return true;
}

/* Whether the answer is about this cluster at all. */
static bool knows_one(const struct wi_follower *f, const struct wi_view *v)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (find_member(v, f->host[i].host))
			return true;
	return false;
}

bool wi_follow(struct wi_follower *f, weir_router *router, const struct wi_view *v, int64_t now_ms,
               int64_t forget_ms, char *why, size_t room)
{
	bool well = true;
	uint32_t n;

	if (!look(f, router))
		return true;
	if (!knows_one(f, v)) {
		snprintf(why, room, "none of the members is a host of the router");
		return false;
	}
	n = f->n;
	for (uint32_t i = 0; i < n; i++) {
		const struct wi_member *m = find_member(v, f->host[i].host);

		well = (m ? change(&f->host[i], router, m, why, room)
		          : miss(&f->host[i], router, now_ms, forget_ms, why, room)) &&
		       well;
	}
	for (uint32_t i = 0; i < v->n; i++)
		if (!find(f, v->member[i].host))
			well = add(f, router, &v->member[i], why, room) && well;
	return well;
}
