/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: the pool, the connection in its slot, and who may touch what.
 * And, at the end, what the router asks of a pool.
 */
#ifndef WI_POOL_POOL_H
#define WI_POOL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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
#include "pool/alarm.h"
#include "pool/breaker.h"
#include "pool/epoch.h"
#include "pool/held.h"
#include "pool/keeper.h"
#include "pool/login.h"
#include "pool/resolve.h"
#include "pool/settings.h"
#include "pool/sketch.h"
#include "pool/tally.h"
#include "pool/timed.h"
#include "stat/event.h"
#include "stat/hist.h"

/*
 * The life of a slot, changed by slot_move in life.c alone, on the keeper's thread. READY covers
 * idle and lent: which of the two is core's affair.
 *
 *	                    +--------------------- connect failed -------------------+
 *	                    |                                                        v
 *	EMPTY --open--> RESOLVING --> CONNECTING --> SETTLING --ready--> READY    CLOSING --gone--> EMPTY
 *	                                               ^  |  |             |         ^
 *	                                               |  |  +---failed----|---------+
 *	                                               |  +-----ready--->--+         |
 *	                                               +----returned, or swept-------+ closed
 */
enum wi_life { WI_EMPTY, WI_RESOLVING, WI_CONNECTING, WI_SETTLING, WI_READY, WI_CLOSING, WI_LIVES };

/* Notes on a slot for whoever has it next. Any bit sends it off the fast path. */
enum {
	WI_NOTE_SUSPECT = 1 << 0, /* its socket said something: look before use */
	WI_NOTE_CHECK = 1 << 1,   /* idle for long: make a round trip before use */
	WI_NOTE_RETIRE = 1 << 2,  /* to be closed when idle or back; `why` says the reason */
	/* above the maximum: to be closed when back, unless somebody waits */
	WI_NOTE_OVERFLOW = 1 << 3,
	WI_NOTE_DISCARD = 1 << 4, /* its holder wants it closed */
	/* reclaimed: the transport is cut, the capacity has been given to another */
	WI_NOTE_CUT = 1 << 5,
	/* a round trip was begun by a caller whose time ran out: await its answer */
	WI_NOTE_ASKED = 1 << 7,
	WI_NOTE_PING = 1 << 6, /* the keeper wants it for a round trip */
	WI_NOTE_LOAD = 1 << 8, /* it is out, and its host's load is to be lowered when it is back */
	WI_NOTE_LOOK = 1 << 9, /* idle for a while: look at its socket before use */
	/* the thread that has it next is to leave its stack; stays while every checkout is to */
	WI_NOTE_STACK = 1 << 10,
	/* its taker asked it, and had no answer in all the time that such a question may take */
	WI_NOTE_SILENT = 1 << 11,
	WI_NOTE_RENEW = 1 << 12, /* to be reset, whatever it looks like */
	WI_NOTE_STAMP = 1 << 13, /* it is out, and its checkin is to say when it came back */
	/* older than its host's epoch: the keeper asks who answers before anybody has it */
	WI_NOTE_VERIFY = 1 << 14,
	WI_NOTE_READS = 1 << 15, /* at a primary, and its session is read-only: see access.c */
	WI_NOTE_TIMED = 1 << 16, /* its next lending is to be timed, or is: see timed.c */
	/* its holder has had a cancel request sent, which may still be on its way: see busy.c */
	WI_NOTE_CANCEL = 1 << 17,
};

/*
 * What the keeper does with a connection in its hands, step by step: SQL to send, in this order.
 * Each step is one query; `reset` and the settings follow only where they are wanted.
 */
enum wi_errand {
	WI_DO_NOTHING,
	WI_DO_DRAIN, /* no SQL: what a holder left under way is ended (busy.c) */
	WI_DO_VERIFY,
	WI_DO_APPLY,
	WI_DO_VERIFY_AGAIN,
	WI_DO_ON_CONNECT,
	WI_DO_HOOK, /* no SQL: hook.c */
	WI_DO_ROLLBACK,
	WI_DO_RESET,
	WI_DO_REAPPLY,
	WI_DO_PING,
	WI_DO_WHO, /* epoch.c */
};

