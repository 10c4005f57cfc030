/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the statistics of a host and its record in the file: each row of fields.def, both ways.
 */
#include <string.h>

#include "base/text.h"
#include "view/format.h"

void wi_view_host_put(struct wi_view_host *r, const weir_host_stats *s)
{
	memset(r, 0, sizeof(*r));
#define NUMBER(name, member) r->name = (int64_t)s->member;
#define ARRAY(name, member, room, n)                                                               \
	for (int i = 0; i < (n) && i < (room); i++)                                                \
		r->name[i] = (int64_t)s->member[i];
#define TEXT(name, member, room) wi_copy(r->name, sizeof(r->name), s->member);
#define DURATIONS(name, member)                                                                    \
	r->name = (struct wi_view_durations){                                                      \
		(int64_t)s->member.count,  (int64_t)s->member.p50_ns,  (int64_t)s->member.p90_ns,  \
		(int64_t)s->member.p99_ns, (int64_t)s->member.p999_ns, (int64_t)s->member.max_ns};
#include "view/fields.def"
}

/* How many bytes the character takes that begins here; 0: none does. */
static size_t utf8_at(const unsigned char *c, size_t left)
{
	size_t n = *c < 0x80 ? 1 : *c >= 0xc2 && *c < 0xe0 ? 2 : *c >= 0xe0 && *c < 0xf0 ? 3 : 0;

	if (*c >= 0xf0 && *c < 0xf5)
		n = 4;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* too long a form, a half of a pair, beyond the last one; C1 controls: a terminal obeys */
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] > 0x9f) ||
	    (*c == 0xf0 && c[1] < 0x90) || (*c == 0xf4 && c[1] > 0x8f) ||
	    (*c == 0xc2 && c[1] < 0xa0))
		return 0;
	return n;
}

void wi_view_text_get(char *to, size_t room, const char *from, size_t length)
{
	const unsigned char *at = (const unsigned char *)from;
	size_t left = strnlen(from, length), n;

	for (; left; at += n, left -= n) {
		size_t whole = utf8_at(at, left);

		n = whole ? whole : 1;
		if (room <= n)
			break;
		if (!whole)
			*to = '?';
		else if (*at < 0x20 || *at == 0x7f)
			*to = ' ';
		else
			memcpy(to, at, n);
		to += n;
		room -= n;
	}
	*to = '\0';
}

/* What others take for an index or a truth must be one. */
static void make_sane(weir_host_stats *s)
{
	if ((unsigned)s->role > (unsigned)WEIR_ROLE_REPLICA)
		s->role = WEIR_ROLE_UNKNOWN;
	if ((unsigned)s->pool.breaker > (unsigned)WEIR_BREAKER_HALF_OPEN)
		s->pool.breaker = WEIR_BREAKER_CLOSED;
	s->pool.breaker_open = s->pool.breaker != WEIR_BREAKER_CLOSED;
	memcpy(s->pool.host, s->host, sizeof(s->pool.host));
}

void wi_view_host_get(const struct wi_view_host *r, weir_host_stats *s)
{
	memset(s, 0, sizeof(*s));
#define NUMBER(name, member) s->member = (__typeof__(s->member))r->name;
#define ARRAY(name, member, room, n)                                                               \
	for (int i = 0; i < (n) && i < (room); i++)                                                \
		s->member[i] = (uint64_t)r->name[i];
#define TEXT(name, member, room)                                                                   \
	wi_view_text_get(s->member, sizeof(s->member), r->name, sizeof(r->name));
#define DURATIONS(name, member)                                                                    \
	s->member = (weir_durations){(uint64_t)r->name.count,   (uint64_t)r->name.p50_ns,          \
	                             (uint64_t)r->name.p90_ns,  (uint64_t)r->name.p99_ns,          \
	                             (uint64_t)r->name.p999_ns, (uint64_t)r->name.max_ns};
#include "view/fields.def"
	make_sane(s);
}
