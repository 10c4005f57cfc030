/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of deeds share. */
#ifndef WEIR_CHECK_DEEDS_INSIDE_H
#define WEIR_CHECK_DEEDS_INSIDE_H

#include "check/deeds.h"

/* Passes `done` on; false: says why, and nothing that follows means anything. */
bool deed_must(struct stage *stage, bool done);

/* ALTER SYSTEM with this, and a reload. */
void deed_set(struct stage *stage, int i, const char *setting);

/* The two servers that are not the primary, 0 or 1; and either of them. */
int deed_standby(const struct stage *stage, int which);
int deed_any_standby(struct stage *stage);

void deed_nap(void);
void deed_wait(struct stage *stage, int64_t ms);
int64_t deed_some_ms(struct stage *stage, uint32_t from, uint32_t to);

/* A fact begins now, and goes on until it ends. */
struct fact *deed_fact(struct stage *stage, enum fact_kind kind, int host);
void deed_fact_ends(struct stage *stage, enum fact_kind kind, int host);

/*
 * Fences the primary and promotes the more advanced standby, which the other one then follows; or
 * both, of which the more advanced one is the primary. The old primary is left as it is.
 */
void deed_promote(struct stage *stage, bool is_followed);
void deed_promote_both(struct stage *stage, int primary, int other);

/* By a base backup. */
void deed_rejoin(struct stage *stage, int i);

/* Deeds to a link: links.c. */
void deed_cut(struct stage *stage, int i);
void deed_mend(struct stage *stage, int i);
void deed_link(struct stage *stage, enum deed deed, int i);

#endif