#define WI_CONN_BYTES 256

/* What a checkout needs of its connection. */
enum wi_access {
	WI_ACCESS_ANY,
	WI_ACCESS_WRITE, /* asked who answers in this epoch, and writable */
	WI_ACCESS_READ   /* at a primary: not writable */
};

/* What is shown of a caller that waits. */
struct wi_plea {
	const char *tag; /* static, or NULL */
	int64_t since_ns;
};

/* What a checkout is for, as its connection will tell. */
struct wi_mark {
	enum wi_access access;
	weir_role role;
	weir_reason reason;
	const char *tag;
	_Atomic uint32_t *load; /* has been raised for it, or NULL */
	bool stamp;             /* its checkin is to say when it came back */
};

/*
 * A connection in its slot: 256 bytes aligned to 256, so that the low 8 bits of a handle can say
 * which checkout it belongs to.
 *
 * Access key: (c) constant after init; (a) atomic, any thread; (h) its holder: the thread that has
 * it lent, or the keeper while it is not in the core; (k) keeper's thread only.
 */
struct weir_conn {
	_Alignas(WI_CONN_BYTES) struct wi_slot slot; /* core's */
	_Atomic uint32_t notes;                      /* (a) WI_NOTE_ bits */
	uint32_t number;                             /* (c) of the slot */
	struct weir_pool *pool;                      /* (c) */
	void *link;                                  /* (h) the driver's connection */
	/* (h) writes, keeper reads: of the thread it was lent to */
	_Atomic(struct wi_seat *) lender;
	_Atomic(const char *) tag; /* (h) writes, keeper reads: the request's tag */
	_Atomic uint8_t role;      /* (h) writes, any reads: weir_role at checkout */
	_Atomic uint8_t reason;    /* (h) writes, any reads: weir_reason */

	WI_ON_NEW_LINE struct pg_conn *pg; /* (h) libpq's, the same for the life of link */
	_Atomic uint32_t *load;            /* (h) lowered when it comes back, if noted */
	_Atomic uint32_t inbox_next;       /* (a) the slot below it in the keeper's inbox */
	bool standby;                      /* (k) what its session last reported of its server */
	bool read_only;                    /* (h) default_transaction_read_only, as weir made it */
	/* (k) the same, as it was opened: a reset brings it back */
	bool born_read_only;
	uint64_t seen_lend;        /* (k) `lend` at the last look */
	_Atomic int64_t asked_ns;  /* (h) when it was last asked whether it lives */
	_Atomic int64_t proven_ns; /* (h) when it last answered such a question */
	/* (h) writes: when one was given back that was to say so */
	_Atomic int64_t back_ns;
	_Atomic uint64_t back_lend; /* (h) writes: with this count */

	WI_ON_NEW_LINE enum wi_life life; /* (k) */
	enum wi_errand errand;            /* (k) */
	_Atomic uint32_t why;             /* (a) weir_close: why it is to be closed, for RETIRE */
	bool in_hand;        /* (k) on the pool's list of slots in the keeper's hands */
	bool leak_told;      /* (k) */
	bool fresh;          /* (k) being opened, not yet counted as opened */
	bool cut_counted;    /* (k) census.cut has it */
	int64_t seen_ns;     /* (k) since when it has been so */
	int64_t checked_ns;  /* (k) last proof of life by the keeper */
	int64_t born_ns;     /* (k) when it was begun to be opened */
	int64_t expires_ns;  /* (k) end of its lifetime */
	int64_t deadline_ns; /* (k) of what the keeper does with it now */
	bool evicted;        /* (k) was there when the pool was last evicted */
	uint8_t edition;     /* (k) of the startup options its connect was begun with; 0: none */
	/* (k) one of its statements was refused for being a write, nobody knows why */
	bool accused;
	bool met_standby; /* (k) who answered when it was last asked was one */
	uint32_t epoch;   /* (k) of the host, when it was last asked who answers */
	WI_ON_NEW_LINE struct wi_watch watch; /* (k) */
	struct wi_answer *answer;             /* (k) of the errand, if it wants one */
	int server_process;                   /* (k) as it said itself when it was verified; or 0 */
	int goodbye_fd;                 /* (k) CLOSING: end-of-file here means the server is done */
	struct weir_conn *next, **prev; /* (k) list of slots in hand */
	struct wi_way *way;             /* (k) RESOLVING and CONNECTING: how to get there */
	/* (k) of DRAIN; (h) of a cancel that the holder has asked for; else NULL */
	struct wi_busy *busy;
};

