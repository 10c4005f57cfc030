/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Patroni answers to GET /cluster. Whoever answers may be mistaken or worse, so only what can
 * be a host's name is taken for one, and an answer with two leaders is none.
 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "patroni/patroni.h"

static bool refuse(char *why, size_t room, const char *text)
{
	snprintf(why, room, "the answer cannot be right: %s", text);
	return false;
}

/* Letters, digits and what stands in names and addresses; nothing that would begin another one. */
static bool is_hostname(const char *host)
{
	size_t length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                             "0123456789.-_:%");

	return length > 0 && host[length] == '\0' && host[0] != '-' && length < 200;
}

static bool read_host(struct wi_member *m, const json_t *from)
{
	const char *host = json_string_value(json_object_get(from, "host"));
	json_int_t port = json_integer_value(json_object_get(from, "port"));
	bool brackets;

	if (!host || !is_hostname(host) || port < 1 || port > 65535)
		return false;
	brackets = strchr(host, ':') != NULL;
	snprintf(m->host, sizeof(m->host), "%s%s%s:%d", brackets ? "[" : "", host,
	         brackets ? "]" : "", (int)port);
	return true;
}

/* YAML makes of a tag what it looks like. */
static bool is_true(const json_t *tag)
{
	const char *text = json_string_value(tag);

	return json_is_true(tag) || (text && strcmp(text, "true") == 0);
}

static void read_tags(struct wi_member *m, const json_t *tags, const char *zone_tag)
{
	const char *zone = json_string_value(json_object_get(tags, zone_tag));

	m->unbalanced = is_true(json_object_get(tags, "noloadbalance"));
	if (zone && strlen(zone) < sizeof(m->zone))
		snprintf(m->zone, sizeof(m->zone), "%s", zone);
}

static bool read_member(struct wi_view *v, const json_t *from, const char *zone_tag, char *why,
                        size_t room)
{
	struct wi_member *m = &v->member[v->n];
	const char *role = json_string_value(json_object_get(from, "role"));
	json_int_t timeline = json_integer_value(json_object_get(from, "timeline"));

	*m = (struct wi_member){.leads = role && strcmp(role, "leader") == 0};
	/* One that is being made has no address yet. */
	if (!read_host(m, from))
		return !m->leads || refuse(why, room, "the leader has no address");
	if (timeline > 0 && timeline <= UINT32_MAX)
		m->timeline = (uint32_t)timeline;
	read_tags(m, json_object_get(from, "tags"), zone_tag);
	for (uint32_t i = 0; i < v->n; i++)
		if (strcmp(v->member[i].host, m->host) == 0)
			return refuse(why, room, "two members have one address");
	if (m->leads && v->leader)
		return refuse(why, room, "two members lead");
	if (m->leads)
		v->leader = m;
	v->n++;
	return true;
}

static bool read_members(struct wi_view *v, const json_t *members, const char *zone_tag, char *why,
                         size_t room)
{
	size_t n = json_array_size(members);

	if (!json_is_array(members) || n == 0)
		return refuse(why, room, "it has no members");
	if (n > WI_MEMBERS_MAX)
		return refuse(why, room, "it has too many members");
	for (size_t i = 0; i < n; i++)
		if (!read_member(v, json_array_get(members, i), zone_tag, why, room))
			return false;
	return true;
}

bool wi_view_read(struct wi_view *v, const char *body, size_t length, const char *zone_tag,
                  char *why, size_t room)
{
	json_error_t error;
	json_t *all = json_loadb(body, length, JSON_REJECT_DUPLICATES, &error);
	bool well;

	memset(v, 0, sizeof(*v));
	if (!all)
		return refuse(why, room, "it is no JSON");
	well = read_members(v, json_object_get(all, "members"), zone_tag, why, room);
	v->paused = json_is_true(json_object_get(all, "pause"));
	json_decref(all);
	return well;
}
