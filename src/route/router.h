/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: the router, its hosts, and the topology that checkouts read.
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
#include "route/gate.h"
#include "route/gauge.h"
#include "route/lag.h"
#include "route/probe.h"
#include "route/roles.h"

#define WI_HOSTS_MAX WEIR_HOSTS_MAX /* sets of hosts are words */

/* Counters of reasons: so many sets of them, each of whole cache lines. */
#define WI_REASON_STRIPES 8
#define WI_REASON_ROOM 16
_Static_assert(WEIR_REASONS <= WI_REASON_ROOM, "a reason has no counter");

/*
 * What is known of a host in words. Immutable while published: the monitor fills the one of a
 * host's two that is not, and swaps the pointer.
 */
struct wi_report {
	weir_role role;
	struct wi_sight sight;     /* without lsn and times, which are live numbers */
	struct wi_failure failure; /* why it is unknown; fault NONE and an empty text: it is not */
	int version;
	char tls[64];
	char follows[80]; /* "host:port" that a standby's receiver is connected to, or "" */
	bool several;     /* other servers answer at this name, too */
};

#define WI_WEIGHT_USUAL 100
#define WI_WEIGHT_MAX 1000

/* What an operator has said of a host. Immutable while published, as a report is. */
struct wi_terms {
	char zone[64];
	uint32_t weight; /* 0 to WI_WEIGHT_MAX; 0: serves no reads unless nobody else can */
	bool drained;    /* no replica as long as that holds */
};

/* How a replica stands among the others: stand.c. Zeroed: it is new. */
struct wi_stand {
	bool known;         /* it was there when the router was opened, or has been a replica */
	bool on_trial;      /* it is back, and has yet to answer a few times */
	uint32_t good;      /* how often it has */
	int64_t heard_ns;   /* the last of these answers */
	int64_t start_ns;   /* since when its slow start goes on; 0: it does not */
	int64_t gone_ns;    /* since when it is unknown; 0: it is not */
	uint64_t started;   /* when its server was, by its own clock */
	double bad, served; /* of late: connections lost or refused, and given back */
	uint64_t bad_before, returned_before; /* the same, ever, at the last look */
	int64_t looked_ns, bad_ns;            /* that one; the last that found something bad */
	uint32_t slices;                      /* how many of late have, some time apart */
	uint32_t times;                       /* it was left out, shortly after one another */
	int64_t out_until_ns;                 /* it is left out until then; 0: it is not */
	int64_t back_ns;                      /* when it last was not any more */
};

/*
 * A host, from when it is added until it has left and nobody can see it any more: hosts.c tells
 * how. Reached by a number only pinned, or inside an RCU read section, or by the keeper; and kept
 * beyond that by whoever has entered its pool or holds one of its connections.
 *
 * Access key: (c) constant while it is in the router; (a) atomic, any thread; (m) written by the
 * monitor, read by any; (r) read while pinned or inside RCU read sections, replaced by the monitor;
 * (k) keeper's thread only.
 */
struct wi_host {
	struct weir_pool *pool;             /* (c) */
	weir_router *router;                /* (c) */
	const struct wi_endpoint *endpoint; /* (c) its own */
	uint32_t number;                    /* (c) its place: no other host has it meanwhile */
	enum wi_named named;                /* (c) */
	struct wi_endpoint own;             /* (c) */
	char group[WEIR_ERROR_HOST];        /* (c) "name:port" that it is an address of, or "" */
	_Atomic(struct wi_terms *) terms;   /* (r) */
	_Atomic bool leaving; /* (m) removed: no part of the set, but connections may be out */
	uint64_t serial;      /* (c) no other host of this process has it */

	WI_ON_NEW_LINE _Atomic uint64_t
		lsn; /* (m) insert position of a primary, replayed one of a standby; 0: unknown */
	_Atomic uint32_t timeline;       /* (m) that the position is on; 0: unknown */
	_Atomic int64_t as_of_ns;        /* (m) wi_lag.as_of_ns */
	_Atomic int64_t behind_since_ns; /* (m) */
	_Atomic int64_t lag_bytes;       /* (m) -1: unknown */
	/* (m) when the primary was asked that lag_bytes is behind */
	_Atomic int64_t bytes_of_ns;
	_Atomic int64_t answered_ns; /* (m) the last answer to a probe; 0: never */
	_Atomic uint64_t started;    /* (m) wi_sight.started; 0: unknown, or not one server */
	_Atomic bool lagging;        /* (m) was over a limit of the options, and is not back yet */
	_Atomic uint64_t probed; /* (m) the last ticket that a probe of this host has answered */
	_Atomic(struct wi_report *) report; /* (r) */

