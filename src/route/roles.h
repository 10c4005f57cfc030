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
 *      others. The losers are unknown: what they hold may have parted from the truth. So is a
 *      candidate below the highest timeline that any host of the system ever was on: it was left
 *      behind, even where the one that left it behind is silent just now
 *   4  two on the highest timeline are a split brain. The advice in force decides, if it names one
 *      of them; else the standbys do (below); else there is no primary
 *   5  whom the advice in force does not name is no primary, alone or not; and neither is one on an
 *      older timeline than the advice says
 *   6  the winner is the primary if it takes writes (default_transaction_read_only off), else it
 *      serves reads
 *   7  in recovery: a replica
 * Two addresses of one server (same system, same start to the microsecond) are no split brain: the
 * first counts.
 *
 * The standbys' vote. A standby votes for the host from which it streams just now on the contested
 * timeline; a row of a receiver that only waits, or streams an older one, is a memory and no vote.
 * One wins who has more than half of all votes there could be, those of silent hosts included, as
 * theirs may be for the other; and nobody streams from the other, however old that word is. Only
 * what was asked after the contest was seen counts, so that nobody wins by an answer from before.
 * Who follows a follower has no vote.
 *
 * A way back. A cluster restored to a lower timeline under its old identifier would have no primary
 * for ever. So the highest timeline is forgotten when no host could be on it any more: every one
 * answers, each is another server of the system, and all have been on lower ones for
 * WI_FORGET_NS, or at once if the advice names one by the timeline that it is on: so who appointed
 * itself, and was made a standby again, keeps nobody waiting. A lone host never proves that: its
 * name may lead back to who was left behind. Nor does another system that is followed for a while,
 * as all names may lead astray for that long.
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

#define WI_FORGET_NS (INT64_C(30) * 1000000000)

enum wi_named { WI_NAMED_NOT, WI_NAMED_WRITER, WI_NAMED_READER };

/* What one probe saw. A zeroed one: not answered. */
struct wi_sight {
	bool answered;
	bool in_recovery;
	bool read_only;      /* default_transaction_read_only */
	bool paused;         /* a standby whose replay is paused, or about to be */
	uint32_t timeline;   /* 0: unknown */
	uint32_t streams_on; /* the timeline that its receiver streams; 0: none does, or unseen */
	uint32_t follows;    /* from which host, by its number + 1; 0: none of them, or unseen */
	uint64_t system;     /* 0: unknown */
	uint64_t lsn;        /* insert position, normalised, or replayed position; 0: unknown */
	uint64_t started;    /* of the server, microseconds since 1970; 0: unknown */
	int64_t delay_ms;    /* recovery_min_apply_delay of a standby; 0: none */
	int64_t asked_ns;    /* by the router's clock: the question went out not before */
	int64_t answered_ns;
};

/*
 * What an outside authority says of who is the primary, while it is in force; index -1: nobody.
 * Never the only ground: whom it names is the primary only if that host says so itself.
 */
struct wi_advice {
	int primary;       /* the host's number, or -1 */
	uint32_t timeline; /* that it is on; 0: unknown */
	int64_t until_ns;  /* by the router's clock; 0: there is none */
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
	WI_OBJECTION_OUTVOTED,  /* split brain, and the standbys follow `other` */
	/*
	 * the advice names `other`; the host itself: nobody, or somebody who is none of the hosts
	 */
	WI_OBJECTION_ADVISED,
	WI_OBJECTION_HELD, /* has failed again and again (hold.c), which is not judged here */
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
	int64_t split_ns;  /* when the contest that goes on was first seen; 0: there is none */
	int64_t below_ns;  /* since when every host is below that timeline; 0: not so */
	/* the system that was followed before, and its highest timeline: it may come back */
	uint64_t past_system;
	uint32_t past_timeline;
};

struct wi_judgement {
	int primary; /* index, or -1 */
	/* hosts contradict each other on one timeline, or systems without a majority */
	bool split;
	struct wi_so_far so_far;
};

/*
 * Judges n hosts; so_far is what the last judgement said (zeroed at first). named may be NULL: none
 * is. advice may be NULL: none is in force.
 */
struct wi_judgement wi_roles_judge(const struct wi_sight *sights, const enum wi_named *named,
                                   uint32_t n, struct wi_so_far so_far,
                                   const struct wi_advice *advice, struct wi_opinion *opinions);

/* An objection in words; NULL for NONE. Static storage. */
const char *wi_objection_text(enum wi_objection objection);

#endif
