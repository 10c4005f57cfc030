/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a view: a head that is written once, two words that change, and two places for a
 * picture.
 *
 *	0      struct wi_view_head        who draws, and where the places are
 *	1024   wanted                     when somebody last looked, by the clock of all processes
 *	1032   posts                      how many pictures there were; the last is in place posts % 2
 *	4096   place 0: struct wi_view_picture, then hosts, holders, waiters, events
 *	...    place 1
 *
 * Every number is in the machine's own order and at a multiple of its size. A record says how long
 * it is, and grows at its end only, so weirs of different versions understand each other as far as
 * both know. What a version that knows less could misunderstand is another WI_VIEW_VERSION.
 *
 * Nothing here is ever mapped: the writer writes and the reader reads by system calls, so that a
 * full file system or a file that somebody cuts is an error and not a signal.
 */
#ifndef WI_VIEW_FORMAT_H
#define WI_VIEW_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include <weir/stats.h>

#define WI_VIEW_MAGIC                                                                              \
	UINT64_C(0x7765697672696577) /* "weirview", as a little-endian machine writes it */
#define WI_VIEW_VERSION 1
#define WI_VIEW_WANTED_AT 1024
#define WI_VIEW_POSTS_AT 1032
#define WI_VIEW_PLACES_AT 4096
#define WI_VIEW_PLACE_ROOM (UINT64_C(4) << 20)

/* A looker's stamp is good for so long. */
#define WI_VIEW_WANTED_NS INT64_C(3000000000)
/* Between pictures: while somebody looks, and else. */
#define WI_VIEW_WATCHED_MS 100
#define WI_VIEW_UNWATCHED_MS 1000

/* Of each pool at most so many are drawn. */
#define WI_VIEW_HOLDERS 512
#define WI_VIEW_WAITERS 64
#define WI_VIEW_EVENTS 16
#define WI_VIEW_TAG 48
#define WI_VIEW_AGES 7

struct wi_view_head {
	uint64_t magic;
	uint32_t version, size;
	uint64_t place_at[2], place_room;
	int64_t pid;
	uint64_t start;     /* of the process, in ticks since the machine started */
	uint64_t pid_space; /* the inode of its pid namespace; 0: unknown */
	int64_t opened_ns, opened_ms;
	uint32_t number, is_router;
	char program[32], application[64], library[16];
};

enum { WI_VIEW_CLOSING = 1, WI_VIEW_SUSPENDED = 2, WI_VIEW_SPLIT = 4 };

struct wi_view_picture {
	uint64_t number; /* as posts */
	uint64_t bytes;  /* all of it, with this head */
	uint64_t digest; /* of the records, then of this head with digest 0 */
	int64_t at_ns, at_ms;
	int64_t no_primary_ns; /* -1: there is one, or never was */
	int32_t keeper;        /* the thread that draws */
	uint32_t flags;
	uint32_t interval_ms; /* the next one is due in so long */
	uint32_t at_gate;
	uint32_t size, host_size, holder_size, waiter_size;
	uint32_t n_hosts, n_holders, n_waiters;
	uint32_t holders_total, waiters_total;
	uint32_t waits[WI_VIEW_AGES];
	uint32_t event_size, n_events;
};

/* One host, as fields.def says. */
struct wi_view_durations {
	int64_t count, p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
};

struct wi_view_host {
#define NUMBER(name, member) int64_t name;
#define ARRAY(name, member, room, n) int64_t name[room];
#define TEXT(name, member, room) char name[room];
#define DURATIONS(name, member) struct wi_view_durations name;
#include "view/fields.def"
};

enum { WI_VIEW_HELD_IS_KNOWN = 1, WI_VIEW_THREAD_ENDED = 2, WI_VIEW_RECLAIMED = 4 };

struct wi_view_holder {
	int64_t held_ns;
	int32_t thread;
	uint32_t host, role, reason, flags, slot;
	char tag[WI_VIEW_TAG];
};

struct wi_view_waiter {
	int64_t waited_ns;
	int32_t thread;
	uint32_t host;
	char tag[WI_VIEW_TAG];
};

struct wi_view_event {
	uint64_t sequence;
	int64_t at_ms; /* by the wall clock */
	uint64_t kind;
	char host[104], text[248];
};

#define WI_VIEW_IS_WORDS(type) _Static_assert(sizeof(type) % 8 == 0, #type " is made of words")
WI_VIEW_IS_WORDS(struct wi_view_head);
WI_VIEW_IS_WORDS(struct wi_view_picture);
WI_VIEW_IS_WORDS(struct wi_view_host);
WI_VIEW_IS_WORDS(struct wi_view_holder);
WI_VIEW_IS_WORDS(struct wi_view_waiter);
WI_VIEW_IS_WORDS(struct wi_view_event);
_Static_assert(sizeof(struct wi_view_head) <= WI_VIEW_WANTED_AT, "the head has room");

/* A digest of words, gone on with from h (WI_VIEW_DIGEST at first): not against malice. */
#define WI_VIEW_DIGEST UINT64_C(0xcbf29ce484222325)

static inline uint64_t wi_view_digest(uint64_t h, const void *words, size_t size)
{
	const unsigned char *at = words;

	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t w;

		__builtin_memcpy(&w, at + i, 8);
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

/* fields.c: a host's record from its statistics, and back; roles and the like are made sane. */
void wi_view_host_put(struct wi_view_host *record, const weir_host_stats *stats);
void wi_view_host_get(const struct wi_view_host *record, weir_host_stats *stats);

/* A text of a record, which need not end, as one clean text: no control bytes, whole UTF-8. */
void wi_view_text_get(char *to, size_t room, const char *from, size_t length);

#endif