	/* (m) it answers, but serves only from then on; 0: it does */
	_Atomic int64_t held_until_ns;
	/* (m) the probe was last sent where the address leads now; 0: never */
	_Atomic int64_t renewed_ns;
	_Atomic bool dead;       /* (m) as many probes in a row have failed as open a breaker */
	_Atomic uint32_t share;  /* (m) of reads, by weight and slow start: see gauge.h */
	_Atomic uint32_t pull;   /* (m) the same by cost, too */
	_Atomic int64_t slow_ns; /* (m) how long a read takes, as it is compared with others */
	_Atomic uint32_t started_pct;     /* (m) how far its slow start has come; 0: on trial */
	_Atomic int64_t ejected_until_ns; /* (m) it is left out until then; 0: it is not */
	_Atomic uint32_t ejected_bad;     /* (m) connections lost or refused, when it was */
	_Atomic uint32_t ejections;       /* (m) how often it was */
	_Atomic uint64_t too_late;        /* (a) checkouts for which it was the wrong host */
	_Atomic uint64_t shown_balanced;  /* (a) the most that was ever read of that reason */
	_Atomic int64_t held_mean_ns;     /* (m) how long a connection is out; 0: unknown */

	/* (a) reads that wait here, if the policy weighs; and those out, if it counts each */
	WI_ON_NEW_LINE _Atomic uint32_t load;

	/* (a) checkouts of other reasons than a plain read and write, in the seat's stripe */
	WI_ON_NEW_LINE _Atomic uint64_t reasons[WI_REASON_STRIPES][WI_REASON_ROOM];

	WI_ON_NEW_LINE struct wi_probe probe; /* (k) */
	struct wi_report reports[2];          /* (k) but for the published one */
	struct wi_terms terms_of[2];          /* (k) the same */
	struct wi_opinion opinion;            /* (k) */
	bool reserve;                         /* (k) as a replica, for what no other one can */
	int64_t next_ns;                      /* (k) when to ask next */
	struct wi_stand stand;                /* (k) how it stands among the replicas: stand.c */
	struct wi_load weighed;               /* (k) what reads cost here, as weigh.c counts it */
	uint64_t moves;             /* (k) of connections, out and back, when last counted */
	uint64_t returned;          /* (k) connections given back, the same */
	uint32_t was_out;           /* (k) out, the same */
	uint32_t out_long;          /* (k) of them, out for seconds */
	uint64_t asking_for;        /* (k) the last ticket that the last begun probe answers */
	uint64_t answered_for;      /* (k) the same of the last completed one */
	uint32_t send_away;         /* (k) how often waiters still are to be sent away */
	int64_t send_away_until_ns; /* (k) and at least until then */
	uint32_t failures;          /* (k) in a row */
	bool completed;             /* (k) at least one probe came to an end */
	bool trouble;               /* (k) its pool met with trouble since the last probe began */
	bool hurt;                  /* (k) trouble other than want of room since the last answer */
	int64_t full_since_ns;      /* (k) it has no room for the probe; 0: it has */
	struct wi_sight last;       /* (k) its last answer; zeroed: revoked */
	struct wi_sight ran;        /* (k) its last answer, revoked or not */
	uint64_t setbacks;          /* (k) how often its replay went back without a new start */
	bool unlisted;      /* (k) it has left, and is freed when nobody can see it any more */
	bool past;          /* (k) its share of the sums is in the past: totals.c */
	uint64_t starts[4]; /* (k) of the servers that answered here, the last one first */
	int64_t several_until_ns; /* (k) different servers answer here; 0: not so */
	bool several;             /* (k) at the last judgement */
	uint32_t falls;           /* (k) how often it has lost a role by a failed probe, of late */
	int64_t good_ns;          /* (k) since when it answers without a break; 0: it does not */
	int64_t doubted_ns; /* (k) since when it seems to be left behind, or not named; 0: not so */
	bool fenced_told;   /* (k) and that was told */
	bool inherited;     /* (k) a parent's that was leaving: left alone until the close */
	struct wi_standing standing; /* (k) what `lagging` comes from */
	int64_t weighed_ns;          /* (k) the answer that was weighed for it last */
	struct wi_name *name;        /* (k) that it is an address of, or NULL: names.h */
	bool stands_in; /* (k) for the addresses of its name, which are not known yet */
	bool missing;   /* (k) its name's last answer did not have it */
};
WI_ASSERT_NEW_LINE(struct wi_host, load); /* what waiters write is off what checkouts read */