_Static_assert(sizeof(struct weir_conn) == WI_CONN_BYTES, "a handle's low bits count checkouts");

struct wi_pool_config {
	const struct wi_driver *driver;
	const struct wi_world *world;
	const struct wi_dsn *dsn;           /* copied where needed; must outlive the pool */
	const struct wi_endpoint *endpoint; /* must outlive the pool */
	const weir_options *options;        /* copied */
	void *script;                       /* for the fake driver */
	/*
	 * Told on the keeper's thread when an idle connection was lost or a connect failed: probe
	 * this host now.
	 */
	void (*on_trouble)(void *arg, const struct wi_failure *failure);
	void *trouble_arg;
	bool routed; /* a router's: its connections are to agree with what that knows */
	const struct wi_sources *sources; /* of a pool of its own: who has set which option */
	struct wi_ring *ring; /* where its events are remembered; NULL: in one of its own */
};

/* Reasons a waiter can be refused with (wi_core_shut, wi_core_refuse). */
enum { WI_REFUSE_CLOSED = 1, WI_REFUSE_BREAKER = 2, WI_REFUSE_ELSEWHERE = 3 };

/* The same of a core that is suspended: its checkouts wait, or fail, or choose again. */
enum { WI_SUSPENDED_WAIT = 4, WI_SUSPENDED_FAIL = 5, WI_SUSPENDED_ELSEWHERE = 6 };

/* What one connection's death means for the others. */
struct wi_health {
	_Atomic uint32_t doubt; /* (a) 1: an answer is overdue somewhere: ask all that are idle */
	int64_t condemn_ns;     /* (k) who has not been proven alive since is closed; 0: nobody */
	uint32_t others;        /* (k) notes for all: LOOK or CHECK */
	int64_t reset_ns;       /* (k) when one was last lost without a word */
	int64_t refused_ns;     /* (k) when nobody last listened */
	_Atomic uint64_t lost;  /* (a) */
	struct wi_posted last;  /* (k) writes, any thread reads: a struct wi_last_error */
};

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
};

struct weir_pool {
	/* read by every checkout, written seldom */
	struct wi_core core;
	WI_ON_NEW_LINE _Atomic uint32_t fork_epoch; /* (a) wi_fork_epoch at open */
	_Atomic uint32_t closed;                    /* (a) */
	_Atomic uint32_t reopening; /* (a) 1: a thread of a child is making the pool anew */
	bool reset_always;          /* (c) every checkin goes through the keeper */
	/* (c) notes that stay on every slot: LOOK or CHECK, or none */
	uint32_t standing;
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
	struct wi_room holdings_room, stacks_room; /* (c) grow by themselves */
	struct wi_holding *holdings;               /* (c) of each slot, by number: see held.h */
	struct wi_posted *stacks;                  /* (c) of each slot; NULL: none are taken */
	uint64_t lent_before; /* (c) counted by slots before a child made the pool anew */
	struct wi_hist wait_hist, hold_hist; /* (a) */
	_Atomic uint64_t hold_samples;       /* (a) lendings that were timed */
	struct wi_tallies tallies;           /* (a) */

