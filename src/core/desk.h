/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's desk: one row for each core it ever used, found through one thread-local pointer and
 * the core's small id.
 *
 * Idea. row[core->id] holds the core's uid and the thread's seat there. Ids are used again, uids
 * never, so a row of a core that is gone never matches. When the thread ends, each seat is left:
 * what it cached goes to whoever waits or to the free list. Whether the core still lives is asked
 * of the registry, an array of cores by id, inside an RCU read section; a core leaves the registry
 * and waits for a grace period before it goes, so an exiting thread never touches a freed one, and
 * neither ever takes a lock.
 */
#ifndef WI_CORE_DESK_H
#define WI_CORE_DESK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"
#include "core/core.h"

#ifndef WI_CORES_MAX
#define WI_CORES_MAX 4096
#endif

struct wi_desk_row {
	uint64_t uid; /* 0: never used */
	struct wi_seat *seat;
};

struct wi_desk {
	uint32_t room;
	struct wi_desk_row row[];
};

extern _Thread_local struct wi_desk *wi_desk __attribute__((tls_model("initial-exec")));

/*
 * The rows that this thread used last, by the low bits of the core's id: all that the warm path
 * looks at. A hint of a core that is gone never matches, as uids are not used again.
 */
#define WI_DESK_HINTS 16
extern _Thread_local struct wi_desk_row wi_desk_hint[WI_DESK_HINTS]
	__attribute__((tls_model("initial-exec")));

/* Gives the core an id and a uid and makes it known. false: WI_CORES_MAX are in use. */
bool wi_desk_register(struct wi_core *core);

/*
 * Makes the core unknown and waits until no exiting thread is still in it. Not inside a read
 * section.
 */
void wi_desk_unregister(struct wi_core *core);

/*
 * Whether the address is that of a slot of a living core: for checks of handles, not for the fast
 * path.
 */
bool wi_desk_knows(const void *slot);

/* Takes a seat for this thread. NULL: no memory, or too many threads. */
struct wi_seat *wi_desk_sit(struct wi_core *core);

/* The whole desk is looked through; what is found is remembered for wi_desk_hinted. */
struct wi_seat *wi_desk_search(const struct wi_core *core);

/* This thread's seat in a core, if it is one of those used last: else NULL, and search. */
WI_INLINE struct wi_seat *wi_desk_hinted(const struct wi_core *core)
{
	const struct wi_desk_row *hint = &wi_desk_hint[core->hint];

	return wi_likely(hint->uid == core->uid) ? hint->seat : NULL;
}

/* This thread's seat in a core, if it has one. */
static inline struct wi_seat *wi_desk_find(const struct wi_core *core)
{
	struct wi_seat *seat = wi_desk_hinted(core);

	return wi_likely(seat) ? seat : wi_desk_search(core);
}

/* This thread's seat in a core; NULL: no memory, or too many threads. */
static inline struct wi_seat *wi_desk_seat(struct wi_core *core)
{
	struct wi_seat *seat = wi_desk_find(core);

	return wi_likely(seat) ? seat : wi_desk_sit(core);
}

#endif
