/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: the pool, and who may touch what of it; and with it, from
 * headers of their own, the connection in its slot (conn.h), the keeper's steps (lifecycle.h,
 * health.h, access.h), the callers' (callers.h), and what the router asks (upstairs.h).
 */
#ifndef WI_POOL_POOL_H
#define WI_POOL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/pool.h>
#include <weir/router.h>
#include <weir/stats.h>

#include "base/atomic.h"
#include "base/fork.h"
#include "base/line.h"
#include "base/posted.h"
#include "base/rng.h"
#include "base/room.h"
#include "config/dsn.h"
#include "config/reload.h"
#include "core/core.h"
#include "driver/driver.h"
#include "pool/access.h"
#include "pool/alarm.h"
#include "pool/breaker.h"
#include "pool/callers.h"
#include "pool/conn.h"
#include "pool/epoch.h"
#include "pool/health.h"
#include "pool/held.h"
#include "pool/keeper.h"
#include "pool/lifecycle.h"
#include "pool/login.h"
#include "pool/resolve.h"
#include "pool/settings.h"
#include "pool/sketch.h"
#include "pool/tally.h"
#include "pool/timed.h"
#include "pool/upstairs.h"
#include "stat/event.h"
#include "stat/hist.h"

/* How many slots a pool counts in each life; keeper's thread. */
struct wi_census {
	uint32_t n[WI_LIVES];
	uint32_t fresh; /* of SETTLING: being opened */
	uint32_t cut;   /* of READY: reclaimed, no longer on the server */
};

/* What the load has needed, as the keeper measures it: see adapt.c. */
#define WI_ADAPT_WINDOWS 30
struct wi_adapt {
	int64_t sample_ns;               /* when to look again */
	uint64_t lent, returned;         /* when the window began */
	uint32_t was_waiting;            /* the same */
	uint32_t busy, waiting, samples; /* sums in this window */
	uint32_t wanted[WI_ADAPT_WINDOWS], next;
	uint32_t target;
};

/* Options that are asked for, and how many resizes had been by then: later ones outlast it. */
struct wi_wanted {
	weir_options options;
	uint32_t resizes;
	bool sizes_differ; /* the keeper's */
};

/*
 * A pool.
 *
 * Access key: (c) constant after init; (a) atomic, any thread; (k) keeper's thread only.
 */
struct weir_pool {
	/* read by every checkout, written seldom */
	struct wi_core core;
	WI_ON_NEW_LINE _Atomic uint32_t fork_epoch; /* (a) wi_fork_epoch at open */
	_Atomic uint32_t closed;                    /* (a) */
	_Atomic uint32_t reopening; /* (a) 1: a thread of a child is making the pool anew */
	bool reset_always;          /* (c) every checkin goes through the keeper */
	/* (a) notes that stay on every slot: LOOK or CHECK, or none; written by (k) */
	_Atomic uint32_t standing;
	struct weir_conn *conns;        /* (c) slot n is conns[n]; conns[0] is unused */
	struct wi_room room;            /* (c) where conns are; grows by itself */
	uint32_t n_conns;               /* (k) slots, beyond max + overflow for reclaimed ones */
	const struct wi_driver *driver; /* (c) */
	/* (c) what a checkin asks: CLEAN, or the keeper sees to it */
	enum wi_look (*look)(void *conn);
	struct wi_keeper *keeper;           /* (c) */
	weir_options options;               /* (c) but what reload.def names: (a), written by (k) */
	_Atomic uint64_t sizes;             /* (a) as last asked for: wi_sizes */
	_Atomic uint32_t resizes;           /* (a) how often weir_pool_resize has */
	const struct wi_endpoint *endpoint; /* (c) */
	struct wi_target target;            /* (c) but startup_options: (k) */
	struct wi_settings settings;        /* (k) once there is a keeper */
	bool own_keeper;                    /* (c) */
	struct wi_dsn dsn;                  /* (c) of a pool without a router */
	struct wi_endpoint named;           /* (c) copy of the endpoint of such a pool */

