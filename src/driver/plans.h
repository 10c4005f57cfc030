/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The statements that a connection knows, the last used ones, and which of them its server keeps
 * prepared; and an exchange of statements taken apart into what is sent. No libpq here.
 *
 * A statement is known by its text and the types of its parameters. It is prepared when it comes
 * for the second time, under a name that no other connection of this process ever uses, nor that
 * of any other process, but by an odd chance: behind a pooler that was not found out, a name may
 * so be unknown, and never mean another statement. It is prepared in the same round trip that runs
 * it; and so is dropped whose place it takes. Texts are bounded by number and by bytes. Names are a
 * session's, not a transaction's: a rollback leaves them. The owner of the connection, one thread
 * at a time.
 */
#ifndef WI_DRIVER_PLANS_H
#define WI_DRIVER_PLANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/driver.h"

struct wi_plans;

/* Room for so many statements, at least 1. NULL: no memory. */
struct wi_plans *wi_plans_new(uint32_t room);
void wi_plans_free(struct wi_plans *plans); /* NULL is a no-op */

/* The server keeps none any more: DISCARD ALL, DEALLOCATE ALL. The texts stay known. */
void wi_plans_dropped(struct wi_plans *plans);

/* How many the server keeps, as far as is known here. */
uint32_t wi_plans_prepared(const struct wi_plans *plans);

/* One message of an exchange. */
enum wi_part_kind { WI_PART_DROP, WI_PART_PREPARE, WI_PART_RUN, WI_PART_RUN_NAMED };
struct wi_part {
	enum wi_part_kind kind;
	uint32_t call;  /* what it is for */
	uint32_t entry; /* of PREPARE and RUN_NAMED */
	uint64_t name;  /* of all but RUN */
	bool old;       /* of RUN_NAMED and DROP: it was prepared before this exchange */
	bool inferred;  /* old, and the server inferred types */
};

/* An exchange under way, at most one of a connection; zeroed: none is. */
struct wi_exchange {
	uint32_t n, at; /* parts; at: whose answer comes next */
};

/* Takes statements apart. plans may be NULL: none is kept. false: no memory. */
bool wi_exchange_begin(struct wi_exchange *x, struct wi_plans *plans, const struct wi_call *calls,
                       size_t n);

/* Part i of the exchange under way, less than its n; plans as at its begin. */
struct wi_part wi_exchange_part(const struct wi_plans *plans, uint32_t i);

/*
 * It has failed at a part that has to do with what was prepared: whether that was so before this
 * exchange. Else what the exchange does by itself is why, and it will fail so again.
 */
bool wi_exchange_relied_on_old(const struct wi_exchange *x, const struct wi_plans *plans);

/* Why the part after the last that succeeded has failed. */
enum wi_stale {
	WI_STALE_NOT,  /* for no reason of these */
	WI_STALE_PLAN, /* what was prepared gives other columns by now (0A000) */
	WI_STALE_NAME, /* the server does not know the name any more (26000) */
	/*
	 * A value or an operator did not fit the types that the server inferred when it was
	 * prepared: it may infer others by now (class 22 or 42).
	 */
	WI_STALE_TYPES,
};

/*
 * It is over, or given up, and the first x->at parts have succeeded. true: the server may keep a
 * name that is not known here.
 */
bool wi_exchange_end(struct wi_exchange *x, struct wi_plans *plans, enum wi_stale stale);

/*
 * It is given up, and nobody will hear how far it came: as above, and no name is relied on that was
 * to be made or dropped in it.
 */
bool wi_exchange_forget(struct wi_exchange *x, struct wi_plans *plans);

/* "weir_5be0cd19_1f", for a name: this process, and its number. */
#define WI_PLAN_NAME 36
void wi_plan_name(uint64_t name, char text[WI_PLAN_NAME]);

#endif
