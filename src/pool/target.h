/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What to tell the driver about a host: the connection string's parameters and the options that are
 * libpq's.
 */
#ifndef WI_POOL_TARGET_H
#define WI_POOL_TARGET_H

#include "config/dsn.h"
#include "driver/driver.h"

/*
 * Builds a target. dsn, endpoint and options must outlive it; all else is its own until
 * wi_target_fini. application_name NULL: the option's. startup_options is left NULL. OK or
 * NO_MEMORY.
 */
weir_status wi_target_build(struct wi_target *target, const struct wi_dsn *dsn,
                            const weir_options *options, const struct wi_endpoint *endpoint,
                            const char *application_name, void *script, weir_error *error);

void wi_target_fini(struct wi_target *target);

#endif
