/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table that grows where it lies: address space for the largest it may become, memory for what is
 * used. So what addresses its rows by number never learns that it grew.
 *
 * The address space is mapped, and no memory goes with it. Where the host has set an allocator of
 * its own, all of weir's memory is that one's, and so is this: then there is memory for a modest
 * number of rows, all taken at the beginning.
 */
#ifndef WI_BASE_ROOM_H
#define WI_BASE_ROOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct wi_room {
	char *base;           /* (c) */
	size_t bytes;         /* (c) that it may have */
	_Atomic size_t ready; /* (a) that it has, zeroed before their first use */
	bool mapped;          /* (c) */
};

/*
 * Room for `most` bytes, or as many as there is address space for; with a host's allocator for
 * `modest` (at least `ready`, at most `most`). The first `ready` of them can be used. align: a
 * power of two, at most a page. false: no memory.
 */
bool wi_room_open(struct wi_room *room, size_t ready, size_t modest, size_t most, size_t align);

/* Makes the first `ready` bytes usable. Any thread. false: no memory, or no room for so many. */
bool wi_room_grow(struct wi_room *room, size_t ready);

/* Nobody may be in it. One that was never opened, and zeroed, is a no-op. */
void wi_room_close(struct wi_room *room);

#endif
