/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: the router, and who may touch what of it; and with it, from
 * headers of their own, a host (host.h), the set of hosts (hosts.h), the topology that checkouts
 * read (topology.h), what they wish and which host they are sent to (wish.h, fresh.h), and the
 * monitor's part (monitor.h).
 *
 * Who reads what. A checkout reads the topology (one pointer, while it is pinned) and the live
 * numbers of hosts; it writes nothing but its own seats and, where the policy wants that, the
 * chosen host's load. The monitor, on the keeper's thread, is the only one that writes topology,
 * reports and live numbers, and the set of hosts (hosts.c).
 */
#ifndef WI_ROUTE_ROUTER_H
#define WI_ROUTE_ROUTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/hosts.h>
#include <weir/router.h>
#include <weir/stats.h>

#include "base/atomic.h"
#include "base/fork.h"
#include "base/line.h"
#include "base/world.h"
#include "config/dsn.h"
#include "driver/driver.h"
#include "pool/keeper.h"
#include "pool/pool.h"
#include "route/fresh.h"
#include "route/gate.h"
#include "route/gauge.h"
#include "route/host.h"
#include "route/hosts.h"
#include "route/lag.h"
#include "route/monitor.h"
#include "route/probe.h"
#include "route/roles.h"
#include "route/topology.h"
#include "route/wish.h"

/*
 * A router.
 *
 * Access key: (c) constant after open; (a) atomic, any thread; (m) written by the monitor, read by
 * any; (r) read while pinned or inside RCU read sections, replaced by the monitor; (k) keeper's
 * thread only.
 */
struct weir_router {
	/* read by every checkout, written seldom */
	_Atomic(struct wi_topology *) topology; /* (r) */
	_Atomic uint32_t closed;                /* (a) */
	_Atomic uint32_t fork_epoch;            /* (a) wi_fork_epoch at open */
	_Atomic uint32_t
		reopening; /* (a) the epoch for which a child is making the router anew; 0: none */
	bool spoilt;       /* by who is reopening: that failed half-way */
	/* (a) nothing has moved for a while, so loads are not counted: who chooses rings */
	_Atomic uint32_t dozing;
	_Atomic uint32_t spills; /* (a) 1: reads leave the router's zone, as it is slow: weigh.c */
	/* (r) by place; NULL: nobody has it. hosts.c and wi_hosts_next */
	_Atomic(struct wi_host *) place[WI_HOSTS_MAX];
	const struct wi_world *world;   /* (c) */
	const struct wi_driver *driver; /* (c) */
	struct wi_keeper *keeper;       /* (c) */
	weir_options options;           /* (c) but what reload.def names: (a), written by (k) */
	struct wi_fixed fixed;          /* (c) what the connection string has said */
	struct wi_dsn dsn;              /* (c) */
	struct wi_endpoint *named;      /* (c) endpoints named by hand, or NULL: then dsn.hosts */
	size_t n_named;                 /* (c) */
	/* (c) the fake driver's script of a host that is added, or NULL */
	void *(*script_of)(void *arg, const struct wi_endpoint *endpoint);
	void *script_arg;                 /* (c) */
	weir_read_your_writes own_writes; /* (c) */
	weir_reason stamped;              /* (c) checkins of these say when; NONE: of no reason */
	uint64_t serial;                  /* (c) no other router of this process has it */
	/* (a) without slots: its seats are this router's threads, whose pins keep what they read */
	struct wi_core desk;

	/* slow paths of users */
	WI_ON_NEW_LINE struct wi_gate gate; /* (a) */
	_Atomic uint32_t inside;     /* (a) callers on a slow path; the monitor's end waits for 0 */
	_Atomic int64_t lost_ns;     /* (m) since when there is no primary, after one; 0: not so */
	_Atomic uint64_t tickets;    /* (a) probes asked for, by reads that lack a position, too */
	_Atomic uint64_t looks;      /* (a) the last ticket that weir_router_probe has taken */
	_Atomic uint32_t instead;    /* (a) reads of the primary in place of replicas: instead.c */
	_Atomic uint64_t capped;     /* (a) reads that would have been too many */
	_Atomic uint64_t sizes;      /* (a) as last asked for: wi_sizes; 0: never */
	_Atomic int64_t tightest_ms; /* (a) the smallest limit of lag asked for of late; 0: none */
	_Atomic int64_t tightest_ns; /* (a) when it was last asked for */
	_Atomic int64_t end_ns;      /* (a) once it is closed: how long who closes it will wait */
	_Atomic(struct wi_order *) orders; /* (a) for the keeper, the last one first: orders.h */
	/* (k) it writes these just now: a child that is forked meanwhile goes on with it */
	_Atomic(weir_options *) reloading;
	bool reloading_sizes; /* (k) other sizes, too */
	/* read_your_writes (own_writes.c): (a) the latest of all tokens, packed; 0: none */
	_Atomic uint64_t floor;
	_Atomic int64_t doubt_ns;  /* (a) a commit whose position nobody said; 0: none */
	_Atomic int64_t wrote_ns;  /* (a) the last write; 0: none, or nobody wants to know */
	_Atomic int64_t window_ns; /* (m) for how long reads keep away then */

	_Atomic(struct wi_advised *) advised; /* (a) the last advice, until the keeper takes it */
	struct wi_gate news; /* (a) the hosts or their roles are other than before */
	_Atomic uint64_t failed_with[WEIR_INTENTS][WEIR_STATUSES]; /* (a) checkouts */
	_Atomic uint64_t failovers;                                /* (m) */
	_Atomic uint32_t waiting;       /* (a) callers that sleep for want of a host */
	_Atomic(struct wi_past *) past; /* (r) */