	/* slow paths of users */
	WI_ON_NEW_LINE _Atomic uint32_t inside; /* (a) callers on a slow path; close waits for 0 */
	_Atomic uint32_t at_gate; /* (a) of them, those that wait for a suspended pool */
	_Atomic uint32_t inbox;   /* (a) slots for the keeper, a stack by number */
	_Atomic uint32_t demand;  /* (a) 1: the keeper could open more if somebody waits */
	/* (a) connections ready or being settled, as the keeper last saw */
	_Atomic uint32_t alive;
	_Atomic bool missed; /* (a) whoever wanted one went elsewhere, as nothing was open */
	/* (a) how long whoever closes it will wait; WI_FOREVER before that */
	_Atomic int64_t end_ns;
	_Atomic uint64_t waits, timeouts, misuse;
	_Atomic uint64_t refused_with[WEIR_STATUSES]; /* (a) */
	/* (a) taken by callers on the slow path and not yet handed out, and all of `unfit` */
	_Atomic uint64_t unsure;
	_Atomic uint64_t unfit; /* (a) taken, and not handed out after all */
	/* (a) the most that was ever read of each */
	_Atomic uint64_t shown_checkouts, shown_checkins;
	_Atomic uint64_t orphans;     /* (a) left lent by threads that ended */
	_Atomic uint32_t bereaved;    /* (a) 1: a thread has ended that held something */
	_Atomic uint32_t stack_every; /* (a) 1: every checkout leaves its stack */
	struct wi_room stacks_room;   /* (c) grows by itself */
	struct wi_posted *stacks;     /* (c) of each slot; NULL: none are taken */
	uint64_t lent_before;         /* (c) counted by slots before a child made the pool anew */
	struct wi_hist wait_hist, hold_hist; /* (a) */
	_Atomic uint64_t hold_samples;       /* (a) lendings that were timed */
	struct wi_tallies tallies;           /* (a) */

