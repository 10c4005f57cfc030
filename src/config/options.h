/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside face of the options table. */
#ifndef WI_CONFIG_OPTIONS_H
#define WI_CONFIG_OPTIONS_H

#include <stdbool.h>

#include <weir/options.h>

/*
 * Copies what caller and library both know, defaults for what the caller does not, and refuses what
 * only the caller knows unless it is zero (a newer program on an older library). NULL: all
 * defaults. Then checks every row's range, so that structs filled by hand are as safe as text.
 * Statuses: OK, INVALID.
 */
weir_status wi_options_load(weir_options *to, const weir_options *from, weir_error *error);

/*
 * Checks what several options say together, once all of them are known (the connection string's
 * too): pool_min against the effective maximum. A minimum that nobody has set gives way. Statuses:
 * OK, INVALID.
 */
weir_status wi_options_agree(weir_options *options, weir_error *error);

/* Whether the name is one of weir's options. */
bool wi_option_known(const char *name);

/*
 * Sets pool_min and pool_max of a pool that runs, if they are within the ranges of the table and
 * agree with each other and with server_budget. OK or INVALID.
 */
weir_status wi_options_resize(weir_options *options, int64_t min, int64_t max, weir_error *error);

/* What server_budget / pod_count leaves this process, at least 1; INT64_MAX: no budget is set. */
int64_t wi_options_share(const weir_options *options);

/* One of them for a router's probe of each host. OK or INVALID. */
weir_status wi_options_spare_probe(weir_options *options, weir_error *error);

/* pool_max, within that share. */
int64_t wi_options_pool_max(const weir_options *options);

#endif
