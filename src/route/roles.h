/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is who. A pure function from what the probes saw to one role a host, so that every row of its
 * table can be tested without a server.
 *
 * In this order:
 *   1  a host that did not answer is unknown
 *   2  a host of another database system than the cluster's is unknown (system identifier). The
 *      cluster's is the one followed so far, as long as no other one has more than half of all
 *      hosts, silent ones included: else a stranger would be followed whenever ours are away. At
 *      first it is that of the most; a tie then trusts nobody
 *   3  not in recovery: a candidate. The highest timeline wins, but only if it is higher than all
 *      others; two on the highest timeline are a split brain, and there is no primary. The losers
 *      are unknown: what they hold may have parted from the truth. So is a candidate below the
 *      highest timeline that any host of the system ever was on: it was left behind, even where
 *      the one that left it behind is silent just now
 *   4  the winner is the primary if it takes writes (default_transaction_read_only off), else it
 *      serves reads
 *   5  in recovery: a replica
 * Two addresses of one server (same system, same start to the microsecond) are no split brain: the
 * first counts.
 *
 * Endpoints named by hand (options.primary and options.replicas) hide who answers: a writer can
 * only be the primary, a reader is a replica whatever it answers.
 */
#ifndef WI_ROUTE_ROLES_H
#define WI_ROUTE_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>

enum wi_named { WI_NAMED_NOT, WI_NAMED_WRITER, WI_NAMED_READER };

/* What one probe saw. A zeroed one: not answered. */
struct wi_sight {
	bool answered;
	bool in_recovery;
	bool read_only;    /* default_transaction_read_only */
	uint32_t timeline; /* 0: unknown */
	uint64_t system;   /* 0: unknown */
	uint64_t lsn;      /* insert position, normalised, or replayed position; 0: unknown */
	uint64_t started;  /* of the server, microseconds since 1970; 0: unknown */
	int64_t asked_ns;  /* by the router's clock: the question went out not before */
	int64_t answered_ns;
};

/* Why an answering host did not get the role it might have had. */
enum wi_objection {
	WI_OBJECTION_NONE,
	WI_OBJECTION_SYSTEM, /* of another database system */
	/* the hosts are of different systems and no majority says which is meant */
	WI_OBJECTION_SYSTEMS,
	/* another primary is on a higher timeline; `other` is the host itself: some host was */
	WI_OBJECTION_TIMELINE,
	WI_OBJECTION_TIE,       /* split brain */
	WI_OBJECTION_ALIAS,     /* the same server as another host */
	WI_OBJECTION_READ_ONLY, /* a primary that takes no writes */
	WI_OBJECTION_STANDBY,   /* the named writer endpoint leads to a standby */
};

struct wi_opinion {
	weir_role role;
	enum wi_objection objection;
	uint32_t other; /* the host the objection is about */
};

/* What outlives a judgement. Zeroed: nothing is known. */
struct wi_so_far {
	uint64_t system;   /* of the cluster; 0: unknown */
	uint32_t timeline; /* the highest that any host of it was seen on; 0: none */
};

struct wi_judgement {
	int primary; /* index, or -1 */
	bool split;  /* split brain, or systems without a majority */
	struct wi_so_far so_far;
};

/*
 * Judges n hosts; so_far is what the last judgement said (zeroed at first). named may be NULL: none
 * is.
 */
struct wi_judgement wi_roles_judge(const struct wi_sight *sights, const enum wi_named *named,
                                   uint32_t n, struct wi_so_far so_far,
                                   struct wi_opinion *opinions);

/* An objection in words; NULL for NONE. Static storage. */
const char *wi_objection_text(enum wi_objection objection);

#endif