	/* the keeper's */
	WI_ON_NEW_LINE struct wi_job job; /* (k) */
	struct wi_breaker breaker;        /* (k) writes; its `open` is read by any */
	struct wi_health health;          /* (k) writes, but where it says otherwise */
	struct weir_conn *in_hand;        /* (k) */
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
	/* (a) a pooler is between: what a session reports may be old */
	/* (a) reads are read-only: nobody else decides about default_transaction_read_only */
	_Atomic bool guards;
	_Atomic bool pooled;
	/* (a) when an accused connection was last found to be innocent; 0: never */
	_Atomic int64_t false_alarm_ns;
	_Atomic uint64_t verified;          /* (a) connections that were asked and agreed */
	struct wi_ring own_ring;            /* (a) of a pool without a router */
	struct wi_ring *ring;               /* (c) where its events are remembered */
	struct wi_fixed fixed;              /* (c) what the connection string has said */
	_Atomic(struct wi_wanted *) reload; /* (a) asked for, for the keeper to take; or NULL */
	struct wi_vigilance vigilance;      /* see alarm.h */
	struct wi_sketch sketch;            /* (k) of a pool without a router: its picture */
};

/* The last connect failure. */
struct wi_last_error {
	enum wi_fault fault;
	char sqlstate[6];
	char text[512];
};
_Static_assert(sizeof(struct wi_last_error) <= WI_POSTED_WORDS * 8, "it can be posted");

/* Keeper's thread. */
static inline void wi_failure_post(struct wi_posted *posted, const struct wi_failure *f)
{
	struct wi_last_error e = {.fault = f->fault};

	memcpy(e.sqlstate, f->sqlstate, sizeof(e.sqlstate));
	memcpy(e.text, f->text, sizeof(e.text));
	wi_post(posted, &e, sizeof(e));
}

/* The words about a socket that epoll did not take. */
#define WI_CANNOT_WATCH "the system has no room to watch a socket"

/* life.c: the one place where `life` changes. */
void wi_slot_move(struct weir_conn *c, enum wi_life from, enum wi_life to);
void wi_slot_in_hand(struct weir_conn *c, bool in_hand);

/* open.c: opening connections. */
void wi_open_some(struct weir_pool *pool, int64_t now_ns);
bool wi_open_is_under_way(const struct weir_pool *pool);
void wi_open_failed(struct weir_conn *c, const struct wi_failure *failure);
void wi_open_connected(struct weir_conn *c);
uint32_t wi_pool_limit(const struct weir_pool *pool);

/* Connections that the server may see: everything but EMPTY and what was reclaimed. */
uint32_t wi_pool_total(const struct weir_pool *pool);

/*
 * way.c: from the decision to connect to an open connection: addresses and credentials, and one
 * address after the other. Ends in wi_open_connected or wi_open_failed.
 */
void wi_way_begin(struct weir_conn *c, int64_t now_ns);
void wi_way_step(struct weir_conn *c, int64_t now_ns);
/* Gives up what is left of it; before the slot is closed, and when it is open. */
void wi_way_end(struct weir_conn *c);
/* What it is doing, in words for people. */
const char *wi_way_phase(const struct weir_conn *c);
/* Whether it logged in with an answer of on_credentials to an earlier connect. */
bool wi_way_was_kept(const struct weir_conn *c);

/* settle.c: what the keeper does with a connection before it is anybody's. */
void wi_settle_begin(struct weir_conn *c, enum wi_errand errand, int64_t deadline_ns);
void wi_settle_step(struct weir_conn *c, int64_t now_ns);
void wi_settle_returned(struct weir_conn *c);
/* The hook has returned; failure NULL: well, and the connection is ready. */
void wi_settle_hooked(struct weir_conn *c, const struct wi_failure *failure);
void wi_settle_go_on(struct weir_conn *c, int64_t now_ns, bool round_trip);

/*
 * greet.c: the errands of a new connection: their SQL (NULL: nothing to do), what follows, the end.
 */
const char *wi_greet_sql(const struct weir_conn *c);
void wi_greet_next(struct weir_conn *c);
void wi_greet_failed(struct weir_conn *c, const struct wi_failure *failure);
void wi_greet_done(struct weir_conn *c);

/*
 * health.c: whether a connection lives. A taken slot with LOOK or CHECK noted is looked at or asked
 * by its taker; what comes of it is in its notes: neither any more, or SUSPECT, RETIRE or ASKED:
 * the keeper has to see to it.
 */
