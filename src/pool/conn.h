/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection in its slot: its life, the notes that are left on it, and who may touch what.
 */
#ifndef WI_POOL_CONN_H
#define WI_POOL_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/conn.h>

#include "base/line.h"
#include "core/slot.h"
#include "driver/driver.h"
#include "pool/keeper.h"

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
	uint16_t number;                             /* (c) of the slot */
	_Atomic uint8_t role;   /* (h) writes, any reads: weir_role at checkout */
	_Atomic uint8_t reason; /* (h) writes, any reads: weir_reason */
	struct weir_pool *pool; /* (c) */
	void *link;             /* (h) the driver's connection */
	/* (h) writes, keeper reads: of the thread it was lent to */
	_Atomic(struct wi_seat *) lender;
	_Atomic(const char *) tag; /* (h) writes, keeper reads: the request's tag */
	uint64_t timed_lent;       /* (h) how often it had been lent, when it was last timed */

	WI_ON_NEW_LINE struct pg_conn *pg; /* (h) libpq's, the same for the life of link */
	_Atomic uint32_t *load;            /* (h) lowered when it comes back, if noted */
	_Atomic uint32_t inbox_next;       /* (a) the slot below it in the keeper's inbox */
	bool standby;                      /* (k) what its session last reported of its server */
	bool read_only;                    /* (h) default_transaction_read_only, as weir made it */
	/* (k) the same, as it was opened: a reset brings it back */
	bool born_read_only;
	_Atomic uint64_t seen_lend; /* (k) writes, any reads: `lend` at the last look */
	_Atomic int64_t asked_ns;   /* (h) when it was last asked whether it lives */
	_Atomic int64_t proven_ns;  /* (h) when it last answered such a question */
	/* (h) writes: when one was given back that was to say so */
	_Atomic int64_t back_ns;
	_Atomic uint64_t back_lend; /* (h) writes: with this count */

	/* (a) weir_close: why it is to be closed, for RETIRE */
	WI_ON_NEW_LINE _Atomic uint8_t why;
	enum wi_life life : 8;     /* (k) */
	enum wi_errand errand : 8; /* (k) */
	bool in_hand : 1;          /* (k) on the list of slots in the keeper's hands */
	bool leak_told : 1;        /* (k) */
	bool fresh : 1;            /* (k) being opened, not yet counted as opened */
	bool cut_counted : 1;      /* (k) census.cut has it */
	bool evicted : 1;          /* (k) was there when the pool was last evicted */
	uint8_t edition; /* (k) of the startup options its connect was begun with; 0: none */
	/* (k) one of its statements was refused for being a write, nobody knows why */
	bool accused;
	bool met_standby;        /* (k) who answered when it was last asked was one */
	uint16_t next, prev;     /* (k) list of slots in hand, by number */
	uint32_t epoch;          /* (k) of the host, when it was last asked who answers */
	int server_process;      /* (k) as it said itself when it was verified; or 0 */
	int goodbye_fd;          /* (k) CLOSING: end-of-file here means the server is done */
	_Atomic int64_t seen_ns; /* (k) writes, any reads: since when seen_lend has been so */
	int64_t checked_ns;      /* (k) last proof of life by the keeper */
	int64_t born_ns;         /* (k) when it was begun to be opened */
	int64_t expires_ns;      /* (k) end of its lifetime */
	int64_t deadline_ns;     /* (k) of what the keeper does with it now */
	WI_ON_NEW_LINE struct wi_watch watch; /* (k) */
	struct wi_answer *answer;             /* (k) of the errand, if it wants one */
	union {
		struct wi_way *way; /* (k) RESOLVING and CONNECTING: how to get there */
		/* else: (k) of DRAIN; (h) of a cancel that the holder has asked for; or NULL */
		struct wi_busy *busy;
	};
	/* (a) the lending whose thread has ended; its highest bit: told, and seen to */
	_Atomic uint64_t ended_lend;
	_Atomic uint32_t ended_ms;    /* (a) when */
	_Atomic int32_t ended_thread; /* (a) its number */
	uint64_t timed_lend; /* (h) the lending that is timed, or the last one that was; 0: none */
	int64_t timed_ns;    /* (h) when it began */
};

_Static_assert(sizeof(struct weir_conn) == WI_CONN_BYTES, "a handle's low bits count checkouts");
_Static_assert(WI_SLOTS_MAX <= UINT16_MAX && WEIR_CLOSE_REASONS <= UINT8_MAX &&
                       WI_LIVES <= UINT8_MAX && WI_DO_WHO <= UINT8_MAX,
               "narrow members hold all that they may be");

/* Whether a slot has a way, and nothing that is busy. */
static inline bool wi_conn_is_on_its_way(const struct weir_conn *c)
{
	return c->life == WI_RESOLVING || c->life == WI_CONNECTING;
}

#endif
