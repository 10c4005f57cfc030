/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whoever can write the file may be wrong, old, newer, or mean harm to who looks. So nothing in it
 * is an index, a size or a text before it was checked here: counts have bounds, the parts add up to
 * the whole, enumerations are in their range, times cannot overflow, texts have no control bytes.
 */
#include "view/decode.h"

#include <string.h>

#include <weir/hosts.h>

#include "base/alloc.h"

/* The oldest records that a reader of this version understands. */
#define LEAST_HOST 8
#define MOST_RECORD (UINT32_C(1) << 16)
#define MOST_HOSTS WEIR_HOSTS_MAX
#define MOST_HOLDERS (WEIR_HOSTS_MAX * WI_VIEW_HOLDERS)
#define MOST_WAITERS (WEIR_HOSTS_MAX * WI_VIEW_WAITERS)

/* Nothing lasts longer: what says so is not to be believed, and sums stay in range. */
#define LONGEST_NS (INT64_MAX / 4)

static int64_t span(int64_t ns)
{
	return ns < 0 ? -1 : ns < LONGEST_NS ? ns : LONGEST_NS;
}

static bool is_record(uint32_t size)
{
	return size >= LEAST_HOST && size <= MOST_RECORD && size % 8 == 0;
}

bool wi_decode_head(const void *bytes, size_t size, struct wi_view_picture *head)
{
	uint64_t sum;

	/* All members were there from the first version on. */
	if (size < sizeof(*head))
		return false;
	memcpy(head, bytes, sizeof(*head));
	if (head->size < sizeof(*head) || head->size > MOST_RECORD || head->size % 8 ||
	    !is_record(head->host_size) || !is_record(head->holder_size) ||
	    !is_record(head->waiter_size) || !is_record(head->event_size) ||
	    head->n_events > WI_VIEW_EVENTS || head->n_hosts > MOST_HOSTS ||
	    head->n_holders > MOST_HOLDERS || head->n_waiters > MOST_WAITERS)
		return false;
	sum = head->size + (uint64_t)head->n_hosts * head->host_size +
	      (uint64_t)head->n_holders * head->holder_size +
	      (uint64_t)head->n_waiters * head->waiter_size +
	      (uint64_t)head->n_events * head->event_size;
	/* Holders and waiters belong to a host. */
	return head->bytes == sum && sum <= WI_VIEW_PLACE_ROOM &&
	       (head->n_hosts || !(head->n_holders || head->n_waiters));
}

/* size is at least head->bytes. */
static bool is_whole(const unsigned char *bytes, const struct wi_view_picture *head)
{
	uint64_t digest = wi_view_digest(WI_VIEW_DIGEST, bytes + head->size,
	                                 (size_t)(head->bytes - head->size));
	struct wi_view_picture first = *head;

	first.digest = 0;
	digest = wi_view_digest(digest, &first, sizeof(first));
	digest = wi_view_digest(digest, bytes + sizeof(first), head->size - sizeof(first));
	return digest == head->digest;
}

/* One record of `size` bytes as one of ours: shorter ones end in zeroes. */
static void record_at(void *to, size_t room, const unsigned char *at, size_t size)
{
	memset(to, 0, room);
	memcpy(to, at, size < room ? size : room);
}

static void decode_holder(weir_view_holder *to, const struct wi_view_holder *r, size_t n_hosts)
{
	memset(to, 0, sizeof(*to));
	to->host = r->host < n_hosts ? r->host : 0;
	to->thread = r->thread;
	to->thread_ended = r->flags & WI_VIEW_THREAD_ENDED;
	to->reclaimed = r->flags & WI_VIEW_RECLAIMED;
	to->role = r->role <= WEIR_ROLE_REPLICA ? (weir_role)r->role : WEIR_ROLE_UNKNOWN;
	to->reason = r->reason < WEIR_REASONS ? (weir_reason)r->reason : WEIR_REASON_NONE;
	to->held_ns = r->flags & WI_VIEW_HELD_IS_KNOWN ? span(r->held_ns) : -1;
	wi_view_text_get(to->tag, sizeof(to->tag), r->tag, sizeof(r->tag));
}