bool wi_health_look(struct weir_conn *c);
bool wi_health_tell(struct weir_conn *c, const char *sql, int64_t deadline_ns);
void wi_health_check(struct weir_conn *c, uint32_t notes, int64_t deadline_ns);
uint32_t wi_health_standing(const weir_options *options);
void wi_health_tend(struct weir_conn *c, int64_t now_ns);

/*
 * The keeper asks: when to look at the clock again; then whether there is time left (and the
 * deadline is set anew); and what follows if there is none.
 */
int64_t wi_health_deadline(const struct weir_conn *c);
bool wi_health_has_time(struct weir_conn *c, int64_t now_ns);
void wi_health_unanswered(struct weir_conn *c);

/* Whether what is sent is a question whether it lives. */
bool wi_health_is_question(enum wi_errand errand);

/* Its holder wants it closed: if it was lost, the others hear of it. */
void wi_health_discarded(struct weir_conn *c);

/* The server or the network has ended a connection, which is closed. */
void wi_conn_lost(struct weir_conn *c, const struct wi_failure *failure);

/* What its holder's statements met with, if anything of note; true: it is closed for that. */
bool wi_health_heard(struct weir_conn *c);

/* A connect failed: what it is to be taken for, and what that means for what is open. */
enum wi_fault wi_health_judged(const struct weir_pool *pool, const struct wi_failure *failure);
void wi_health_connect_failed(struct weir_pool *pool, const struct wi_failure *failure,
                              int64_t now_ns);

/* What deaths mean for the others, once a turn; whether something new is waiting for that. */
void wi_health_turn(struct weir_pool *pool);
void wi_health_forget(struct weir_pool *pool); /* in a child; but what was counted */
bool wi_health_is_pending(const struct weir_pool *pool);

/* The class of an error, by the table and the user's hook. Any thread. */
weir_class wi_pool_classify(const struct weir_pool *pool, const char *sqlstate, bool connecting);

/*
 * in_force.c: takes the answer to VERIFY: what is in force is published, and told where it is not
 * what it should be; whether it is.
 */
bool wi_in_force_take(struct weir_conn *c);

/*
 * access.c: whether sessions take writes. The keeper: whether new ones are to be opened read-only;
 * whether one in its hands has to be changed, and how it is asked to; what was learnt from an
 * answer (is_new: of one that was just opened); that it was reset, by DISCARD ALL or otherwise.
 */
bool wi_access_opens_read_only(const struct weir_pool *pool);
bool wi_access_is_owed(const struct weir_conn *c);
enum wi_who wi_access_question(const struct weir_conn *c);
void wi_access_learn(struct weir_conn *c, int read_only, bool is_new);
void wi_access_was_reset(struct weir_conn *c, bool is_full);

/*
 * Who has taken it: whether it is as wanted; and if not, a round trip that makes it so. false: what
 * came of it is in the notes, and it cannot be used.
 */
bool wi_access_suits(const struct weir_conn *c, enum wi_access access);
bool wi_access_get(struct weir_conn *c, enum wi_access access, int64_t deadline_ns);

/*
 * Whether something seems to be idle that a read would have to make read-only first: so it waits
 * for that, and does not take the pool for busy. Any thread.
 */
bool wi_access_awaits(struct weir_pool *pool);

/* close.c: closing connections. */
void wi_conn_close(struct weir_conn *c, weir_close why);
void wi_conn_close_step(struct weir_conn *c, int64_t now_ns);
void wi_conn_close_soon(struct weir_conn *c);
int64_t wi_busy_goodbye_ms(const struct weir_pool *pool);

/*
 * drain.c: has the keeper tell what is still out. The closer, at the end of its time, while the
 * pool is its own.
 */
void wi_drain_report(struct weir_pool *pool);

/* tend.c: what time does to connections. */
void wi_tend(struct weir_pool *pool, int64_t now_ns);
void wi_tend_first(struct weir_conn *c, int64_t now_ns, bool fresh);
int64_t wi_tend_interval(const weir_options *options);

/*
 * reload.c: other options come into force, those that may change; memory for their sizes has been
 * prepared. What a resize has said that came after so many stays. And what was asked for by a
 * pool's own users. Keeper's thread.
 */
