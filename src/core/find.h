/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a slot may be found: shared by who takes (core.c) and who waits (wait.c), and nobody else.
 */
#ifndef WI_CORE_FIND_H
#define WI_CORE_FIND_H

#include "core/core.h"

/* From the shared lists, or NONE. */
uint32_t wi_core_pop(struct wi_core *core);

/*
 * Goes through the seats that have a thread until `find` finds something, and returns that, or
 * NONE. mine: where to begin; may be NULL.
 */
uint32_t wi_core_search(struct wi_core *core, const struct wi_seat *mine,
                        uint32_t (*find)(struct wi_seat *other));

/* For wi_core_search: whether a cache seems to hold a slot. */
uint32_t wi_core_is_filled(struct wi_seat *other);

/* Owners exchange from now on, until wi_bias_release; and for a while after it. */
void wi_core_revoke(struct wi_core *core);

#endif
