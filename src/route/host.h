/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host of the router: what is known of it, what an operator has said of it, how it stands, and
 * who may touch what.
 */
#ifndef WI_ROUTE_HOST_H
#define WI_ROUTE_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/hosts.h>

#include "base/atomic.h"
#include "base/line.h"
#include "config/dsn.h"
#include "driver/driver.h"
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

/* What an operator has said of it. Pinned, or inside a read section, or the keeper's thread. */
WI_INLINE const struct wi_terms *wi_host_terms(const struct wi_host *host)
{
	/* [hosts:A2] sees the terms as the keeper wrote them; pairs with R2. */
	return wi_load_acq(&host->terms);
}

/* What each thread counts in its seat of a host's pool: checkouts by what they were for. */
enum wi_tally { WI_TALLY_READ, WI_TALLY_WRITE, WI_TALLY_FALLBACK };

#endif