void wi_pool_reload_now(struct weir_pool *pool, const weir_options *merged, uint32_t resizes,
                        int64_t now_ns);
void wi_pool_reload_step(struct weir_pool *pool, int64_t now_ns);

/* turn.c: the pool as a keeper's job. */
void wi_pool_job_init(struct weir_pool *pool);
/* The slots from `from` to `to` as they are before their first use. */
void wi_pool_slots_init(struct weir_pool *pool, uint32_t from, uint32_t to);

/*
 * checkout.c: pins the calling thread, which sits down if it has no seat yet. NULL: no memory for
 * that.
 */
struct wi_seat *wi_come_in(struct weir_pool *pool, struct wi_seat *seat, bool *open);

/* checkout.c: a checkout that ends without a connection is counted; returns the status. */
weir_status wi_pool_refused(struct weir_pool *pool, weir_status status);

/* checkout.c: for a caller that is counted inside: SHED if too many wait already, else OK. */
weir_status wi_pool_shed(struct weir_pool *pool, weir_error *error);

/*
 * checkin.c: lets go of a slot that is held with this count. false: somebody else did before.
 */
bool wi_conn_let_go(struct weir_conn *c, uint64_t count);
void wi_inbox_push(struct weir_conn *c);
struct weir_conn *wi_inbox_take_all(struct weir_pool *pool);

/* say.c: the words about a failed checkout. */
weir_status wi_say_timeout(struct weir_pool *pool, int64_t waited_ns, weir_error *error);
weir_status wi_say_exhausted(struct weir_pool *pool, weir_error *error);
weir_status wi_say_breaker(struct weir_pool *pool, weir_error *error);

/*
 * exchange.c: DONE or FAILED; READ or WRITE: the deadline came first, and the answer is still to
 * come.
 */
enum wi_step wi_conn_await(struct weir_conn *c, struct wi_answer *answer, int64_t deadline_ns,
                           struct wi_failure *failure);

/* The same for statements whose results are wanted. */
enum wi_step wi_conn_await_results(struct weir_conn *c, const struct wi_call *calls, size_t n,
                                   struct wi_results *results, int64_t deadline_ns,
                                   struct wi_failure *failure);

/* child.c: what a forked child may do with its parent's pool. */
weir_status wi_pool_in_child(struct weir_pool *pool, weir_error *error);
void wi_pool_forget(struct weir_pool *pool);

/* Whether the pool was opened by a parent of this process. */
static inline bool wi_pool_is_parents(const struct weir_pool *pool)
{
	/* [child:A1] sees the pool as the thread that made it anew left it; pairs with R1. */
	return wi_load_acq(&pool->fork_epoch) != wi_load_rlx(&wi_fork_epoch);
}

#define wi_pool_tell(pool, kind, ...)                                                              \
	wi_event_tell((pool)->ring, &(pool)->options, (pool)->core.world->now(), (kind),           \
	              (pool)->endpoint->name, __VA_ARGS__)

/* Begins to draw a pool with a keeper of its own, which does not run yet. OK or INVALID. */
weir_status wi_pool_show(struct weir_pool *pool, weir_error *error);

/* ---- What the router asks of a pool ---- */

/*
 * A pool of its own with any driver: what weir_pool_open does for libpq. script is for the fake
 * driver.
 */
weir_status wi_pool_open_with(const struct wi_driver *driver, const struct wi_world *world,
                              void *script, const char *conninfo, const weir_options *options,
                              weir_pool **pool, weir_error *error);

/* Creates a pool as a job of the keeper, which does not run yet (or whose thread this is). */
weir_status wi_pool_create(const struct wi_pool_config *config, struct wi_keeper *keeper,
                           struct weir_pool **pool, weir_error *error);

/*
 * Refuses all new checkouts and waiters; the keeper closes what is idle, and the rest as it comes
 * back. Any thread.
 */
void wi_pool_shut(struct weir_pool *pool);

/* Before it is shut: until when whoever closes it waits. Any thread. */
void wi_pool_end_by(struct weir_pool *pool, int64_t deadline_ns);