	/* the monitor's */
	WI_ON_NEW_LINE struct wi_job job;      /* (k) */
	struct wi_advice advice;               /* (k) until_ns 0: none is in force */
	char advised_primary[WEIR_ERROR_HOST]; /* (k) whom it names */
	/* (k) since when the hosts say otherwise; 0: they do not */
	int64_t contradicted_ns;
	bool contradiction_told;          /* (k) */
	struct wi_topology topologies[2]; /* (k) but for the published one */
	struct wi_lag_history history;    /* (k) where the primary was, and when */
	const struct wi_host *history_of; /* (k) of this one */
	uint32_t history_timeline;        /* (k) on this timeline */
	struct wi_so_far so_far;          /* (k) */
	struct wi_rng rng;                /* (k) */
	int64_t restless_until_ns;        /* (k) probes go faster after something has changed */
	int64_t alarmed_until_ns;         /* (k) and faster still while something is wrong */
	int64_t wrong_since_ns;           /* (k) no primary, or a split brain; 0: not so */
	int64_t count_ns;                 /* (k) loads are counted again from then on */
	int64_t counted_ns;               /* (k) when they were last counted */
	int64_t moved_ns;                 /* (k) when something had moved */
	int64_t long_ns;                  /* (k) what is out for long is looked for from then on */
	int64_t step_ns;                  /* (k) when a slow start goes on; WI_FOREVER: never */
	bool stood;                       /* (k) every host has been judged once */
	double usual_ns;       /* (k) how long a read takes at a host that is well; 0: unknown */
	bool grace_owed;       /* (k) something was replaced since the last grace period */
	bool settled;          /* (k) every host that was there at first has been looked at */
	struct wi_name *names; /* (k) that are looked up again and again */
	struct wi_host *mine[WI_HOSTS_MAX]; /* (k) by place, those that are unlisted, too */
	int split_told;          /* (k) the primary as told, and 2; 0: nothing was told */
	int64_t split_since_ns;  /* (k) 0: hosts do not contradict each other */
	bool stopped;            /* (k) the probes are closed */
	bool had_primary;        /* (k) ever */
	struct wi_ring ring;     /* (a) the last events, those of the pools, too */
	struct wi_alarms alarms; /* (k) but what it shows: see alarm.c */
	struct wi_slow slow;     /* (a) checkouts */
	_Atomic uint64_t failed; /* (a) checkouts that ended without a connection */
	struct wi_sketch sketch; /* (k) its picture */
	uint64_t was_primary;    /* (k) the serial of the last one; 0: there was none */
	struct wi_past pasts[2]; /* (k) but for the published one */
	weir_stats gone;         /* (k) the sums of those that are freed */
	uint64_t gone_lent;      /* (k) connections that they have lent, as slots count it */
};

/* ---- router.c ---- */

struct wi_router_config {
	const struct wi_driver *driver;
	const struct wi_world *world;
	void *const *scripts; /* one a host, for the fake driver; NULL: none */
	size_t n_scripts;
	/* the script of a host that is added later; NULL: none */
	void *(*script_of)(void *arg, const struct wi_endpoint *endpoint);
	void *script_arg;
};

/* weir_router_open with another driver and world. */
weir_status wi_router_open_with(const struct wi_router_config *config, const char *conninfo,
                                const weir_options *options, weir_router **router,
                                weir_error *error);

/*
 * Counts the caller as inside, so that the router stays while it sleeps: false if it is closed.
 * Where the caller is pinned, in a read section, or may not race with close. wi_router_leave when
 * done; nothing of the router may be touched after.
 */
bool wi_router_enter(weir_router *router);
void wi_router_leave(weir_router *router);

/*
 * Waits until nobody reads any more what was unpublished before: those pinned in the router, and
 * those in read sections.
 */
void wi_router_grace(weir_router *router);

/* Whether this process is a child of the one that opened the router. */
static inline bool wi_router_is_parents(const weir_router *router)
{
	return wi_load_rlx(&router->fork_epoch) != wi_load_rlx(&wi_fork_epoch);
}

/* ---- child.c ---- */

/*
 * In a child of the process that opened the router: OK if it is usable here now, else FORKED or why
 * not.
 */
weir_status wi_router_in_child(weir_router *router, weir_error *error);

/* ---- manage.c ---- */

/* Counts the caller as inside. OK, FORKED or CLOSED. */
weir_status wi_router_come_in(weir_router *router, weir_error *error);

/* sketch.c: begins to draw it; the keeper does not run yet. OK or INVALID. */
weir_status wi_router_show(weir_router *router, weir_error *error);

/* ---- reading what is published ---- */

/* The host of a place, or NULL. Pinned, or inside a read section, or the keeper's thread. */
WI_INLINE struct wi_host *wi_host_at(const weir_router *router, uint32_t number)
{
	/* [hosts:A1] sees the host as the keeper made it; pairs with R1. */
	return wi_load_acq(&router->place[number]);
}

/* Pinned: what is published now. */
WI_INLINE const struct wi_topology *wi_topology_of(const weir_router *router)
{
	/*
	 * [route:A1] sees the topology as the monitor wrote it; pairs with R1. Sequentially
	 * consistent, as where there is no heavy fence only that keeps it from being older than the
	 * pin.
	 */
	return wi_load_seq(&router->topology);
}

/* The host whose pool this is, or NULL: a pool without a router. */
static inline struct wi_host *wi_host_of(const struct weir_pool *pool)
{
	return pool->on_trouble == wi_monitor_trouble ? pool->trouble_arg : NULL;
}

#endif
