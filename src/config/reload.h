/* SPDX-License-Identifier: BSD-2-Clause */
/* Other options for a pool or router that runs: which of them may be others, and which are. */
#ifndef WI_CONFIG_RELOAD_H
#define WI_CONFIG_RELOAD_H

#include <stdbool.h>

#include "config/sources.h"

/* What a connection string has said when it was opened stays said. */
struct wi_fixed {
	bool is[WI_OPTIONS];
};

void wi_fixed_by(struct wi_fixed *fixed, const struct wi_sources *sources);

/*
 * What comes into force if `wanted` is asked for: *merged is `now` with those options that may
 * change and are not fixed. INVALID: one that may not change would; it is named.
 *
 * spared: connections of server_budget that a router has set aside (wi_options_spare_probe), which
 * `now` lacks and `wanted` still has. Reads `now` word by word, as the keeper may be about to
 * change some. Callbacks stay as they are.
 */
weir_status wi_reload_merge(const weir_options *now, const struct wi_fixed *fixed,
                            const weir_options *wanted, bool spares_probe, weir_options *merged,
                            weir_error *error);

/*
 * The keeper: writes what may change, word by word. Which of the names in the list, up to NULL, are
 * others than before: wi_reload_differs, beforehand.
 */
void wi_reload_write(weir_options *now, const weir_options *merged);
bool wi_reload_differs(const weir_options *now, const weir_options *merged,
                       const char *const names[]);

/* Whether what becomes new connections' alone differs. */
bool wi_reload_differs_for_new(const weir_options *now, const weir_options *merged);

#endif