/* How many connections are in users' hands, about; exact when nobody comes or goes. Any thread. */
uint32_t wi_pool_out(struct weir_pool *pool);

/* How many have been in the same hands since before since_ns, about. Keeper's thread. */
uint32_t wi_pool_out_long(const struct weir_pool *pool, int64_t since_ns);

/* Whether a connection is in a user's hands. Any thread. */
bool wi_pool_is_held(struct weir_pool *pool);

/* Frees a pool whose job is finished, or whose keeper never ran. */
void wi_pool_free(struct weir_pool *pool);

/*
 * Takes a connection that is idle and needs no check, or NULL; the warm path. *conn is a handle, to
 * be given back with weir_checkin. Only for callers who know that the pool is not freed meanwhile.
 */
struct weir_conn *wi_pool_try(struct weir_pool *pool, const struct wi_mark *mark);

/*
 * Counts the caller as inside, so that the pool stays while the caller sleeps in it. While the
 * caller is pinned, or inside a read section, by which it knows that the pool is not freed.
 * wi_pool_exit when done.
 */
void wi_pool_enter(struct weir_pool *pool);
void wi_pool_exit(struct weir_pool *pool);

/*
 * Takes a connection, waiting until deadline_ns (0: try once); a check of one that was taken, or
 * what makes it read-only or writable, may go on until check_ns. plea: what is shown of the caller
 * (NULL: no tag, and it has come just now). Between enter and exit, outside
 * any read section. Statuses as weir_pool_checkout; UNAVAILABLE with an empty text if the waiter
 * was sent away by wi_pool_send_away.
 */
weir_status wi_pool_wait(struct weir_pool *pool, enum wi_access access, const struct wi_plea *plea,
                         int64_t deadline_ns, int64_t check_ns, struct weir_conn **conn,
                         weir_error *error);

/*
 * Nobody is sent here any more (or again): idle connections are closed, the others as they come
 * back, and none is kept open. The keeper's thread.
 */
void wi_pool_quieten(struct weir_pool *pool, bool quiet);

/* Whether nothing is left of a pool that was shut, and nobody is inside. The keeper's thread. */
bool wi_pool_is_over(struct weir_pool *pool);

/* Ends the wait of all who wait here: they choose again. Any thread. */
void wi_pool_send_away(struct weir_pool *pool);

/* Says what a fresh handle was chosen for; the thread it was lent to. */
void wi_conn_mark(struct weir_conn *handle, const struct wi_mark *mark);

/*
 * In a forked child: makes the pool anew as a job of a keeper that does not run yet. false: no id
 * left. The one thread in it.
 */
bool wi_pool_renew(struct weir_pool *pool, struct wi_keeper *keeper);

/*
 * Tells INSECURE if a password is at hand that could go to a server that has not proven who it is;
 * once. Between connect and its first step; keeper's thread.
 */
void wi_pool_warn(struct weir_pool *pool, const struct wi_target *target, void *link);

/* Connections that the server may see, as the keeper last said. Any thread. */
uint32_t wi_pool_shown_total(struct weir_pool *pool);

/* Statistics by value; fills all of *stats. */
void wi_pool_read(struct weir_pool *pool, weir_pool_stats *stats);

/* Of them how many there are, who waits, what was taken and given back; leaves the others alone. */
void wi_pool_read_sizes(struct weir_pool *pool, weir_pool_stats *stats);

/* The slot behind a handle, or NULL if the handle is stale. */
struct weir_conn *wi_conn_of(const struct weir_conn *handle);

/*
 * Whoever chose this pool goes elsewhere for a connection: if nothing is open here, one is opened
 * for who comes next. Any thread that knows the pool not to be freed meanwhile.
 */
void wi_pool_miss(struct weir_pool *pool);

/* All idle connections of this pool are looked at before their next use. Keeper's thread. */
void wi_pool_suspect_all(struct weir_pool *pool);

/*
 * Connecting may succeed again: a pause that failures have earned ends now. The keeper's thread.
 */
void wi_pool_retry_now(struct weir_pool *pool);

#endif