static void decode_waiter(weir_view_waiter *to, const struct wi_view_waiter *r, size_t n_hosts)
{
	memset(to, 0, sizeof(*to));
	to->host = r->host < n_hosts ? r->host : 0;
	to->thread = r->thread;
	to->waited_ns = r->waited_ns > 0 ? span(r->waited_ns) : 0;
	wi_view_text_get(to->tag, sizeof(to->tag), r->tag, sizeof(r->tag));
}

static void decode_event(weir_event_record *to, const struct wi_view_event *r)
{
	memset(to, 0, sizeof(*to));
	to->sequence = r->sequence;
	to->kind = r->kind < WEIR_EVENT_KINDS ? (weir_event_kind)r->kind : WEIR_EVENT_KINDS;
	to->wall_ns = r->at_ms > 0 && r->at_ms < LONGEST_NS / 1000000 ? r->at_ms * 1000000 : 0;
	wi_view_text_get(to->host, sizeof(to->host), r->host, sizeof(r->host));
	wi_view_text_get(to->text, sizeof(to->text), r->text, sizeof(r->text));
}

static bool make_room(struct wi_decoded *d)
{
	const struct wi_view_picture *head = &d->head;

	d->n_hosts = head->n_hosts;
	d->n_holders = head->n_holders;
	d->n_waiters = head->n_waiters;
	d->n_events = head->n_events;
	d->hosts = wi_alloc((d->n_hosts + 1) * sizeof(*d->hosts));
	d->holders = wi_alloc((d->n_holders + 1) * sizeof(*d->holders));
	d->waiters = wi_alloc((d->n_waiters + 1) * sizeof(*d->waiters));
	d->events = wi_alloc((d->n_events + 1) * sizeof(*d->events));
	return d->hosts && d->holders && d->waiters && d->events;
}

static void decode_all(const unsigned char *at, struct wi_decoded *d)
{
	const struct wi_view_picture *head = &d->head;
	struct wi_view_host host;
	struct wi_view_holder holder;
	struct wi_view_waiter waiter;
	struct wi_view_event event;

	for (size_t i = 0; i < d->n_hosts; i++, at += head->host_size) {
		record_at(&host, sizeof(host), at, head->host_size);
		wi_view_host_get(&host, &d->hosts[i]);
	}
	for (size_t i = 0; i < d->n_holders; i++, at += head->holder_size) {
		record_at(&holder, sizeof(holder), at, head->holder_size);
		decode_holder(&d->holders[i], &holder, d->n_hosts);
	}
	for (size_t i = 0; i < d->n_waiters; i++, at += head->waiter_size) {
		record_at(&waiter, sizeof(waiter), at, head->waiter_size);
		decode_waiter(&d->waiters[i], &waiter, d->n_hosts);
	}
	for (size_t i = 0; i < d->n_events; i++, at += head->event_size) {
		record_at(&event, sizeof(event), at, head->event_size);
		decode_event(&d->events[i], &event);
	}
}

enum wi_decode wi_decode(const void *bytes, size_t size, struct wi_decoded *d)
{
	*d = (struct wi_decoded){.n_hosts = 0};
	if (!wi_decode_head(bytes, size, &d->head) || size < d->head.bytes ||
	    !is_whole(bytes, &d->head))
		return WI_DECODE_TORN;
	if (!make_room(d))
		return WI_DECODE_NO_MEMORY;
	decode_all((const unsigned char *)bytes + d->head.size, d);
	d->head.no_primary_ns = span(d->head.no_primary_ns);
	return WI_DECODE_OK;
}

void wi_decoded_fini(struct wi_decoded *d)
{
	wi_free(d->hosts, (d->n_hosts + 1) * sizeof(*d->hosts));
	wi_free(d->holders, (d->n_holders + 1) * sizeof(*d->holders));
	wi_free(d->waiters, (d->n_waiters + 1) * sizeof(*d->waiters));
	wi_free(d->events, (d->n_events + 1) * sizeof(*d->events));
	*d = (struct wi_decoded){.n_hosts = 0};
}