/*
 * Immutable while published. Of the readers first those of the router's own zone, last those in
 * reserve, each part in the order of the hosts.
 */
struct wi_topology {
	struct wi_host *primary; /* NULL: none is known */
	/*
	 * what would be the primary, but takes no writes; one of the readers; NULL: there is none
	 */
	struct wi_host *read_only_primary;
	uint32_t n_readers; /* replicas that answer */
	/* of them those that are chosen among; the others serve what none of these can */
	uint32_t n_regular;
	uint32_t n_near;  /* of these in the router's zone */
	uint32_t n_drawn; /* among how many reads without a wish are drawn by lot */
	/* what the options ask of reads, as they are when it is published */
	weir_balance balance;
	bool plain_reads;  /* a read is asked nothing more than a policy's choice */
	bool draws;        /* reads are drawn by lot, some at a time */
	bool settled;      /* every host has been probed at least once */
	bool split;        /* hosts contradict each other: no standby is known to be right */
	uint32_t timeline; /* the primary's; 0: unknown */
	uint64_t system;   /* 0: unknown */
	struct wi_host *reader[WI_HOSTS_MAX];
};

/* What each thread counts in its seat of a host's pool: checkouts by what they were for. */
enum wi_tally { WI_TALLY_READ, WI_TALLY_WRITE, WI_TALLY_FALLBACK };

/* The sums of hosts that have left. Immutable while published, as a topology is. */
struct wi_past {
	uint64_t counted; /* places whose hosts are in it, though they may still be seen */
	weir_stats sums;
};

/* What a checkout asks for. */
struct wi_wish {
	weir_intent intent;
	weir_fallback fallback; /* not DEFAULT */
	weir_target target;     /* of a read */
	bool bounded;           /* any of the next three */
	int64_t max_lag_ms;     /* 0: any */
	int64_t max_lag_bytes;  /* 0: any */
	weir_token at_least;    /* lsn 0: any */
	const char *zone;       /* NULL: the router's */
	const char *tag;
	int64_t deadline_ns; /* 0: may not wait */
	uint64_t sick;       /* hosts that could not connect just now, a bit each */
	uint64_t busy;       /* hosts that had no idle connection, and waiting there is no choice */
	weir_session *session; /* NULL: none */
	/* where replicas only lack a position, they are asked before the primary reads */
	bool asks;
};

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
	_Atomic uint64_t tickets;    /* (a) probes asked for by weir_router_probe */
	_Atomic uint32_t instead;    /* (a) reads of the primary in place of replicas: instead.c */
	_Atomic uint64_t capped;     /* (a) reads that would have been too many */
	_Atomic uint64_t sizes;      /* (a) as last asked for: wi_sizes; 0: never */
	_Atomic int64_t tightest_ms; /* (a) the smallest limit of lag asked for of late; 0: none */
	_Atomic int64_t tightest_ns; /* (a) when it was last asked for */
	_Atomic int64_t end_ns;      /* (a) once it is closed: how long who closes it will wait */
	_Atomic(struct wi_order *) orders; /* (a) for the keeper, the last one first: orders.h */
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

/* ---- hosts.c: the set of hosts ---- */

/* What a host is made of. */
struct wi_host_plan {
	struct wi_endpoint endpoint;
	enum wi_named named;
	struct wi_terms terms;
	struct wi_name *name; /* that it is an address of, or NULL */
	void *script;         /* for the fake driver */
};

/*
 * A host and its pool as a job of the keeper, which does not run yet, or whose thread this is; it
 * is in no place yet. OK, or as weir_pool_open.
 */
weir_status wi_host_make(weir_router *router, const struct wi_host_plan *plan,
                         struct wi_host **host, weir_error *error);