	/* the keeper's */
	WI_ON_NEW_LINE struct wi_job job; /* (k) */
	struct wi_breaker breaker;        /* (k) writes; its `open` is read by any */
	struct wi_health health;          /* (k) writes, but where it says otherwise */
	uint16_t in_hand;                 /* (k) first slot in the keeper's hands */
	struct wi_census census;          /* (k) */
	struct wi_rng rng;                /* (k) */
	int64_t next_tend_ns;             /* (k) */
	int64_t mourn_ns;                 /* (k) when to look again for threads that end; 0: none */
	int64_t stacks_until_ns;          /* (k) until when every checkout leaves its stack */
	uint32_t next_sample;             /* (k) whose stack is wanted next */
	uint32_t next_timed;              /* (k) who is to be timed next */
	int64_t next_timed_ns;            /* (k) when */
	/* (k) the one whose lifetime has ended and that is on its way out, or NULL */
	struct weir_conn *retiring;
	bool replacing;          /* (k) a connection more is wanted before it goes */
	bool sweep_wanted;       /* (k) */
	struct wi_hook *hooks;   /* (k) calls of on_connect under way, those that were left too */
	_Atomic uint32_t hooked; /* (a) how many of them */
	bool not_held;           /* (k) a pooler shares server processes: SET does not hold */
	bool warned;             /* (k) INSECURE has been told */
	bool apply_by_set; /* (k) startup options are refused here: SET, and again after a reset */
	uint32_t next_empty;         /* (k) where to look for an empty slot */
	uint64_t sized;              /* (k) the sizes that it has seen to */
	_Atomic uint32_t evictions;  /* (a) asked for */
	uint32_t evictions_seen;     /* (k) */
	bool evicting;               /* (k) some that were there are left */
	bool quiet;                  /* (k) nobody is sent here: none is kept open */
	int64_t next_retire_ns;      /* (k) before that nothing is retired for its age */
	struct wi_adapt adapt;       /* (k) */
	_Atomic uint32_t shown_kept; /* (a) for statistics */
	bool draining;               /* (k) it has seen that the pool is closed */
	_Atomic uint32_t report;     /* (a) of what is still out: see drain.c */
	bool shedding;               /* (k) there may be more than the maximum since then */
	bool stragglers; /* (k) some of them were idle, and no sweep has found them yet */
	_Atomic uint64_t opened, connect_failures, connect_failed_of[WEIR_CONNECT_CLASSES];
	_Atomic uint64_t closed_by[WEIR_CLOSE_REASONS], leaks;
	struct wi_logins logins;          /* (k) */
	struct wi_addresses known;        /* (k) what the host's name last came to */
	int64_t known_ns;                 /* (k) when */
	_Atomic uint64_t cancels;         /* (a) requests begun */
	_Atomic uint32_t shown[WI_LIVES]; /* (a) census for statistics */
	_Atomic uint32_t shown_fresh, shown_cut;
	struct wi_posted in_force;   /* (k) writes, any thread reads: a weir_in_force */
	struct wi_hist connect_hist; /* (a) */
	/* (a) since when the breaker has been closed, or not (0: always closed); next connect */
	_Atomic int64_t breaker_since_ns, breaker_next_ns;
	_Atomic uint64_t breaker_openings;                               /* (a) */
	bool breaker_was_closed;                                         /* (k) at the last look */
	void (*on_trouble)(void *arg, const struct wi_failure *failure); /* (c) */
	void *trouble_arg;                                               /* (c) */
	/* (c) the last of its checkins that were to say so is noted here, too; NULL: nowhere */
	_Atomic int64_t *back_any_ns;
	struct wi_posted last_error;   /* (k) writes, any thread reads: a struct wi_last_error */
	bool routed;                   /* (c) */
	_Atomic uint32_t epoch;        /* (a) see epoch.c */
	_Atomic uint32_t epochs_noted; /* (a) of them, those noted on every connection */
	uint32_t epoch_seen;           /* (k) the sum of both, at the last look */
	bool epoch_is_over;            /* (k) it moves at the end of this turn */
	struct wi_belief belief;       /* (k) what the router knows */
	bool was_known;                /* (k) it has known something before */
	bool wrote;                    /* (k) by the last that it knew it was the primary */
	bool contradicted;             /* (k) since the router last said what it knows */
	/* (k) a new connection led elsewhere than the probe; the router takes it back */
	bool misled;
	/* (a) reads are read-only: nobody else decides about default_transaction_read_only */
	_Atomic bool guards;
	_Atomic bool pooled; /* (a) a pooler is between: what a session reports may be old */
	/* (a) when an accused connection was last found to be innocent; 0: never */
	_Atomic int64_t false_alarm_ns;
	_Atomic uint64_t verified;          /* (a) connections that were asked and agreed */
	struct wi_ring own_ring;            /* (a) of a pool without a router */
	struct wi_ring *ring;               /* (c) where its events are remembered */
	struct wi_fixed fixed;              /* (c) what the connection string has said */
	_Atomic(struct wi_wanted *) reload; /* (a) asked for, for the keeper to take; or NULL */
	/* (k) it writes these just now: a child that is forked meanwhile goes on with it */
	_Atomic(struct wi_wanted *) reloading;
	struct wi_vigilance vigilance; /* see alarm.h */
	struct wi_sketch sketch;       /* (k) of a pool without a router: its picture */
};

/* Whether the pool was opened by a parent of this process. */
static inline bool wi_pool_is_parents(const struct weir_pool *pool)
{
	/* [child:A1] sees the pool as the thread that made it anew left it; pairs with R1. */
	return wi_load_acq(&pool->fork_epoch) != wi_load_rlx(&wi_fork_epoch);
}

#define wi_pool_tell(pool, kind, ...)                                                              \
	wi_event_tell((pool)->ring, &(pool)->options, (pool)->core.world->now(), (kind),           \
	              (pool)->endpoint->name, __VA_ARGS__)

#endif
