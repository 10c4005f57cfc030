/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper: the one background thread of a pool or a router. It waits on descriptors and due
 * times, and gives each of its jobs (pools, a router's monitor) a turn whenever something may have
 * changed.
 */
#ifndef WI_POOL_KEEPER_H
#define WI_POOL_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/status.h>

#include "base/world.h"

struct wi_keeper;

/*
 * A descriptor under watch. Embedded where it is used; zeroed (with fd -1) means not watched.
 * Keeper's thread only.
 */
struct wi_watch {
	int fd;
	uint32_t events; /* as epoll_ctl */
	void (*ready)(struct wi_watch *watch, uint32_t events);
};

/*
 * Something that wants turns. Added before the keeper starts, or by another job's turn. turn does
 * what is due and returns when it wants the next one (WI_FOREVER: when rung). Called on the
 * keeper's thread only; must not block.
 */
struct wi_job {
	int64_t (*turn)(struct wi_job *job, int64_t now_ns);
	/* After a stop was asked for: whether nothing is left to wait for. */
	bool (*is_finished)(struct wi_job *job);
	/*
	 * On the keeper's thread, when every job is finished and the keeper is about to end. May be
	 * NULL.
	 */
	void (*wind_up)(struct wi_job *job);
	struct wi_job *next;
};

/* Creates a keeper that does not run yet. OK, NO_MEMORY or SYSTEM. */
weir_status wi_keeper_create(const struct wi_world *world, struct wi_keeper **keeper,
                             weir_error *error);

void wi_keeper_add(struct wi_keeper *keeper, struct wi_job *job);

/*
 * It gets no turn any more, and is the caller's. None of its descriptors may be watched. Before the
 * keeper starts, or in a job's turn.
 */
void wi_keeper_drop(struct wi_keeper *keeper, struct wi_job *job);

/* Starts the thread. OK or SYSTEM. All signals are blocked in it. */
weir_status wi_keeper_start(struct wi_keeper *keeper, weir_error *error);

/*
 * Any thread: asks for a turn of every job soon. Cheap when one is owed already; never blocks. The
 * caller keeps the keeper from being freed meanwhile: by a read section that the free waits for, or
 * by something that its jobs wait for.
 */
void wi_keeper_ring(struct wi_keeper *keeper);

/* Its clock as it is now, where a turn's may be old: who was told something may have taken long. */
int64_t wi_keeper_now(const struct wi_keeper *keeper);

/* Whether this is the keeper's own thread; whether it is that of any. */
bool wi_keeper_is_self(const struct wi_keeper *keeper);
bool wi_keeper_is_any(void);

/*
 * Watches descriptor fd for one event of these kinds (0: no longer); with EPOLLET, for each such
 * edge. Call it again after each event. false: the epoll is full, or want of memory. Keeper's
 * thread.
 */
bool wi_keeper_watch(struct wi_keeper *keeper, struct wi_watch *watch, int fd, uint32_t events);

/*
 * Ends the keeper: asks all jobs to finish (they know by their own flags), waits until deadline_ns
 * for it. true: all are finished, the thread has ended, and the caller frees keeper and jobs. Where
 * is_held (may be NULL) says that nothing is in users' hands, it waits some seconds longer: then
 * only servers are slow to say goodbye, and the jobs put a bound to that themselves. false: it goes
 * on in the background, and calls abandon(arg) on its own thread when all are finished, as the last
 * thing it does: abandon frees everything, the keeper included.
 */
bool wi_keeper_stop(struct wi_keeper *keeper, int64_t deadline_ns, bool (*is_held)(void *arg),
                    void (*abandon)(void *arg), void *arg);

/* Frees a keeper that never started, or has been stopped, or whose abandon runs. */
void wi_keeper_free(struct wi_keeper *keeper);

/*
 * One round without a thread, for simulations and forked children: gives every job its turn and
 * looks at the descriptors without waiting. Returns when the next turn is due.
 */
int64_t wi_keeper_round(struct wi_keeper *keeper, bool wait);

#endif