/* Nobody knows of it (any more), and its pool has nothing open or is a parent's. NULL: no-op. */
void wi_host_free(struct wi_host *host, bool in_child);

/* Puts it into a place that is free. The keeper's thread, or before the keeper runs. */
void wi_host_list(struct wi_host *host, uint32_t number);

/* Publishes what an operator says of it; false: it is as before. The keeper's thread. */
bool wi_host_set_terms(struct wi_host *host, const struct wi_terms *terms);

/*
 * manage.c: gives the host's pool these sizes (pool/size.h). Inside a read section, or the keeper's
 * thread.
 */
void wi_host_resize(struct wi_host *host, uint64_t sizes);

/* Adds a host: OK, INVALID, CLOSED, or as wi_host_make. wi_conclude follows. Keeper's thread. */
weir_status wi_hosts_add(weir_router *router, const struct wi_host_plan *plan, weir_error *error);

/* Takes a host out of the set. wi_conclude follows, and wi_hosts_see_off. Keeper's thread. */
void wi_hosts_remove(struct wi_host *host, const char *why);

/*
 * Publishes other terms and tells of it; false: they are as before. wi_conclude follows. The
 * keeper's thread.
 */
bool wi_hosts_change(struct wi_host *host, const struct wi_terms *terms);

/* Shuts every pool, to be closed by end_ns. Any thread. */
void wi_hosts_shut(weir_router *router);

/* A host of which nothing is known yet. */
void wi_host_start(struct wi_host *host);

/* The host of a place, or NULL. Pinned, or inside a read section, or the keeper's thread. */
WI_INLINE struct wi_host *wi_host_at(const weir_router *router, uint32_t number)
{
	/* [hosts:A1] sees the host as the keeper made it; pairs with R1. */
	return wi_load_acq(&router->place[number]);
}

/*
 * The hosts of the set, one after the other, and NULL at the end; *i begins as 0. Pinned, or inside
 * a read section, or the keeper's thread:
 *
 *	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
 */
struct wi_host *wi_hosts_next(const weir_router *router, uint32_t *i);

/* The same with those that are leaving and have connections out. */
struct wi_host *wi_places_next(const weir_router *router, uint32_t *i);

/* ---- stats.c, totals.c: what is counted ---- */

/* Statistics of a host by value. Pinned, or inside a read section, or the keeper's thread. */
void wi_host_read(weir_router *router, struct wi_host *host, weir_host_stats *stats);

/* Nothing is past yet. Nobody else's yet, or in a child that makes the router anew. */
void wi_totals_init(weir_router *router);

/*
 * The host's share goes to the past, before it is taken out of its place; and what has come to it
 * since then, before it is freed. The keeper's thread.
 */
void wi_totals_leave(struct wi_host *host);
void wi_totals_left(struct wi_host *host);

/* How many hosts the set has. As wi_hosts_next. */
uint32_t wi_hosts_count(const weir_router *router);

/* What an operator has said of it. Pinned, or inside a read section, or the keeper's thread. */
WI_INLINE const struct wi_terms *wi_host_terms(const struct wi_host *host)
{
	/* [hosts:A2] sees the terms as the keeper wrote them; pairs with R2. */
	return wi_load_acq(&host->terms);
}

/* ---- terms.c ---- */

/* Whether the lists in the options name no more than so many hosts: OK or INVALID. */
weir_status wi_terms_fit(const weir_options *options, uint32_t n_hosts, weir_error *error);

/* What the options say of the i-th host: OK or INVALID. */
weir_status wi_terms_of_options(const weir_options *options, uint32_t i, const char *host,
                                struct wi_terms *terms, weir_error *error);

/* ---- child.c ---- */

/*
 * In a child of the process that opened the router: OK if it is usable here now, else FORKED or why
 * not.
 */
weir_status wi_router_in_child(weir_router *router, weir_error *error);

/* ---- monitor.c ---- */

/* Makes the router's monitor a job of its keeper. */
void wi_monitor_add(weir_router *router);

/* sketch.c: begins to draw it; the keeper does not run yet. OK or INVALID. */
weir_status wi_router_show(weir_router *router, weir_error *error);

/* A pool's trouble: probe the host now. arg is the host; the keeper's thread. */
void wi_monitor_trouble(void *host, const struct wi_failure *failure);

/* ---- advice.c; the keeper's thread ---- */

