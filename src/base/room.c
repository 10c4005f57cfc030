/* SPDX-License-Identifier: BSD-2-Clause */
/* Address space first, memory when it is wanted; room.h tells why. */
#include "base/room.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/atomic.h"

/* Who looks for leaks looks for pointers in memory that malloc gave, not in what was mapped. */
#if defined(__SANITIZE_ADDRESS__)
#define MAY_MAP false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAY_MAP false
#endif
#endif
#ifndef MAY_MAP
#define MAY_MAP true
#endif

/* More than any page: what is made usable is a whole number of these. */
#define STEP ((size_t)65536)

static size_t rounded(size_t bytes)
{
	return (bytes + STEP - 1) / STEP * STEP;
}

static bool is_usable(char *base, size_t bytes)
{
	return mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0;
}

/* As much of `most` as there is address space for. */
static bool map(struct wi_room *room, size_t ready, size_t most)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	for (size_t bytes = most; bytes >= ready; bytes /= 2) {
		void *base = mmap(NULL, rounded(bytes), PROT_NONE, flags, -1, 0);

		if (base == MAP_FAILED)
			continue;
		if (is_usable(base, rounded(ready))) {
			*room = (struct wi_room){.base = base, .bytes = bytes, .mapped = true};
			return true;
		}
		munmap(base, rounded(bytes));
		return false;
	}
	return false;
}

bool wi_room_open(struct wi_room *room, size_t ready, size_t modest, size_t most, size_t align)
{
	*room = (struct wi_room){.base = NULL};
	if (!MAY_MAP || wi_alloc_is_hosts()) {
		room->base = wi_alloc_aligned(modest, align);
		room->bytes = modest;
		wi_store_rlx(&room->ready, modest);
		return room->base != NULL;
	}
	if (wi_alloc_fails_now() || !map(room, ready, most))
		return false;
	wi_alloc_count_out(ready);
	wi_store_rlx(&room->ready, ready);
	return true;
}

bool wi_room_grow(struct wi_room *room, size_t ready)
{
	size_t had = wi_load_rlx(&room->ready);

	if (ready <= had)
		return true;
	if (ready > room->bytes || wi_alloc_fails_now() || !is_usable(room->base, rounded(ready)))
		return false;
	/* Of two that grow it at once each has made usable what it wanted; the larger is kept. */
	while (had < ready) {
		if (!wi_cas_rlx(&room->ready, &had, ready))
			continue;
		wi_alloc_count_in(had);
		wi_alloc_count_out(ready);
		break;
	}
	return true;
}

void wi_room_close(struct wi_room *room)
{
	if (!room->base)
		return;
	if (room->mapped) {
		munmap(room->base, rounded(room->bytes));
		wi_alloc_count_in(wi_load_rlx(&room->ready));
	} else {
		wi_free(room->base, room->bytes);
	}
	*room = (struct wi_room){.base = NULL};
}
