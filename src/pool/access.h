/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether sessions take writes: access.c. */
#ifndef WI_POOL_ACCESS_H
#define WI_POOL_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/driver.h"
#include "pool/conn.h"

struct weir_pool;

/*
 * The keeper: whether new ones are to be opened read-only; whether one in its hands has to be
 * changed, and how it is asked to; what was learnt from an answer (is_new: of one that was just
 * opened); that it was reset, by DISCARD ALL or otherwise.
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

#endif
