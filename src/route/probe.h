/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A probe: one connection of the router's own to one host, and one question asked over it again and
 * again. It never comes out of a pool, so that a full pool cannot hide what became of the host.
 *
 *	        begin                        connected            answered
 *	AWAY ----------> RESOLVING --> CONNECTING --> ASKING -------------> IDLE
 *	  ^                ^                           | | ^                 | |
 *	  |                +-- lost, of a reused one --+ | +----- begin -----+ |
 *	  |                                              |                     |
 *	  +--- failed, or no answer by the deadline -----+                     |
 *	  +---- lost ----------------------------------------------------------+
 *
 * All of it on the keeper's thread.
 */
#ifndef WI_ROUTE_PROBE_H
#define WI_ROUTE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/driver.h"
#include "pool/keeper.h"
#include "pool/login.h"
#include "pool/resolve.h"
#include "route/question.h"
#include "route/roles.h"

enum wi_probe_state {
	WI_PROBE_AWAY,
	WI_PROBE_RESOLVING,
	WI_PROBE_CONNECTING,
	WI_PROBE_ASKING,
	WI_PROBE_IDLE
};

/* What the last completed probe came to. */
struct wi_finding {
	struct wi_sight sight;     /* zeroed if it failed */
	struct wi_failure failure; /* why it failed */
	int version;               /* server_version_num of the last answer, or 0 */
	char tls[64];              /* of the last answer, or "" */
	char sender[64];           /* whom a standby's receiver is connected to, or "" */
	char sender_port[8];
};

/* Access key: (c) constant after init; everything else is the keeper's thread's. */
struct wi_probe {
	const struct wi_driver *driver; /* (c) */
	struct wi_keeper *keeper;       /* (c) */
	struct wi_target target;        /* (c) */
	enum wi_probe_state state;
	void *link;
	/* stays when an attempt fails: a dead resolver costs one thread, not many */
	void *resolving;
	void *asking;             /* for credentials: the same */
	struct wi_addresses name; /* what it came to; empty but while they are being tried */
	uint32_t tried;           /* of them */
	char peer[WI_ADDRESS];    /* that the connection was made to, or "" */
	struct wi_logins logins;
	struct wi_watch watch;
	enum wi_question question; /* as much as this server answers */
	/* the name and the credentials of this question are being seen to */
	bool preparing;
	bool heard;  /* the descriptor had something to say */
	bool reused; /* asks over the connection of an earlier question */
	bool again;  /* this question was answered by an error once, and is asked again */
	int64_t begun_ns;
	int64_t asked_ns;
	int64_t lowered_ns;     /* since when it is asked less than it might know; 0: it is not */
	int64_t deadline_ns;    /* of this question; of the connect, where that is late */
	int64_t address_ns;     /* end of this address's share of it; FOREVER: there is no other */
	int64_t give_up_ns;     /* end of the connect's patience */
	int64_t limit_ms;       /* for a question */
	int64_t connect_ms;     /* for a connect */
	struct weir_pool *pool; /* of the same host, which tells about both; NULL: nobody does */
	bool late;              /* told as failed, but the connect goes on: it may only be slow */
	struct wi_answer answer;
	struct wi_finding found;
};

/* target is taken over. options (whom to ask for credentials) must outlive it. */
void wi_probe_init(struct wi_probe *probe, const struct wi_driver *driver, struct wi_keeper *keeper,
                   const struct wi_target *target, const weir_options *options);

/* Closes the connection without waiting. */
void wi_probe_stop(struct wi_probe *probe);

/* Gives back what init took. Stopped, or forgotten. */
void wi_probe_fini(struct wi_probe *probe);

/*
 * In a forked child: the connection is the parent's. What comes next is done on this keeper (NULL:
 * nothing will).
 */
void wi_probe_forget(struct wi_probe *probe, struct wi_keeper *keeper);

/* Whether a question is under way. */
bool wi_probe_is_busy(const struct wi_probe *probe);

/*
 * Begins to ask, connecting first if need be; there is news, of one kind or the other, within
 * limit_ms, of which each address of the host's name but the last has a share. A connect that takes
 * longer is told as failed then, so that nobody waits for it, but goes on until connect_ms are
 * over: its host may be far away, or busy, and would never be reached by connects that are all
 * given up. The question itself has limit_ms. What this process lost by standing still is no
 * host's: who asks late waits as long, and an answer that is read late is one. Not while busy.
 */
void wi_probe_begin(struct wi_probe *probe, int64_t now_ns, int64_t limit_ms, int64_t connect_ms);

/*
 * The next question is asked over a new connection, wherever the host's name leads by then. Not
 * while busy.
 */
void wi_probe_renew(struct wi_probe *probe);

enum wi_probe_news {
	WI_PROBE_NO_NEWS,
	WI_PROBE_ANSWERED, /* found.sight is new */
	WI_PROBE_FAILED,   /* found.failure is new */
	WI_PROBE_STIRRED,  /* the idle connection said something, or was lost: ask */
};

/* Goes on as far as it can without waiting. */
enum wi_probe_news wi_probe_step(struct wi_probe *probe, int64_t now_ns);

/* When to step again though nothing is heard. */
int64_t wi_probe_due(const struct wi_probe *probe, int64_t now_ns);

#endif