/* Takes what was advised, and drops what holds no more. true: the hosts are to be judged anew. */
bool wi_advice_tend(weir_router *router, int64_t now_ns);

/* When to look again. */
int64_t wi_advice_due(const weir_router *router);

/* The advice, its primary as a host's number; false: none is in force. */
bool wi_advice_in_force(const weir_router *router, struct wi_advice *advice);

/* What was judged may contradict it: asks again, and at last tells. */
void wi_advice_compare(weir_router *router, int64_t now_ns);

/* Forgets all of it. Also where no keeper runs. */
void wi_advice_drop(weir_router *router);

/* ---- manage.c ---- */

/* Counts the caller as inside. OK, FORKED or CLOSED. */
weir_status wi_router_come_in(weir_router *router, weir_error *error);

/* ---- pace.c ---- */

/*
 * A read that allows at most so much lag: probe at least as often as it takes to know. Any thread.
 */
void wi_pace_need(weir_router *router, int64_t max_lag_ms);

/* Forgets what wi_pace_need was told and nobody has said again for a while. Keeper's thread. */
void wi_pace_relax(weir_router *router, int64_t now_ns);

/* How long a probe's question may take. */
int64_t wi_pace_limit_ms(const weir_router *router);

/* How long a lag in bytes may be judged by, where a limit of bytes is asked for. */
int64_t wi_pace_bytes_good_ns(const weir_router *router);

/* Sets when the host is asked next, after it has answered or failed. Keeper's thread. */
void wi_pace_plan(struct wi_host *host, int64_t now_ns);

/* When a host whose probe is idle wants to be asked again. Keeper's thread. */
int64_t wi_pace_due(const struct wi_host *host, int64_t now_ns);

/* ---- stand.c ---- */

/* How each replica stands now, when all have been judged. Keeper's thread. */
void wi_stand_judge(weir_router *router, int64_t now_ns);

/* What time does to that; true: somebody may be back, judge again. Keeper's thread. */
bool wi_stand_turn(weir_router *router, int64_t now_ns);
int64_t wi_stand_due(const weir_router *router);

/* ---- weigh.c ---- */

/* A host of which nothing is known yet. */
void wi_weigh_start(struct wi_host *host);

/*
 * Counts what is out at each host, as long as that moves; when to do so again. Keeper's thread.
 */
int64_t wi_balance_count(weir_router *router, int64_t now_ns);

/* It had stopped, as nothing moved: it begins again. Any thread, pinned. */
void wi_balance_wake(weir_router *router);

/* Publishes what each host's share is to be, dt_ns after the last time. Keeper's thread. */
void wi_weigh_publish(weir_router *router, int64_t dt_ns);

/*
 * Among how many of n hosts, of which the first are near, a read is balanced: the near ones, unless
 * there are none, or they have become slow. Pinned.
 */
uint32_t wi_weigh_width(const weir_router *router, struct wi_host *const *hosts, uint32_t n,
                        uint32_t near);

/* ---- conclude.c: see there ---- */

/* Judges and publishes what all probes have found. The keeper's thread. */
void wi_conclude(weir_router *router, int64_t now_ns);

/* A sign that something is wrong: for a while hosts are asked as fast as they may be. */
void wi_pace_alarm(weir_router *router, int64_t now_ns);

/* ---- identity.c; the keeper's thread ---- */

/* Which server has just answered. */
void wi_identity_note(struct wi_host *host, int64_t now_ns);

/* Whether different servers answer at this host's name. */
bool wi_identity_is_several(const struct wi_host *host, int64_t now_ns);

/*
 * Which host this standby says that it follows: its number + 1; 0: none of ours, or it is hidden.
 */
uint32_t wi_identity_followed(const weir_router *router, const struct wi_host *standby);

/* ---- hold.c; the keeper's thread ---- */

/* The host has answered; it has not. */
void wi_hold_good(struct wi_host *host, int64_t now_ns);
void wi_hold_fell(struct wi_host *host, int64_t now_ns);

/* Takes the roles of those that have failed too often of late and are back for too short a time. */
void wi_hold_down(weir_router *router, struct wi_judgement *judgement, int64_t now_ns);

/* ---- quarrel.c ---- */

/* Tells of hosts that contradict each other. After publishing; the keeper's thread. */
void wi_quarrel_tell(weir_router *router, const struct wi_judgement *judgement, int64_t now_ns);

/* ---- topology.c ---- */

/*
 * Readers of what was replaced before are gone when this returns: once before each round of
 * publishing. Keeper's thread.
 */
void wi_topology_grace(weir_router *router);

/* Publishes what the opinions of all hosts come to; false: it is as before. The keeper's thread. */
bool wi_topology_publish(weir_router *router, const struct wi_judgement *judgement);

/* Publishes a host's report; *old is the role it was published with before. The keeper's thread. */
bool wi_report_publish(struct wi_host *host, weir_role *old);

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

/* ---- fresh.c: see there ---- */

/*
 * A primary holds whatever was written on its own timeline, and on those it came from. Where its
 * timeline is not known, a read cannot be promised that, and a write need not be: it goes to the
 * primary whatever that holds. Pinned.
 */
bool wi_primary_has(weir_router *router, const struct wi_topology *topology,
                    const struct wi_wish *wish);

enum wi_freshness { WI_FRESH, WI_STALE, WI_BEHIND };

/* The same of a standby: BEHIND if it lacks nothing but a position. Pinned. */
enum wi_freshness wi_freshness_of(weir_router *router, const struct wi_topology *topology,
                                  const struct wi_host *host, const struct wi_wish *wish);

/*
 * Whether one that is BEHIND may have the position within so long: by what the probes of this
 * ticket say, or, as long as that is 0 or not answered, who knows. Pinned.
 */
bool wi_may_catch_up(weir_router *router, const struct wi_wish *wish, uint64_t ticket,
                     int64_t wait_ns);

/* The host whose pool this is, or NULL: a pool without a router. */
static inline struct wi_host *wi_host_of(const struct weir_pool *pool)
{
	return pool->on_trouble == wi_monitor_trouble ? pool->trouble_arg : NULL;
}

/*
 * checkout.c: weir_checkout_with, but at none of these hosts (a bit each, by number). Any thread.
 */
weir_status wi_checkout_elsewhere(weir_router *router, const weir_request *request, uint64_t avoid,
                                  int64_t timeout_ms, weir_conn **conn);

/* ---- own_writes.c: see there ---- */

/*
 * wish.c: what a checkout asks for that says its intent alone; whether a read then is asked nothing
 * more than a policy's choice. Whether the keeper counts what is out, and whether each read raises
 * its host's load. By the options as they are now; any thread.
 */
void wi_wish_plain(const weir_router *r, weir_intent intent, struct wi_wish *wish);
bool wi_wish_is_plain(const weir_router *r);
bool wi_weighs(const weir_router *r);
bool wi_weighs_each(const weir_router *r);

/* By the options, before the router is anybody's: what all reads wish, and what is stamped. */
void wi_own_writes_start(weir_router *router);

/* Where every checkout has more to it than the warm path knows: off that path. */
void wi_own_writes_divert(weir_router *router);

/* A number that was not given out before in this process. Any thread. */
uint64_t wi_serial_next(void);

/* A token was taken, or its position is unknown (lsn UINT64_MAX). Any thread. */
void wi_floor_raise(weir_router *router, const weir_token *token);

/* What the primary has said may take the place of what is not known. The keeper's thread. */
void wi_floor_tend(weir_router *router, const struct wi_sight *primary);

/* The hosts have another past now: no position of before says anything. The keeper's thread. */
void wi_floor_forget(weir_router *router);

/* Whether a standby has reached it, and whether a primary on this timeline may be read from. */
bool wi_floor_is_reached(const weir_router *router, uint32_t timeline, uint64_t lsn);
bool wi_floor_allows(const weir_router *router, uint32_t timeline);

/* Whether reads go to the primary just now, as somebody has written. */
bool wi_window_is_open(const weir_router *router);

/* Somebody is about to write. Any thread. */
void wi_window_begin(weir_router *router);

/* For how long they will after the next write. The keeper's thread. */
void wi_window_tend(weir_router *router, int64_t now_ns);

/* ---- session.c: see there ---- */

/* Whether a standby shows no less than the session has seen. Pinned. */
enum wi_freshness wi_session_allows(const weir_router *router, const struct wi_host *host,
                                    const weir_session *session);

/* Before a checkout: what was given back since the last one. Pinned. */
void wi_session_refresh(weir_router *router, const struct wi_topology *topology,
                        weir_session *session);

/* A checkout of the session has succeeded. */
void wi_session_note(weir_router *router, weir_session *session, const weir_conn *conn);

/* Whether a read may go to the primary where no replica can serve it. */
static inline bool wi_wish_may_fall_back(const struct wi_wish *wish)
{
	bool by_default = wish->fallback == WEIR_FALLBACK_PRIMARY ||
	                  wish->fallback == WEIR_FALLBACK_PRIMARY_OR_FAIL;

	return wish->target == WEIR_TARGET_PREFER_REPLICA ||
	       (wish->target == WEIR_TARGET_DEFAULT && by_default);
}

/* ---- choose.c: see there ---- */

struct wi_choice {
	struct wi_host *host; /* whom it is from, or whom to wait for; NULL: nobody is able */
	weir_role role;
	weir_reason reason;
	bool pending; /* nobody is able, but the first look at the hosts is not over */
	bool stale;   /* replicas were there, none fresh enough */
	bool others;  /* hosts besides this one are able, if busy just now */
	bool behind;  /* some replicas lack nothing but a position: ask them first */
	bool capped;  /* only the primary is, and serves as many in place of replicas as it may */
	_Atomic uint32_t *raised; /* what has been raised for it already, or NULL */
};

/*
 * Pinned: takes an idle connection of an able host, marked and counted, or chooses a host to wait
 * at.
 */
struct weir_conn *wi_choose(weir_router *router, const struct wi_wish *wish, struct wi_seat *seat,
                            struct wi_choice *choice);

/* Whether a host still is what it was chosen for. Pinned. */
bool wi_choice_holds(weir_router *router, const struct wi_wish *wish,
                     const struct wi_choice *choice);

/* Whether waiting for the chosen host counts in its load. */
bool wi_choice_weighs(const weir_router *router, const struct wi_choice *choice);

/* What the checkout needs of its connection there. */
enum wi_access wi_choice_access(const struct wi_wish *wish, const struct wi_choice *choice);

/* Marks and counts a connection that was waited for. */
void wi_choice_made(weir_router *router, const struct wi_wish *wish, const struct wi_choice *choice,
                    struct weir_conn *handle);

/* ---- visit.c: see there ---- */

/*
 * Chooses and waits until the wish's deadline. The caller is inside. Statuses as weir_checkout.
 */
weir_status wi_visit(weir_router *router, const struct wi_wish *wish, weir_conn **conn,
                     weir_error *error);

/* Fails with CLOSED. */
weir_status wi_visit_closed(weir_error *error);

/* ---- instead.c ---- */

/*
 * Whether the primary may serve one read more in place of replicas. true: it counts, in *raised if
 * that is not NULL: lowered when its connection comes back, or by wi_instead_drop.
 */
bool wi_instead_take(weir_router *router, const struct wi_host *primary, _Atomic uint32_t **raised);
void wi_instead_drop(weir_router *router, _Atomic uint32_t **raised);

/* Sleeps until one of them is over, or until_ns; or wakes without a reason. */
void wi_instead_wait(weir_router *router, int64_t until_ns);

/* How many such reads are out. Any thread. */
uint32_t wi_instead_held(const weir_router *router);

/* ---- alarm.c ---- */

/* Judges the router's alert rules when it is time to. The keeper's thread. */
void wi_router_alarm_turn(weir_router *router, int64_t now_ns);

/* In a child: nothing was looked at yet. */
void wi_router_alarm_forget(weir_router *router);

/* A checkout has ended that was not served at once. Its thread, inside. */
void wi_router_note_checkout(weir_router *router, const weir_conn *conn, const char *tag,
                             int64_t began_ns, weir_status status);

/* ---- explain.c ---- */

/*
 * Fails with UNAVAILABLE, or AUTH where every host refused the credentials; the text lists every
 * host. Pinned.
 */
weir_status wi_explain(weir_router *router, const struct wi_wish *wish,
                       const struct wi_choice *choice, weir_error *error);

/* Whether no host can be reached for reasons that waiting does not mend. Pinned. */
bool wi_is_hopeless(weir_router *router, const struct wi_wish *wish);

/* Milliseconds behind by the router's clock; -1: unknown. */
int64_t wi_host_lag_ms(const struct wi_host *host, weir_role role, int64_t now_ns);

#endif
